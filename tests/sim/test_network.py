"""The simulated network: what it may do to a packet, and what not."""

from __future__ import annotations

import pytest

from sim.network import DATAGRAM_TRAFFIC, MESH_TRAFFIC, STREAM_TRAFFIC, Network, Traffic, Weather
from sim.random_streams import RandomStreams
from sim.trace import Trace
from sim.virtual_clock import SECOND_NS, VirtualClock


class Wire:
    """A network with two nodes, and what arrived at `b` (from `a`) or at `a` (from `b`)."""

    def __init__(self, weather: Weather | None = None, *, seed: int = 1) -> None:
        self.clock = VirtualClock()
        self.network = Network(
            clock=self.clock,
            streams=RandomStreams(seed),
            trace=Trace(self.clock),
            weather=weather or Weather(),
        )
        self.arrived: list[bytes] = []

    def send(self, count: int, *, source: str = "a", destination: str = "b") -> None:
        for index in range(count):
            self.network.send(
                source, destination, Traffic.MESH, index.to_bytes(2, "big"), self.arrived.append
            )

    def send_frames(self, count: int) -> None:
        for index in range(count):
            self.network.send_frame("a", "b", index.to_bytes(2, "big"), self.arrived.append)

    def wait(self, duration_ns: int = 10 * SECOND_NS) -> list[bytes]:
        self.clock.run_until(self.clock.now_ns + duration_ns)
        return self.arrived


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_fair_weather_delivers_everything_once(wire: Wire) -> None:
    wire.send(200)
    assert sorted(wire.wait()) == [index.to_bytes(2, "big") for index in range(200)]


def test_packets_arrive_after_a_latency_that_both_directions_share(wire: Wire) -> None:
    assert wire.network.latency_ns("a", "b") == wire.network.latency_ns("b", "a") > 0
    wire.send(1)
    assert wire.wait(wire.network.latency_ns("a", "b") - 1) == []
    assert len(wire.wait()) == 1


def test_loss_takes_about_its_share() -> None:
    wire = Wire(Weather(loss=0.3))
    wire.send(2000)
    assert 1300 < len(wire.wait()) < 1500


def test_duplication_delivers_the_same_packet_twice() -> None:
    wire = Wire(Weather(duplication=0.5))
    wire.send(1000)
    arrived = wire.wait()
    assert 1400 < len(arrived) < 1600
    assert len(set(arrived)) == 1000


def test_late_packets_are_overtaken() -> None:
    wire = Wire(Weather(lateness=0.3))
    wire.send(100)
    arrived = wire.wait()
    assert sorted(arrived) != arrived
    assert len(arrived) == 100


def test_cut_holds_one_way_until_it_is_mended(wire: Wire) -> None:
    cut = wire.network.cut(["a"], ["b"])
    wire.send(1)
    assert wire.wait() == []
    wire.send(1, source="b", destination="a")
    assert len(wire.wait()) == 1
    wire.network.mend(cut)
    wire.send(1)
    assert len(wire.wait()) == 2


def test_cut_takes_what_is_under_way(wire: Wire) -> None:
    wire.send(1)
    wire.network.cut(["a"], ["b"])
    assert wire.wait() == []


def test_cut_of_one_traffic_lets_the_others_pass(wire: Wire) -> None:
    wire.network.cut(["a"], ["b"], MESH_TRAFFIC)
    wire.network.send("a", "b", Traffic.IKE, b"ike", wire.arrived.append)
    wire.send(1)
    assert wire.wait() == [b"ike"]


def test_streams_keep_their_order_and_lose_nothing_in_bad_weather() -> None:
    wire = Wire(Weather(loss=0.3, duplication=0.3, lateness=0.5))
    wire.send_frames(200)
    assert wire.wait(60 * SECOND_NS) == [index.to_bytes(2, "big") for index in range(200)]


def test_broken_stream_loses_what_is_under_way_and_nothing_sent_later(wire: Wire) -> None:
    wire.send_frames(3)
    wire.network.break_streams("b")
    wire.network.send_frame("a", "b", b"later", wire.arrived.append)
    assert wire.wait() == [b"later"]


def test_stream_needs_both_directions(wire: Wire) -> None:
    wire.network.cut(["b"], ["a"])
    wire.send_frames(1)
    assert wire.wait() == []


def test_datagrams_and_streams_are_cut_each_for_itself(wire: Wire) -> None:
    cut = wire.network.cut(["a"], ["b"], DATAGRAM_TRAFFIC)
    wire.send(1)
    wire.network.send_frame("a", "b", b"frame", wire.arrived.append)
    assert wire.wait() == [b"frame"]
    wire.network.mend(cut)
    wire.arrived.clear()
    wire.network.cut(["a"], ["b"], STREAM_TRAFFIC)
    wire.send(1)
    wire.network.send_frame("a", "b", b"frame", wire.arrived.append)
    assert wire.wait() == [(0).to_bytes(2, "big")]


def test_cut_changes_nobody_elses_luck() -> None:
    with_cut, without = Wire(Weather(loss=0.5)), Wire(Weather(loss=0.5))
    cut = with_cut.network.cut(["a"], ["b"])
    for wire in (with_cut, without):
        wire.send(20)
        wire.wait()
    with_cut.network.mend(cut)
    for wire in (with_cut, without):
        wire.arrived.clear()
        wire.send(20)
    assert with_cut.wait() == without.wait()
