"""Keeps clients that are here already: after the IKE daemon restarted, and after we did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio

from gossipsa.daemon.backends import IKE_TIMEOUT_S, Backends, Reasons, without
from gossipsa.daemon.client_installer import ClientInstaller
from gossipsa.daemon.client_parts import (
    Sas,
    blocks_of,
    children_in,
    counters_in,
    inbound_id,
    outbound_id,
    sa_ids,
)
from gossipsa.daemon.packet_limits import creator_limit, is_fenced, last_number_of, limit_as_before
from gossipsa.effects import AdoptClients, Report, RestoreClient
from gossipsa.errors import IkeDaemonError, KernelError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ActivateClient, ImportClient
from gossipsa.inputs import ClientFailed, ClientRestored, ClientsAdopted, Input
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import KernelSa, SetNumbers, SetPacketLimit

SENT_MARGIN = 1000
"""Numbers left out when an SA is installed anew: packets that had passed the block when it came may have been
numbered after the counters were read."""


class ClientKeeper:
    """Carries out RestoreClient in batches, no client twice in one, and AdoptClients."""

    def __init__(
        self, backends: Backends, installer: ClientInstaller, *, report: Callable[[Report], None]
    ) -> None:
        self._backends = backends
        self._installer = installer
        self._report = report

    async def restore(self, batch: Sequence[RestoreClient]) -> tuple[Input, ...]:
        """Put clients back into a restarted IKE daemon, with the numbers that the kernel still has.

        The daemon can install only SAs that are not there, so the kernel's go first; their policies before
        them, or a packet would leave a larval SA in the way; and the block before all, since nothing may go
        out in the clear meanwhile. Traffic rests from the block to the unblock.
        """
        states = {effect.client: effect.state for effect in batch}
        # A daemon that is up has yet to load its configuration: traffic goes on meanwhile.
        unready = await self._backends.ask_ike(
            self._backends.ike.await_configured,
            {client: ImportClient(client=client, state=state) for client, state in states.items()},
        )
        blocks, reasons = blocks_of(without(states, unready))
        reasons |= unready
        reasons |= await self._backends.block(blocks)
        untouched = dict.fromkeys(blocks)
        try:
            if len(reasons) < len(states):
                sas = await self._backends.kernel_sas()
                present, lost = _present(without(states, reasons), sas)
                reasons |= lost
                reasons |= await self._backends.for_clients(
                    self._backends.kernel.delete_outbound_policies,
                    {client: blocks[client] for client in present},
                )
                # From here on there is no way back for those that are left.
                for client in without(present, reasons):
                    del untouched[client]
                reasons |= await self._reinstall(states, without(present, reasons), sas)
        except KernelError as error:
            reasons = dict.fromkeys(states, str(error)) | reasons
        await self._backends.unblock(untouched)
        return tuple(
            ClientFailed(client=effect.client, epoch=effect.epoch, reason=reasons[effect.client])
            if effect.client in reasons
            else ClientRestored(client=effect.client, epoch=effect.epoch)
            for effect in batch
        )

    async def adopt(self, effect: AdoptClients) -> tuple[Input, ...]:
        """Find out which clients kernel and IKE daemon still hold, and take up with them."""
        states = dict(effect.clients)
        try:
            sas = await self._backends.kernel_sas()
            with trio.fail_after(IKE_TIMEOUT_S):
                held = await self._backends.ike.adopt_clients(
                    [ImportClient(client=client, state=state) for client, state in states.items()]
                )
        except (KernelError, IkeDaemonError, trio.TooSlowError) as error:
            self._report(Report(event="adoption-failed", detail=str(error) or "no answer"))
            return (ClientsAdopted(clients=(), absent=tuple(states), counters=()),)
        # Whom the daemon holds is here, whatever the kernel has: rekeys may have replaced every SA we knew.
        kept = {client: states[client] for client in held}
        astray = {client: state for client, state in kept.items() if _is_astray(state, sas)}
        for client in astray:
            del kept[client]
            self._report(Report(event="unfenced-client-dropped", client=client))
        await self._installer.undo(astray)
        await self._take_up(kept, sas)
        return (
            ClientsAdopted(
                clients=tuple(kept),
                absent=tuple(client for client in states if client not in kept),
                counters=tuple(counters for state in kept.values() for counters in counters_in(sas, state)),
            ),
        )

    async def _reinstall(
        self, whole: Mapping[ClientId, ClientState], states: Mapping[ClientId, ClientState], sas: Sas
    ) -> Reasons:
        """Delete kernel SAs, import, set limits and numbers, unblock, activate.

        Args:
            whole: the clients with all the CHILD_SAs that they are said to have.
            states: those to restore, with the CHILD_SAs that the kernel has.
        """
        backends, kernel, ike = self._backends, self._backends.kernel, self._backends.ike
        reasons = await backends.for_clients(
            kernel.delete_sas, {client: sa_ids(whole[client]) for client in states}
        )
        imports = {client: ImportClient(client=client, state=state) for client, state in states.items()}
        reasons |= await backends.ask_ike(ike.import_clients, without(imports, reasons))
        limits: dict[ClientId, list[SetPacketLimit]] = {}
        numbers: dict[ClientId, list[SetNumbers]] = {}
        for client, state in without(states, reasons).items():
            limits[client], numbers[client] = _fences_as_before(state, sas)
        reasons |= await backends.for_clients(kernel.set_packet_limits, limits)
        reasons |= await backends.for_clients(kernel.set_numbers, without(numbers, reasons))
        restored = without(states, reasons)
        await backends.unblock(restored)
        reasons |= await backends.ask_ike(
            ike.activate_clients,
            {
                client: ActivateClient(client=client, message_id_initiator=state.ike_sa.message_id_initiator)
                for client, state in restored.items()
            },
        )
        await self._installer.undo({client: states[client] for client in reasons})
        return reasons

    async def _take_up(self, states: Mapping[ClientId, ClientState], sas: Sas) -> None:
        """What an earlier boot left half done: fences come, blocks go, routes are ours again."""
        unfenced = {
            client: [creator_limit(sa.id) for sa in _outbound(sas, state) if not is_fenced(sa)]
            for client, state in states.items()
        }
        refused = await self._backends.for_clients(self._backends.kernel.set_packet_limits, unfenced)
        for client, reason in refused.items():
            self._report(Report(event="fence-refused", client=client, detail=reason))
        blocks, _ = blocks_of(states)
        for client, of_client in blocks.items():
            self._backends.expect_blocks(client, of_client)
        await self._backends.unblock(blocks)
        try:
            routes = set(await self._backends.kernel.routes())
        except KernelError as error:
            self._report(Report(event="route-refused", detail=str(error)))
            return
        for client, state in states.items():
            self._backends.expect_routes(
                client, [address for address in state.ike_sa.virtual_addresses if address in routes]
            )


def _present(states: Mapping[ClientId, ClientState], sas: Sas) -> tuple[dict[ClientId, ClientState], Reasons]:
    """The clients without the CHILD_SAs that the kernel lacks; those that have none left fail."""
    present: dict[ClientId, ClientState] = {}
    reasons: Reasons = {}
    for client, state in states.items():
        children = tuple(
            child
            for child in children_in(sas, state)
            if (outbound := sas[outbound_id(state, child)]).sent < last_number_of(outbound)
        )
        if state.children and not children:
            reasons[client] = "the kernel has no SA of it any more that could go on"
        else:
            present[client] = msgspec.structs.replace(state, children=children)
    return present, reasons


def _outbound(sas: Sas, state: ClientState) -> list[KernelSa]:
    return [sas[outbound_id(state, child)] for child in children_in(sas, state)]


def _is_astray(state: ClientState, sas: Sas) -> bool:
    """True if an SA has left the creator's numbers without a fence: it could run into others' lanes."""
    return any(sa.sent > last_number_of(sa) for sa in _outbound(sas, state))


def _fences_as_before(state: ClientState, sas: Sas) -> tuple[list[SetPacketLimit], list[SetNumbers]]:
    limits: list[SetPacketLimit] = []
    numbers: list[SetNumbers] = []
    for child in state.children:
        outbound, inbound = sas[outbound_id(state, child)], sas[inbound_id(state, child)]
        # The margin must leave a number, or the limit would end what is restored.
        sent = max(outbound.sent, min(outbound.sent + SENT_MARGIN, last_number_of(outbound) - 1))
        limits.append(limit_as_before(outbound, sent=sent))
        numbers.append(SetNumbers(id=outbound.id, sent=sent))
        numbers.append(
            SetNumbers(id=inbound.id, received=inbound.received, window_bitmap=inbound.window_bitmap)
        )
    return limits, numbers
