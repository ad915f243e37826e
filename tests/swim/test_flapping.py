"""Members that keep failing and returning, in whole meshes."""

from __future__ import annotations

from dataclasses import replace

from gossipsa.identifiers import GatewayName
from gossipsa.swim.outputs import MemberFailed, MemberFlapping, MemberSteady, MemberSuspected
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network


def flapping_network(*, cycles: int) -> tuple[Network, GatewayName]:
    """One of eight is cut off and comes back, again and again."""
    network = Network(8, seed=1, watched=4, settings=replace(LAN, flap_half_life_ns=10 * SECOND_NS))
    network.start_all()
    flapper, *others = network.names
    for _ in range(cycles):
        network.partition([flapper], others)
        network.run(1_500 * MILLISECOND_NS)
        network.heal()
        network.run(2 * SECOND_NS)
        assert network.agreed()
    return network, flapper


def detection_ns(network: Network, victim: GatewayName) -> int:
    network.kill(victim)
    return network.run(10 * SECOND_NS, until=network.agreed)


def test_member_that_keeps_failing_and_returning_is_told_as_flapping_and_stays_a_member() -> None:
    network, flapper = flapping_network(cycles=4)
    observers = [name for name in network.names if name != flapper]
    told = [seen.observer for seen in network.told if seen.event == MemberFlapping(name=flapper)]
    assert sorted(told) == observers
    for name in observers:
        views = network.swim(name).members
        assert [view.name for view in views.values() if view.flapping] == [flapper]
        assert views[flapper].state.live


def test_one_absence_is_no_flapping() -> None:
    network, _ = flapping_network(cycles=1)
    assert network.count(MemberFailed) > 0
    assert network.count(MemberFlapping) == 0


def test_flapping_member_is_given_the_longest_time_to_refute() -> None:
    steady, victim = flapping_network(cycles=1)
    flapping, flapper = flapping_network(cycles=4)
    assert detection_ns(steady, victim) < SECOND_NS < detection_ns(flapping, flapper) < 3 * SECOND_NS


def test_suspicion_of_a_flapping_member_costs_less() -> None:
    def told_about(network: Network, name: GatewayName) -> int:
        network.updates_seen.clear()
        network.told.clear()
        network.kill(name)
        network.run(network.settings.suspicion_max_ns // 2)
        assert network.count(MemberSuspected) > 0
        return network.updates_seen[name]

    steady, victim = flapping_network(cycles=1)
    flapping, flapper = flapping_network(cycles=4)
    assert told_about(flapping, flapper) < 0.8 * told_about(steady, victim)


def test_member_that_calms_down_is_steady_again() -> None:
    network, flapper = flapping_network(cycles=4)
    network.told.clear()
    network.run(60 * SECOND_NS)
    assert {told.event for told in network.told if isinstance(told.event, MemberSteady)} == {
        MemberSteady(name=flapper)
    }
    assert network.count(MemberSteady) == 7
    assert detection_ns(network, flapper) < SECOND_NS
