"""Puts clients into kernel and IKE daemon, and takes them away again.

The order is what keeps sequence numbers unique. Outbound is blocked before the IKE daemon installs SAs whose
numbers begin at zero, and stays blocked until numbers and limit are set and the client has answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import trio

from gossipsa.daemon.backends import Backends, Reasons, only, without
from gossipsa.daemon.client_parts import (
    blocks_of,
    client_routes,
    counters_in,
    inbound_id,
    outbound_id,
    sa_ids,
)
from gossipsa.daemon.packet_limits import lane_limit
from gossipsa.effects import ActivateClient, InstallClient, RemoveClient, Report, RouteClient
from gossipsa.errors import KernelError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ActivateClient as IkeActivation
from gossipsa.ike_daemon import ImportClient
from gossipsa.inputs import ClientActivated, ClientFailed, ClientInstalled, ClientRemoved, Input
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.kernel.backend import SetNumbers, SetPacketLimit

States = Mapping[ClientId, ClientState]

_SAS_WAIT_S = 1.0
_SAS_POLL_S = 0.02


class ClientInstaller:
    """Carries out effects in batches of one kind, no client twice in a batch.

    Activation and removal have two parts, so that the kernel's part never waits for the IKE daemon.
    """

    def __init__(self, backends: Backends, *, report: Callable[[Report], None]) -> None:
        self._backends = backends
        self._report = report
        self._first_reasons: Reasons = {}
        self._last_counters: dict[ClientId, tuple[SaCounters, ...]] = {}

    async def install(self, batch: Sequence[InstallClient]) -> tuple[Input, ...]:
        """Block, import, set limits and numbers. A client that fails anywhere is taken away again."""
        states = {effect.client: effect.state for effect in batch}
        reasons: Reasons = {}
        limits: dict[ClientId, list[SetPacketLimit]] = {}
        numbers: dict[ClientId, list[SetNumbers]] = {}
        for effect in batch:
            try:
                limits[effect.client], numbers[effect.client] = _fences(effect)
            except ValueError as error:
                reasons[effect.client] = str(error)
        blocks, unblockable = blocks_of(without(states, reasons))
        reasons |= unblockable
        reasons |= await self._backends.block(blocks)

        tried = without(states, reasons)
        imports = {client: ImportClient(client=client, state=state) for client, state in tried.items()}
        ike, kernel = self._backends.ike, self._backends.kernel
        reasons |= await self._backends.ask_ike(ike.import_clients, imports)
        reasons |= await self._await_sas(without(tried, reasons))
        # Limits before numbers: a count beyond a limit of the IKE daemon's own would make the SA expire.
        reasons |= await self._backends.for_clients(kernel.set_packet_limits, without(limits, reasons))
        reasons |= await self._backends.for_clients(kernel.set_numbers, without(numbers, reasons))

        await self.undo(only(tried, reasons))
        # Those that were blocked, or half so, and never imported.
        await self._backends.unblock([client for client in blocks if client not in tried])
        return tuple(
            ClientFailed(client=effect.client, epoch=effect.epoch, reason=reasons[effect.client])
            if effect.client in reasons
            else ClientInstalled(client=effect.client, epoch=effect.epoch)
            for effect in batch
        )

    async def _await_sas(self, states: States) -> Reasons:
        """Wait until the kernel has what the IKE daemon was given: only the kernel tells for certain."""
        missing = dict(states)
        with trio.move_on_after(_SAS_WAIT_S):
            while missing:
                try:
                    present = await self._backends.kernel_sas()
                except KernelError as error:
                    return dict.fromkeys(missing, str(error))
                missing = {
                    client: state
                    for client, state in missing.items()
                    if not present.keys() >= set(sa_ids(state))
                }
                if missing:
                    await trio.sleep(_SAS_POLL_S)
        return dict.fromkeys(missing, "the IKE daemon did not install its SAs; its log tells why")

    async def let_through(self, batch: Sequence[ActivateClient]) -> tuple[Input, ...]:
        """First part of an activation: unblock, add routes.

        Traffic comes first, since the client waits for it, and it flows even if the IKE daemon refuses: the
        client has moved here, and has nobody else.
        """
        states = {effect.client: effect.state for effect in batch}
        self._first_reasons |= await self._backends.unblock(states)
        await self._route(states)
        return ()

    async def activate(self, batch: Sequence[ActivateClient]) -> tuple[Input, ...]:
        """Second part: let the IKE daemon answer."""
        activations = {
            effect.client: IkeActivation(
                client=effect.client, message_id_initiator=effect.message_id_initiator
            )
            for effect in batch
        }
        reasons = self._take_first_reasons(activations)
        reasons |= await self._backends.ask_ike(self._backends.ike.activate_clients, activations)
        return tuple(
            ClientFailed(client=effect.client, epoch=effect.epoch, reason=reasons[effect.client])
            if effect.client in reasons
            else ClientActivated(client=effect.client, epoch=effect.epoch)
            for effect in batch
        )

    async def cut_off(self, batch: Sequence[RemoveClient]) -> tuple[Input, ...]:
        """First part of a removal: nothing is sent under keys that are no longer ours to use."""
        states = {effect.client: effect.state for effect in batch}
        # With its SAs gone and its policy still there, a packet would make the kernel ask the IKE daemon for
        # a new CHILD_SA, and leave a larval SA that fails the next import.
        blocks, _ = blocks_of(states)
        await self._backends.block(blocks)
        await self._note_last_counters(states)
        self._first_reasons |= await self._delete_sas(states)
        return ()

    async def remove(self, batch: Sequence[RemoveClient]) -> tuple[Input, ...]:
        """Second part: the rest, without a word to the client."""
        states = {effect.client: effect.state for effect in batch}
        reasons = await self._clear_away(states, self._take_first_reasons(states))
        for client in reasons:
            self._last_counters.pop(client, None)
        return tuple(
            ClientFailed(client=effect.client, epoch=effect.epoch, reason=reasons[effect.client])
            if effect.client in reasons
            else ClientRemoved(
                client=effect.client,
                epoch=effect.epoch,
                counters=self._last_counters.pop(effect.client, ()),
            )
            for effect in batch
        )

    async def undo(self, states: States) -> None:
        """Take away blocked clients of which something went wrong."""
        if not states:
            return
        reasons = await self._clear_away(states, await self._delete_sas(states))
        for client, reason in reasons.items():
            self._report(Report(event="undo-incomplete", client=client, detail=reason))

    async def route(self, batch: Sequence[RouteClient]) -> tuple[Input, ...]:
        """Add or delete routes. Refusals are reported; nothing is answered."""
        await self._route({effect.client: effect.state for effect in batch if effect.present})
        gone = {effect.client: effect.state for effect in batch if not effect.present}
        for client, reason in (await self._backends.delete_routes(gone)).items():
            self._report(Report(event="route-refused", client=client, detail=reason))
        return ()

    async def _note_last_counters(self, states: States) -> None:
        """Whoever serves these clients next may want to know what was received here."""
        try:
            sas = await self._backends.kernel_sas()
        except KernelError:
            return
        for client, state in states.items():
            self._last_counters[client] = counters_in(sas, state)

    async def _delete_sas(self, states: States) -> Reasons:
        ids = {client: sa_ids(state) for client, state in states.items()}
        return await self._backends.for_clients(self._backends.kernel.delete_sas, ids)

    async def _clear_away(self, states: States, undeleted: Reasons) -> Reasons:
        """Everything but the kernel's SAs, which are deleted already.

        Args:
            undeleted: clients of which an SA could not be deleted: they stay blocked.
        """
        backends = self._backends
        forget = {client: client for client in states}
        reasons = await backends.ask_ike(backends.ike.forget_clients, forget)
        reasons |= await backends.delete_routes(states)
        reasons |= await backends.unblock([client for client in states if client not in undeleted])
        return reasons | undeleted

    def _take_first_reasons(self, clients: Iterable[ClientId]) -> Reasons:
        """What went wrong in the first part, of these clients."""
        return {
            client: self._first_reasons.pop(client) for client in clients if client in self._first_reasons
        }

    async def _route(self, states: States) -> None:
        routes = {client: client_routes(state) for client, state in states.items()}
        for client, reason in (await self._backends.add_routes(routes)).items():
            self._report(Report(event="route-refused", client=client, detail=reason))


def _fences(effect: InstallClient) -> tuple[list[SetPacketLimit], list[SetNumbers]]:
    """Limits and numbers for every SA of a client.

    Raises:
        ValueError: a CHILD_SA without numbers of its own, or without any left: it would use others' again.
    """
    by_spi = {entry.outbound_spi: entry for entry in effect.numbers}
    limits: list[SetPacketLimit] = []
    numbers: list[SetNumbers] = []
    for child in effect.state.children:
        entry = by_spi.get(child.outbound_spi)
        if entry is None or entry.sent >= entry.packet_limit:
            raise ValueError(f"no sequence numbers for SPI {child.outbound_spi:08x}")
        outbound = outbound_id(effect.state, child)
        limits.append(lane_limit(outbound, sent=entry.sent, last=entry.packet_limit))
        numbers.append(SetNumbers(id=outbound, sent=entry.sent))
        numbers.append(
            SetNumbers(
                id=inbound_id(effect.state, child),
                received=entry.received,
                window_bitmap=entry.window_bitmap or None,
            )
        )
    return limits, numbers
