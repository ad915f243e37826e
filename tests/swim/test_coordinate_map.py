from __future__ import annotations

from random import Random

import pytest

from gossipsa.identifiers import GatewayName
from gossipsa.swim.coordinate_map import CoordinateMap
from gossipsa.swim.coordinates import DIMENSIONS, Coordinate, CoordinateRefusedError
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network, names
from tests.swim.claims import OTHERS, THEM

FAR = Coordinate(position_ms=(40.0,) * DIMENSIONS, height_ms=1.0, adjustment_ms=0.0, error=0.5)
RTT_NS = 100 * MILLISECOND_NS


def known(*, members_max: int = 8) -> CoordinateMap:
    return CoordinateMap(Random(1), members_max=members_max)


def take(coordinates: CoordinateMap, count: int) -> list[GatewayName]:
    return coordinates.take_wanted(count, lambda name: True)


def test_last_word_of_each_is_kept_and_moves_us() -> None:
    coordinates = known()
    before = coordinates.own
    coordinates.hear(THEM, FAR.encode(), rtt_ns=RTT_NS)
    assert coordinates.get(THEM) == FAR
    assert coordinates.own != before


@pytest.mark.parametrize(("encoded", "rtt_ns"), [(b"x", RTT_NS), (FAR.encode(), -1)])
def test_refused_word_changes_nothing(encoded: bytes, rtt_ns: int) -> None:
    coordinates = known()
    coordinates.want(THEM)
    before = coordinates.own
    with pytest.raises(CoordinateRefusedError):
        coordinates.hear(THEM, encoded, rtt_ns=rtt_ns)
    assert coordinates.get(THEM) is None
    assert coordinates.own == before
    assert take(coordinates, 1) == [THEM]


def test_one_late_packet_is_no_measurement() -> None:
    steady, disturbed = known(), known()
    for coordinates, third_ns in ((steady, RTT_NS), (disturbed, 2 * SECOND_NS)):
        for rtt_ns in (RTT_NS, RTT_NS, third_ns):
            coordinates.hear(THEM, FAR.encode(), rtt_ns=rtt_ns)
    assert steady.own == disturbed.own


def test_those_never_heard_are_asked_in_turn_until_they_answer() -> None:
    coordinates = known()
    for name in OTHERS[:3]:
        coordinates.want(name)
    assert take(coordinates, 2) == [OTHERS[0], OTHERS[1]]
    assert take(coordinates, 2) == [OTHERS[2], OTHERS[0]]
    coordinates.hear(OTHERS[1], FAR.encode(), rtt_ns=RTT_NS)
    coordinates.want(OTHERS[1])
    assert take(coordinates, 9) == [OTHERS[2], OTHERS[0]]
    # Those who are gone are not asked, and forgotten.
    assert coordinates.take_wanted(9, lambda name: False) == []
    assert take(coordinates, 9) == []


def test_those_who_said_it_are_not_asked_out_of_turn_again() -> None:
    """However many they are: the round robin asks them."""
    coordinates = known()
    for name in OTHERS[:2]:
        coordinates.want(name)
        coordinates.hear(name, FAR.encode(), rtt_ns=RTT_NS)
    assert take(coordinates, 2) == []


def test_no_more_are_kept_than_there_may_be_members() -> None:
    coordinates = known(members_max=2)
    for name in OTHERS[:3]:
        coordinates.hear(name, FAR.encode(), rtt_ns=RTT_NS)
    assert [coordinates.get(name) for name in OTHERS[:3]] == [None, FAR, FAR]


# In a mesh.


def site(name: GatewayName) -> int:
    return names(24).index(name) // 6


def between_sites(sender: GatewayName, receiver: GatewayName) -> float:
    return 1 + 10 * abs(site(sender) - site(receiver))


def test_everybody_can_estimate_everybody_soon_and_well() -> None:
    network = Network(24, seed=1, latency=between_sites)
    network.start_all(settle_ns=8 * SECOND_NS)
    for observer in network.names:
        for one in network.names:
            assert all(
                network.swim(observer).estimate_rtt_ns(one, other) is not None for other in network.names
            )
    network.run(120 * SECOND_NS)
    errors = []
    for one, other in zip(network.names, network.names[5:], strict=False):
        true_ns = 2.2 * between_sites(one, other) * MILLISECOND_NS
        estimate_ns = network.swim(network.names[0]).estimate_rtt_ns(one, other)
        assert estimate_ns is not None
        errors.append(abs(estimate_ns - true_ns) / true_ns)
    assert sorted(errors)[len(errors) // 2] < 0.2
    assert network.swim(network.names[0]).estimate_rtt_ns(network.names[3], network.names[3]) == 0
