"""Two hosts with one identity, in whole meshes: both are told, and exactly one keeps the name."""

from __future__ import annotations

import pytest

from gossipsa.identifiers import GatewayName
from gossipsa.swim.outputs import MemberFailed, MemberRestarted, NameClash, NameLost, Send
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from gossipsa.swim.swim import Swim
from sim.mesh.network import Host, Network, boot_id


class TwinNetwork(Network):
    """One name has a second host. Whatever is sent to the name reaches either of the two."""

    twin: Host | None = None
    there: tuple[GatewayName, ...] = ()
    """Cut off from all others, with the second host among them."""

    def start_twin(self, name: GatewayName, number: int) -> Swim:
        """Boot a second host under a name; its boots have other numbers than those of the first."""
        twin = Host(name=name, boots=number - 1)
        first, self.hosts[name] = self.hosts[name], twin
        swim = self.start(name)
        self.hosts[name] = first
        self.twin = twin
        return swim

    def _send(self, host: Host, send: Send) -> None:
        twin = self.twin
        if twin is None:
            super()._send(host, send)
            return
        first = self.hosts[twin.name]
        is_there = host is twin or host.name in self.there
        if send.to != twin.name:
            if not self.there or (send.to in self.there) == is_there:
                super()._send(host, send)
            return
        to_twin = is_there if self.there else self.random.random() < 0.5
        self.hosts[twin.name] = twin if to_twin else first
        super()._send(host, send)
        self.hosts[twin.name] = first

    def has_yielded(self, host: Host) -> bool:
        assert host.swim is not None
        return host.swim.name_lost

    def boots_known(self, name: GatewayName) -> set[bytes]:
        """As what the others know a member that they take for alive."""
        views = [self.swim(other).member(name) for other in self.names if other != name]
        return {view.boot for view in views if view is not None and view.state.live}


def settled(count: int, seed: int) -> TwinNetwork:
    network = TwinNetwork(count, seed=seed, watched=2)
    network.start_all()
    assert network.agreed()
    return network


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("age_s", [4, 20])
def test_newer_host_keeps_the_name_and_both_are_told(seed: int, age_s: int) -> None:
    network = settled(5, seed)
    name = network.names[1]
    network.run(age_s * SECOND_NS)
    network.told.clear()
    newer = network.start_twin(name, 100 + seed)
    older = network.hosts[name]
    network.run(10 * SECOND_NS)
    assert network.has_yielded(older)
    assert not newer.name_lost
    assert network.boots_known(name) == {boot_id(name, 100 + seed)}
    events = [told.event for told in network.told if told.observer == name]
    clashes = {event.boot for event in events if isinstance(event, NameClash)}
    assert clashes == {boot_id(name, 1), boot_id(name, 100 + seed)}
    lost = [event for event in events if isinstance(event, NameLost)]
    assert lost == [NameLost(successor=boot_id(name, 100 + seed))]
    # Told once, and no endless outbidding.
    assert sum(isinstance(event, NameClash) for event in events) == 2
    assert network.count(MemberRestarted) <= 4 * (len(network.names) - 1)
    # The older one is silent, and nobody fails the newer one for it.
    network.told.clear()
    said = older.sent.packets
    incarnation = newer.incarnation
    network.run(20 * SECOND_NS)
    assert (older.sent.packets, newer.incarnation) == (said, incarnation)
    assert network.count(MemberFailed) == 0


def test_of_hosts_started_together_one_keeps_the_name() -> None:
    for seed in range(4):
        network = settled(5, seed)
        name = network.names[1]
        newer = network.start_twin(name, 100 + seed)
        network.run(10 * SECOND_NS)
        assert network.has_yielded(network.hosts[name]) != newer.name_lost
        assert len(network.boots_known(name)) == 1


@pytest.mark.parametrize("seed", range(2))
def test_hosts_that_met_in_no_time_settle_it_when_a_partition_heals(seed: int) -> None:
    network = settled(6, seed)
    name, there = network.names[1], network.names[3:]
    network.there = tuple(there)
    network.start_twin(name, 100)
    network.run(20 * SECOND_NS)
    assert network.boots_known(name) == {boot_id(name, 1), boot_id(name, 100)}
    network.there = ()
    network.run(20 * SECOND_NS)
    assert network.twin is not None
    yielded = [network.has_yielded(network.hosts[name]), network.has_yielded(network.twin)]
    assert sorted(yielded) == [False, True]
    assert len(network.boots_known(name)) == 1


@pytest.mark.parametrize("down_ms", [1, 50, 3_000])
def test_restart_is_no_clash(down_ms: int) -> None:
    network = settled(4, 1)
    name = network.names[1]
    for _ in range(5):
        network.kill(name)
        network.run(down_ms * MILLISECOND_NS)
        network.start(name)
        network.run(3 * SECOND_NS)
        assert network.agreed()
    assert not any(isinstance(told.event, NameClash | NameLost) for told in network.history)


def test_restart_after_long_solitude_is_no_clash() -> None:
    """It was alone for so long that it is not young any more when it hears of its last run."""
    network = settled(4, 1)
    name = network.names[1]
    network.partition([name], [other for other in network.names if other != name])
    for _ in range(2):
        network.run(5 * SECOND_NS)
        network.kill(name)
        network.start(name)
    network.run(60 * SECOND_NS)
    network.heal()
    assert network.run(10 * SECOND_NS, until=network.agreed) < 5 * SECOND_NS
    assert not any(isinstance(told.event, NameClash | NameLost) for told in network.history)
