"""Fences and moves the sequence numbers of outbound SAs that are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from gossipsa.daemon.backends import Backends, without
from gossipsa.daemon.client_parts import blocks_of, inbound_id, outbound_id
from gossipsa.daemon.packet_limits import CREATOR_LAST, creator_limit, lane_limit
from gossipsa.effects import CloseWindow, FenceCreator, MoveNumbers, RekeyChild, Report
from gossipsa.errors import GossipsaError, KernelError
from gossipsa.identifiers import ClientId
from gossipsa.inputs import Input
from gossipsa.kernel.backend import KernelSa, SaId, SetNumbers, SetPacketLimit

_UNFENCED_MAX = 65_536
_TRIES_MAX = 60


class NumberKeeper:
    """Carries out FenceCreator, MoveNumbers, CloseWindow and RekeyChild, in batches of one kind."""

    def __init__(self, backends: Backends, *, report: Callable[[Report], None]) -> None:
        self._backends = backends
        self._report = report
        self._unfenced: dict[SaId, tuple[ClientId, int]] = {}
        """SAs to fence: of which client, and how often they were looked for."""

    async def fence(self, batch: Sequence[FenceCreator]) -> tuple[Input, ...]:
        """Note the keys to fence; `fence_those_in` does it when the kernel has them.

        An IKE daemon announces a CHILD_SA before it installs it, and after a rekey it installs the outbound
        SA only when the old one goes. There is time: no SA sends 2^29 packets in a second.
        """
        for effect in batch:
            for child in effect.state.children:
                if child.outbound_spi not in effect.outbound_spis:
                    continue
                if len(self._unfenced) >= _UNFENCED_MAX:
                    self._report(Report(event="fence-refused", client=effect.client, detail="too many wait"))
                    continue
                self._unfenced[outbound_id(effect.state, child)] = (effect.client, 0)
        await trio.lowlevel.checkpoint()
        return ()

    async def fence_those_in(self, sas: Mapping[SaId, KernelSa]) -> None:
        """Fence what this listing has of that which is to be fenced. Called about each second."""
        limits: dict[ClientId, list[SetPacketLimit]] = {}
        for sa_id, (client, tries) in list(self._unfenced.items()):
            sa = sas.get(sa_id)
            if sa is None:
                self._unfenced[sa_id] = (client, tries + 1)
                if tries >= _TRIES_MAX:
                    # Never installed, or gone before anybody looked.
                    del self._unfenced[sa_id]
                continue
            del self._unfenced[sa_id]
            # A lower limit is the IKE daemon's own, with a rekey before it: it fences as well.
            if sa.packet_limit > CREATOR_LAST:
                limits.setdefault(client, []).append(creator_limit(sa_id))
        reasons = await self._backends.for_clients(self._backends.kernel.set_packet_limits, limits)
        for client, reason in reasons.items():
            self._report(Report(event="fence-refused", client=client, detail=reason))

    async def move(self, batch: Sequence[MoveNumbers]) -> tuple[Input, ...]:
        """Let SAs go on in another range of numbers.

        Outbound is blocked while numbers and limit do not go together: between a raised limit and the jump
        an SA could run on into numbers that are not ours; with the jump before the limit it would expire.
        """
        backends, kernel = self._backends, self._backends.kernel
        try:
            sas = await backends.kernel_sas()
        except KernelError as error:
            self._refuse((effect.client for effect in batch), str(error))
            return ()
        limits: dict[ClientId, tuple[SetPacketLimit, ...]] = {}
        numbers: dict[ClientId, tuple[SetNumbers, ...]] = {}
        states = {}
        for effect in batch:
            wanted = effect.numbers
            sa = next(
                (
                    sas.get(outbound_id(effect.state, child))
                    for child in effect.state.children
                    if child.outbound_spi == wanted.outbound_spi
                ),
                None,
            )
            if sa is None:
                self._refuse([effect.client], f"no SA {wanted.outbound_spi:08x}")
                continue
            sent = max(sa.sent, wanted.sent)
            if sent >= wanted.packet_limit:
                self._refuse([effect.client], f"SA {wanted.outbound_spi:08x} is beyond the range")
                continue
            states[effect.client] = effect.state
            limits[effect.client] = (lane_limit(sa.id, sent=sent, last=wanted.packet_limit),)
            if wanted.sent > sa.sent:
                numbers[effect.client] = (SetNumbers(id=sa.id, sent=wanted.sent),)
        blocks, reasons = blocks_of({client: states[client] for client in numbers})
        reasons |= await backends.block(blocks)
        reasons |= await backends.for_clients(kernel.set_numbers, without(numbers, reasons))
        reasons |= await backends.for_clients(kernel.set_packet_limits, without(limits, reasons))
        await backends.unblock(blocks)
        for client, reason in reasons.items():
            self._refuse([client], reason)
        return ()

    async def close_windows(self, batch: Sequence[CloseWindow]) -> tuple[Input, ...]:
        """Count what a former owner received as received here."""
        changes: dict[ClientId, list[SetNumbers]] = {}
        for effect in batch:
            inbound = {child.inbound_spi: inbound_id(effect.state, child) for child in effect.state.children}
            changes[effect.client] = [
                SetNumbers(
                    id=inbound[entry.inbound_spi],
                    received=entry.received,
                    window_bitmap=entry.window_bitmap or None,
                )
                for entry in effect.counters
                if entry.inbound_spi in inbound
            ]
        reasons = await self._backends.for_clients(self._backends.kernel.set_numbers, changes)
        for client, reason in reasons.items():
            self._report(Report(event="window-open", client=client, detail=reason))
        return ()

    async def rekey(self, batch: Sequence[RekeyChild]) -> tuple[Input, ...]:
        """Ask for rekeys, one after the other."""
        for effect in batch:
            child = next(
                (child for child in effect.state.children if child.outbound_spi == effect.outbound_spi), None
            )
            if child is None:
                continue
            try:
                await self._backends.ike.rekey_child(effect.client, child)
            except GossipsaError as error:
                self._report(Report(event="rekey-refused", client=effect.client, detail=str(error)))
        return ()

    def _refuse(self, clients: Iterable[ClientId], reason: str) -> None:
        for client in clients:
            self._report(Report(event="move-refused", client=client, detail=reason))
