"""The timeline, from event files as daemons write them and from what clients saw."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest

from examples.demo.analysis import Run
from examples.demo.happenings import EventFiles
from examples.demo.mesh_files import GatewayFiles, LoopbackAddresses, write_mesh
from examples.demo.observation import ClientObservation, Move, PacketSeen
from examples.demo.timeline import client_timeline, reported_timeline
from gossipsa.daemon.event_log import EventLine
from gossipsa.identifiers import Endpoint

ALPHA = Endpoint(IPv4Address("127.77.0.1"), 4500)
BRAVO = Endpoint(IPv4Address("127.77.0.2"), 4500)
RUN = Run(killed=ALPHA, started_at_ns=0, killed_at_ns=1_000, ended_at_ns=9_000, served_within_ns=500)


@pytest.fixture
def gateways(tmp_path: Path) -> tuple[GatewayFiles, ...]:
    return write_mesh(tmp_path, count=3, addresses=LoopbackAddresses(bytes), draw=Counting())


class Counting:
    """Draws other bytes each time."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(size, "big")


def append(gateway: GatewayFiles, at_ns: int, event: str, about: str, *, end: bytes = b"\n") -> None:
    line = EventLine(time=0.0, monotonic_ns=at_ns, level="info", event=event, own=gateway.name, gateway=about)
    with gateway.events.open("ab") as file:
        file.write(msgspec.json.encode(line) + end)


def test_the_first_report_of_each_kind_after_the_kill_counts(gateways: tuple[GatewayFiles, ...]) -> None:
    killed, one, other = gateways
    events = EventFiles(gateways)
    append(one, 500, "gateway-suspected", killed.name)
    append(one, 520, "gateway-refuted", killed.name)
    append(one, 1_400, "gateway-suspected", killed.name)
    append(other, 1_300, "gateway-suspected", killed.name)
    append(other, 1_600, "gateway-failed", killed.name)
    append(one, 1_700, "gateway-failed", killed.name)
    append(one, 1_650, "gateway-failed", other.name)
    events.look()

    timeline = reported_timeline(events, name=killed.name, killed_at_ns=RUN.killed_at_ns)

    assert [entry.after_kill_ns for entry in timeline] == [0, 300, 600]
    assert "detected" in timeline[-1].text


def test_the_latest_opinion_of_each_gateway_counts(gateways: tuple[GatewayFiles, ...]) -> None:
    killed, one, other = gateways
    events = EventFiles(gateways)
    append(one, 1, "gateway-alive", killed.name)
    append(other, 2, "gateway-alive", killed.name)
    events.look()
    assert events.opinions_about(killed.name) == {"alive": 2}

    append(one, 3, "gateway-suspected", killed.name)
    append(other, 4, "gateway-failed", killed.name)
    append(other, 5, "gateway-failed", one.name)
    events.look()
    assert events.opinions_about(killed.name) == {"suspected": 1, "failed": 1}


def test_half_a_line_is_read_when_it_is_whole(gateways: tuple[GatewayFiles, ...]) -> None:
    killed, one, _ = gateways
    events = EventFiles(gateways)
    append(one, 1, "gateway-alive", killed.name, end=b"")
    events.look()
    assert events.happenings == []

    with one.events.open("a", encoding="utf-8") as file:
        file.write("\n")
    events.look()
    events.look()
    assert [happening.monotonic_ns for happening in events.happenings] == [1]


def orphan(client: str, *, moved_ns: int, served_ns: int) -> ClientObservation:
    return ClientObservation(
        client=client,
        first_gateway=ALPHA,
        packets=(
            PacketSeen(at_ns=900, gateway=ALPHA, spi=1, sequence=1, iv=b""),
            PacketSeen(at_ns=served_ns, gateway=BRAVO, spi=1, sequence=2, iv=b""),
        ),
        moves=(Move(at_ns=moved_ns, origin=ALPHA, destination=BRAVO),),
    )


def test_the_clients_timeline_runs_from_the_first_answer_to_the_last_packet() -> None:
    observations = [
        orphan("a", moved_ns=2_000, served_ns=2_050),
        orphan("b", moved_ns=2_100, served_ns=2_900),
        orphan("c", moved_ns=2_500, served_ns=2_600),
        ClientObservation(
            client="d",
            first_gateway=BRAVO,
            packets=(PacketSeen(at_ns=8_000, gateway=BRAVO, spi=2, sequence=1, iv=b""),),
        ),
    ]

    assert [entry.after_kill_ns for entry in client_timeline(observations, RUN)] == [
        1_000,
        1_100,
        1_500,
        1_900,
    ]


def test_without_takeover_the_clients_have_no_timeline() -> None:
    lost = ClientObservation(client="a", first_gateway=ALPHA, packets=())

    assert client_timeline([lost], RUN) == ()
