"""The kernel's SAD: dump, sequence numbers, packet limits, installation, deletion."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gossipsa.errors import KernelError
from gossipsa.kernel.backend import Answer, KernelSa, NewSa, SaId, SetNumbers, SetPacketLimit
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NetlinkFormatError, Refusal
from gossipsa.kernel.xfrm.pacing import paced
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.sa_messages import encode_new_sa, encode_numbers, encode_packet_limit, sa_identity
from gossipsa.kernel.xfrm.sa_record import SaRecord, decode_kernel_sa, decode_sa_record
from gossipsa.kernel.xfrm.uapi import MessageType, UserSaId

# From so many SAs on, one dump of all is cheaper than asking for each.
_DUMP_FROM = 256


class SecurityAssociations:
    """Works on the SAD by way of a request socket.

    Args:
        window_packets: replay window of the SAs that `add` installs.
    """

    def __init__(self, requests: RequestSocket, *, window_packets: int) -> None:
        self._requests = requests
        self._window_packets = window_packets

    async def dump(self) -> tuple[KernelSa, ...]:
        """All ESP SAs. Raises KernelError."""
        request = encode(MessageType.GETSA, UserSaId())
        return tuple(await self._requests.dump(request, decode_kernel_sa, what="cannot list SAs"))

    async def dump_records(self) -> list[SaRecord]:
        """All ESP SAs with what is needed to change them. Raises KernelError."""
        request = encode(MessageType.GETSA, UserSaId())
        return await self._requests.dump(request, decode_sa_record, what="cannot list SAs")

    async def set_numbers(self, changes: Sequence[SetNumbers]) -> tuple[Answer, ...]:
        return await self._change(
            [change.id for change in changes], changes, encode_numbers, "set numbers of"
        )

    async def set_packet_limits(self, changes: Sequence[SetPacketLimit]) -> tuple[Answer, ...]:
        return await self._change(
            [change.id for change in changes], changes, encode_packet_limit, "set packet limits of"
        )

    async def add(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        now_s = int(time.time())

        def encode_one(sa: NewSa) -> bytearray:
            return encode_new_sa(sa, window_packets=self._window_packets, now_s=now_s)

        answers = _Answers([f"add {describe(sa.id)}" for sa in sas])
        async for index, sa in paced(enumerate(sas)):
            answers.try_to_encode(index, encode_one, sa)
        return await answers.execute(self._requests)

    async def delete(self, ids: Sequence[SaId]) -> tuple[Answer, ...]:
        answers = _Answers([f"delete {describe(sa_id)}" for sa_id in ids])
        async for index, sa_id in paced(enumerate(ids)):
            answers.messages.append((index, encode(MessageType.DELSA, sa_identity(sa_id))))
        refused = await answers.execute(self._requests)
        missing = [index for index, answer in enumerate(refused) if _is(answer, errno.ESRCH)]
        if not missing:
            return refused
        # An SA with a mark is not found without it, and must not be taken for gone.
        again = _Answers([f"delete {describe(sa_id)}" for sa_id in ids])
        again.answers[:] = [None if _is(answer, errno.ESRCH) else answer for answer in refused]
        marks = {record.id: record.mark for record in await self.dump_records() if record.mark is not None}
        for index in missing:
            mark = marks.get(ids[index])
            if mark is not None:
                message = encode(MessageType.DELSA, sa_identity(ids[index]), [("XFRMA_MARK", mark)])
                again.messages.append((index, message))
        return tuple(
            None if _is(answer, errno.ESRCH) else answer for answer in await again.execute(self._requests)
        )

    async def _change(
        self,
        ids: Sequence[SaId],
        changes: Sequence[Any],
        encode_change: Callable[[Any, SaRecord], bytearray],
        what: str,
    ) -> tuple[Answer, ...]:
        """Look the SAs up, and send for each the message that `encode_change` makes of it."""
        answers = _Answers([f"{what} {describe(sa_id)}" for sa_id in ids])
        async for index, found in paced(enumerate(await self._look_up(ids))):
            if isinstance(found, Refusal):
                answers.refuse(index, found)
            else:
                answers.try_to_encode(index, encode_change, changes[index], found)
        return await answers.execute(self._requests)

    async def _look_up(self, ids: Sequence[SaId]) -> list[SaRecord | Refusal]:
        if len(ids) >= _DUMP_FROM:
            return _pick(ids, await self.dump_records())
        found = await self._requests.ask(
            [encode(MessageType.GETSA, sa_identity(sa_id)) for sa_id in ids], _decode_asked
        )
        missing = [
            index for index, sa in enumerate(found) if isinstance(sa, Refusal) and sa.errno == errno.ESRCH
        ]
        if missing:
            # An SA with a mark is found only by its mark, or in a dump.
            dumped = _pick([ids[index] for index in missing], await self.dump_records())
            for index, record in zip(missing, dumped, strict=True):
                found[index] = record
        return found


def _decode_asked(buffer: memoryview, start: int, end: int) -> SaRecord:
    record = decode_sa_record(buffer, start, end)
    if record is None:
        raise NetlinkFormatError("the kernel answers with another SA than asked for")
    return record


def _pick(ids: Sequence[SaId], records: Iterable[SaRecord]) -> list[SaRecord | Refusal]:
    by_id = {record.id: record for record in records}
    return [by_id.get(sa_id, Refusal(errno.ESRCH, "")) for sa_id in ids]


def _is(answer: Answer, code: int) -> bool:
    return answer is not None and answer.errno == code


class _Answers:
    """Collects the messages of a batch and the answers to its items, some of which never get a message."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self.answers: list[Answer] = [None] * len(labels)
        self.messages: list[tuple[int, bytearray]] = []

    def refuse(self, index: int, refusal: Refusal) -> None:
        self.answers[index] = refusal.to_error(self._labels[index])

    def try_to_encode(self, index: int, encoder: Callable[..., bytearray], *arguments: Any) -> None:
        try:
            self.messages.append((index, encoder(*arguments)))
        except KernelError as error:
            self.answers[index] = KernelError(f"{self._labels[index]}: {error}", errno=error.errno)

    async def execute(self, requests: RequestSocket) -> tuple[Answer, ...]:
        refusals = await requests.execute([message for _, message in self.messages])
        for (index, _), refusal in zip(self.messages, refusals, strict=True):
            if refusal is not None:
                self.refuse(index, refusal)
        return tuple(self.answers)


def describe(sa_id: SaId) -> str:
    """Name an SA in a message to people."""
    return f"SA {sa_id.spi:08x} to {sa_id.destination}"
