"""Takeover planning: from the verdict on a gateway with many clients to the first of them installed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from ipaddress import IPv4Address
from random import Random

from examples.demo.client_states import Draw, invent_client
from gossipsa.effects import InstallClient, Report
from gossipsa.identifiers import ClientId, Endpoint, GatewayName
from gossipsa.inputs import ClientChanged, ClientDeleted
from gossipsa.ipsec.security_association import ClientState
from gossipsa.replication.shards import SHARD_COUNT, shard_of
from tests.bench.state.figures import Planning
from tests.bench.state.linked_cores import LinkedCores, Step

_S = 1_000_000_000
OWNER, TAKER, OTHER = GatewayName("owner"), GatewayName("taker"), GatewayName("other")
_CLIENT_NETWORK = IPv4Address("10.9.0.0")
_PLANNED_WITHIN_NS = 2 * _S
_COST_NS = 50_000
_GATEWAY = Endpoint(IPv4Address("10.0.0.1"), 4500)


def measure_planning(clients: int) -> Planning:
    """Real cores of the taker and of the other replica; the dead one is silent.

    Every client has the taker first among its replicas: it begins with all of them at once.
    """
    cores = mesh_with_clients(clients)
    gc.collect()
    gc.freeze()
    try:
        return _plan(cores, clients)
    finally:
        gc.unfreeze()


def mesh_with_clients(clients: int, *, cost_ns: int | None = None) -> LinkedCores:
    """Three cores, of which OWNER has clients, all replicated, that TAKER takes first."""
    # The way there costs always the same: round-trip times, and so who is nearest, depend on no machine.
    cores = LinkedCores((OWNER, TAKER, OTHER), cost_ns=_COST_NS)
    cores.run_until(lambda: _sees_all(cores), within_ns=30 * _S)
    for _ in cores.run(for_ns=3 * _S):
        pass
    draw = Random(11).randbytes
    wanted = _shards_of_taker(cores, draw)
    made = 0
    while made < clients:
        client, state = _invent(made, draw)
        if shard_of(client, owner=OWNER) in wanted:
            cores.give(OWNER, ClientChanged(client=client, state=state))
            made += 1
            if made % 64 == 0:
                for _ in cores.run(for_ns=_S // 1000):
                    pass
    owner = cores.cores[OWNER]
    cores.run_until(lambda: not owner.short_of_copies, within_ns=60 * _S)
    cores.cost_ns = cost_ns
    return cores


def _plan(cores: LinkedCores, clients: int) -> Planning:
    """Lets the mesh find out that the owner is dead, and counts from the input that makes the taker begin."""
    cores.kill(OWNER)
    steps = cores.run(for_ns=30 * _S)
    verdict = next(step for step in steps if step.name == TAKER and _reports(step, "takeover-begun"))
    at_taker = [verdict]
    first = next(step for step in _of_taker(steps, at_taker) if _installs(step))
    # Nothing is ever installed here: all other clients come to wait for their turn.
    for _ in _of_taker(cores.run(for_ns=_PLANNED_WITHIN_NS), at_taker):
        pass
    return Planning(
        clients=clients,
        first_install_s=(first.ended_ns - verdict.begun_ns) / _S,
        longest_step_s=max(step.cpu_ns for step in at_taker) / _S,
        all_planned_s=sum(step.cpu_ns for step in at_taker) / _S,
    )


def _of_taker(steps: Iterator[Step], seen: list[Step]) -> Iterator[Step]:
    for step in steps:
        if step.name == TAKER:
            seen.append(step)
            yield step


def _installs(step: Step) -> bool:
    return any(isinstance(effect, InstallClient) for effect in step.effects)


def _reports(step: Step, event: str) -> bool:
    return any(isinstance(effect, Report) and effect.event == event for effect in step.effects)


def _sees_all(cores: LinkedCores) -> bool:
    return all(
        sum(member.state == "alive" for member in core.status(now_ns=cores.now_ns).members)
        == len(cores.cores) - 1
        for core in cores.cores.values()
    )


def _shards_of_taker(cores: LinkedCores, draw: Draw) -> frozenset[int]:
    """Shards of the owner whose clients the taker takes first: the records of a few clients tell."""
    shards: dict[int, ClientId] = {}
    for index in range(100 * SHARD_COUNT):
        client, state = _invent(index, draw)
        if shards.setdefault(shard_of(client, owner=OWNER), client) == client:
            cores.give(OWNER, ClientChanged(client=client, state=state))
        if len(shards) == SHARD_COUNT:
            break
    first = {
        shard_of(ClientId(bytes.fromhex(status.client)), owner=OWNER)
        for status in cores.cores[OWNER].status(now_ns=cores.now_ns).clients
        if status.replicas[:1] == (TAKER,)
    }
    for client in shards.values():
        cores.give(OWNER, ClientDeleted(client=client))
    return frozenset(first)


def _invent(index: int, draw: Draw) -> tuple[ClientId, ClientState]:
    return invent_client(
        index=index, client=Endpoint(_CLIENT_NETWORK + 1 + index, 4500), gateway=_GATEWAY, draw=draw
    )
