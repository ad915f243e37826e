"""Netlink sockets on trio: batches of requests, dumps, events.

A batch is many messages in one datagram, with an acknowledgement asked for on the last one only: a message
that fails answers with its sequence number in any case, the batch goes on, and what did not fail by the time
the last one is acknowledged is done. Sequence numbers are never used twice on a socket, so that the answer to
a request that timed out or was cancelled cannot pass for another one.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import trio

from gossipsa.errors import KernelError
from gossipsa.kernel.xfrm.netlink import (
    NETLINK_XFRM,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    NetlinkFormatError,
    NetlinkMessage,
    Refusal,
    read_answer,
    split_messages,
)

T = TypeVar("T")

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_RCVBUFFORCE = 33

_FLAGS_OFFSET = 6
_SEQUENCE_OFFSET = 8

_BATCH_BYTES_MAX = 64 * 1024
# Bounds the answers that wait in the receive buffer (about 4 KiB each there) while a batch runs.
_BATCH_MESSAGES_MAX = 256
# The kernel fills dumps up to 32 KiB a datagram once it has seen a buffer of that size.
_RECEIVE_BYTES = 64 * 1024
_REQUEST_BUFFER_BYTES = 4 * 1024 * 1024


class NetlinkSocket:
    """A bound netlink socket.

    Raises:
        KernelError: on construction, if the kernel has no such protocol or buffers may not be enlarged.
    """

    def __init__(self, protocol: int, *, receive_buffer_bytes: int, groups: Sequence[int] = ()) -> None:
        self.protocol = protocol
        self._buffer = bytearray(_RECEIVE_BYTES)
        plain = _open(protocol, receive_buffer_bytes, groups)
        self._socket = trio.socket.from_stdlib_socket(plain)

    async def send(self, data: bytes | bytearray) -> None:
        """Send one datagram. The kernel has worked on it when this returns. Raises OSError."""
        await self._socket.send(data)

    async def receive(self) -> memoryview:
        """Return the next datagram of the kernel; valid until the next call.

        Raises:
            OSError: ENOBUFS if datagrams were lost.
            NetlinkFormatError: larger than the buffer.
        """
        while True:
            address: Any
            size, _, flags, address = await self._socket.recvmsg_into([self._buffer])
            if flags & socket.MSG_TRUNC:
                raise NetlinkFormatError("netlink datagram is larger than the receive buffer")
            if address[0] == 0:  # Port 0 is the kernel; anybody may send to a netlink port.
                return memoryview(self._buffer)[:size]

    def wipe(self) -> None:
        """Overwrite what was received: dumps of SAs hold keys."""
        self._buffer[:] = bytes(len(self._buffer))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(protocol: int, receive_buffer_bytes: int, groups: Sequence[int]) -> socket.socket:
    try:
        plain = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        hint = "; is the module xfrm_user there?" if protocol == NETLINK_XFRM else ""
        raise KernelError(
            f"cannot open a netlink socket: {error.strerror}{hint}", errno=error.errno or 0
        ) from error
    try:
        plain.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        plain.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        # Lets the kernel filter dumps of routes; without effect on XFRM.
        plain.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        plain.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer_bytes)
        plain.bind((0, sum(1 << (group - 1) for group in groups)))
    except OSError as error:
        plain.close()
        raise Refusal(error.errno or 0, "").to_error("cannot set up a netlink socket") from error
    return plain


class RequestSocket(NetlinkSocket):
    """A socket for requests and their answers.

    Args:
        timeout_s: how long a batch may go without an answer.
    """

    def __init__(self, protocol: int, *, timeout_s: float) -> None:
        super().__init__(protocol, receive_buffer_bytes=_REQUEST_BUFFER_BYTES)
        self._timeout_s = timeout_s
        self._lock = trio.Lock()
        self._next_sequence = 1

    async def execute(self, messages: Sequence[bytearray]) -> list[Refusal | None]:
        """Have requests executed in order. Returns the answer to each; never raises for a refusal."""
        answers: list[Refusal | None] = [None] * len(messages)
        async with self._lock:
            for first, count in _batches(messages):
                await self._execute_batch(messages[first : first + count], first, answers)
        return answers

    async def _execute_batch(
        self, messages: Sequence[bytearray], first: int, answers: list[Refusal | None]
    ) -> None:
        base = self._number(messages)
        last = base + len(messages) - 1
        _set_flags(messages[-1], NLM_F_ACK)
        unanswered = set(range(first, first + len(messages)))

        def take(buffer: memoryview, message: NetlinkMessage) -> bool:
            if message.type != NLMSG_ERROR or not base <= message.sequence <= last:
                return False
            index = message.sequence - base + first
            answers[index] = read_answer(buffer, message)
            unanswered.discard(index)
            return message.sequence == last

        failure = await self._converse(b"".join(messages), take)
        if failure is not None:
            for index in unanswered:
                answers[index] = failure

    async def ask(
        self, requests: Sequence[bytearray], decode: Callable[[memoryview, int, int], T]
    ) -> list[T | Refusal]:
        """Ask for one object each. Returns each decoded, or why it is not to be had.

        Args:
            decode: gets a buffer and the offsets of a message's payload.

        Raises:
            NetlinkFormatError: by `decode`, or an answer is malformed.
        """
        answers: list[T | Refusal] = [Refusal(errno.ETIMEDOUT, "")] * len(requests)
        async with self._lock:
            for first, count in _batches(requests):
                await self._ask_batch(requests[first : first + count], first, answers, decode)
        return answers

    async def _ask_batch(
        self,
        requests: Sequence[bytearray],
        first: int,
        answers: list[T | Refusal],
        decode: Callable[[memoryview, int, int], T],
    ) -> None:
        base = self._number(requests)
        unanswered = set(range(first, first + len(requests)))

        def take(buffer: memoryview, message: NetlinkMessage) -> bool:
            index = message.sequence - base + first
            if index not in unanswered:
                return False
            if message.type == NLMSG_ERROR:
                refusal = read_answer(buffer, message)
                if refusal is not None:
                    answers[index] = refusal
            else:
                answers[index] = decode(buffer, message.start, message.end)
            unanswered.discard(index)
            return not unanswered

        failure = await self._converse(b"".join(requests), take)
        self.wipe()
        if failure is not None:
            for index in unanswered:
                answers[index] = failure

    async def dump(
        self, request: bytearray, decode: Callable[[memoryview, int, int], T | None], *, what: str
    ) -> list[T]:
        """Read a whole table. What `decode` returns None for is left out.

        Each dump has a socket of its own: one that is cancelled half-way would keep this one busy.

        Raises:
            KernelError: the kernel refuses, does not answer, or answers were lost.
        """
        found: list[T] = []
        refused: Refusal | None = None

        def take(buffer: memoryview, message: NetlinkMessage) -> bool:
            nonlocal refused
            if message.type in (NLMSG_DONE, NLMSG_ERROR):
                refused = read_answer(buffer, message)
                return True
            decoded = decode(buffer, message.start, message.end)
            if decoded is not None:
                found.append(decoded)
            return False

        with RequestSocket(self.protocol, timeout_s=self._timeout_s) as once:
            once._number([request])
            _set_flags(request, NLM_F_DUMP)
            failure = await once._converse(request, take)
            once.wipe()
        if failure or refused:
            raise (failure or refused).to_error(what)  # type: ignore[union-attr]
        return found

    def _number(self, messages: Sequence[bytearray]) -> int:
        base = self._next_sequence
        if base + len(messages) > 0xFFFFFFFF:
            base = 1
        for index, message in enumerate(messages):
            struct.pack_into("=I", message, _SEQUENCE_OFFSET, base + index)
        self._next_sequence = base + len(messages)
        return base

    async def _converse(
        self, data: bytes | bytearray, take: Callable[[memoryview, NetlinkMessage], bool]
    ) -> Refusal | None:
        """Send, and hand over messages until `take` has what it wants. Returns why it did not get it."""
        try:
            await self.send(data)
            while True:
                with trio.fail_after(self._timeout_s):
                    buffer = await self.receive()
                for message in split_messages(buffer):
                    if take(buffer, message):
                        return None
        except trio.TooSlowError:
            return Refusal(errno.ETIMEDOUT, "the kernel does not answer; it may have done it or not")
        except OSError as error:
            lost = "answers were lost; it may have done it or not" if error.errno == errno.ENOBUFS else ""
            return Refusal(error.errno or errno.EIO, lost)


def _batches(messages: Sequence[bytearray]) -> Iterator[tuple[int, int]]:
    """Cut into batches: index of the first message, number of messages."""
    first = size = 0
    for index, message in enumerate(messages):
        if index > first and (size + len(message) > _BATCH_BYTES_MAX or index - first >= _BATCH_MESSAGES_MAX):
            yield first, index - first
            first, size = index, 0
        size += len(message)
    if first < len(messages):
        yield first, len(messages) - first


def _set_flags(message: bytearray, flags: int) -> None:
    (present,) = struct.unpack_from("=H", message, _FLAGS_OFFSET)
    struct.pack_into("=H", message, _FLAGS_OFFSET, present | flags)
