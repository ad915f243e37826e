"""What one client is made of in the kernel: SAs, what must be blocked, routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from gossipsa.errors import CallerError
from gossipsa.identifiers import ClientId
from gossipsa.ipsec.security_association import ChildSa, ClientState, SaCounters
from gossipsa.ipsec.traffic_selector import Network, TrafficSelector
from gossipsa.kernel.backend import ClientRoute, KernelSa, OutboundBlock, SaId
from gossipsa.kernel.covering_network import covering_network

_HIGHEST_PORT = 65_535

Sas = Mapping[SaId, KernelSa]


class UnblockableError(CallerError):
    """A client with everything on both ends: its block would silence the gateway itself."""


def inbound_id(state: ClientState, child: ChildSa) -> SaId:
    """The SA from client to gateway."""
    return SaId(child.inbound_spi, state.ike_sa.local.address)


def outbound_id(state: ClientState, child: ChildSa) -> SaId:
    """The SA from gateway to client."""
    return SaId(child.outbound_spi, state.ike_sa.remote.address)


def sa_ids(state: ClientState) -> tuple[SaId, ...]:
    """All SAs of a client; the outbound ones first, as those must be gone first."""
    outbound = tuple(outbound_id(state, child) for child in state.children)
    return outbound + tuple(inbound_id(state, child) for child in state.children)


def outbound_blocks(state: ClientState) -> tuple[OutboundBlock, ...]:
    """What holds back all ESP towards a client: one block a network, so that clients can share them.

    Raises:
        UnblockableError: nothing narrower than everything would do.
    """
    remote: dict[Network, None] = {}
    for address in state.ike_sa.virtual_addresses:
        remote[ip_network(address)] = None
    local: dict[Network, None] = {}
    for child in state.children:
        remote.update(dict.fromkeys(map(covering_network, child.remote_selectors)))
        local.update(dict.fromkeys(map(covering_network, child.local_selectors)))
    return tuple(block for network in remote for block in _blocks_towards(network, local))


def blocks_of(
    states: Mapping[ClientId, ClientState],
) -> tuple[dict[ClientId, tuple[OutboundBlock, ...]], dict[ClientId, str]]:
    """Blocks of several clients, and why those that are not among them cannot be blocked."""
    blocks, reasons = {}, {}
    for client, state in states.items():
        try:
            blocks[client] = outbound_blocks(state)
        except UnblockableError as error:
            reasons[client] = str(error)
    return blocks, reasons


def client_routes(state: ClientState) -> tuple[ClientRoute, ...]:
    """Host routes for a client's virtual addresses."""
    towards = state.ike_sa.remote.address
    return tuple(ClientRoute(address, towards) for address in state.ike_sa.virtual_addresses)


def counters_in(sas: Sas, state: ClientState) -> tuple[SaCounters, ...]:
    """Counters of every CHILD_SA both of whose SAs are in the kernel."""
    found = []
    for child in children_in(sas, state):
        outbound, inbound = sas[outbound_id(state, child)], sas[inbound_id(state, child)]
        found.append(
            SaCounters(
                outbound_spi=child.outbound_spi,
                inbound_spi=child.inbound_spi,
                sent=outbound.sent,
                received=inbound.received,
                window_bitmap=inbound.window_bitmap,
            )
        )
    return tuple(found)


def children_in(sas: Sas, state: ClientState) -> tuple[ChildSa, ...]:
    """CHILD_SAs that the kernel has whole. Right after a rekey the old one may be half gone."""
    return tuple(
        child
        for child in state.children
        if outbound_id(state, child) in sas and inbound_id(state, child) in sas
    )


def _blocks_towards(network: Network, local: dict[Network, None]) -> Iterator[OutboundBlock]:
    if network.prefixlen == network.max_prefixlen:
        # One host: nothing else of the gateway goes there.
        yield OutboundBlock((_everything_in(network),))
        return
    for source in local:
        if source.version != network.version:
            continue
        if source.prefixlen == network.prefixlen == 0:
            raise UnblockableError("its traffic selectors are everything to everything")
        yield OutboundBlock((_everything_in(network),), (_everything_in(source),))


def _everything_in(network: Network) -> TrafficSelector:
    return TrafficSelector(
        protocol=0,
        from_port=0,
        to_port=_HIGHEST_PORT,
        start=network.network_address,
        end=network.broadcast_address,
    )
