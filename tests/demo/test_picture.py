"""What the picture joins, and that it gets written."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.demo.analysis import Run
from examples.demo.observation import ClientObservation, Move, PacketSeen
from examples.demo.palette import colours_of
from examples.demo.picture import Legend, Service, draw_picture, services_of
from examples.demo.timeline import TimelineEntry
from gossipsa.identifiers import Endpoint

ALPHA = Endpoint(IPv4Address("127.77.0.1"), 4500)
BRAVO = Endpoint(IPv4Address("127.77.0.2"), 4500)
GAP_MAX_NS = 100


def packet(at_ns: int, gateway: Endpoint) -> PacketSeen:
    return PacketSeen(at_ns=at_ns, gateway=gateway, spi=1, sequence=1, iv=b"")


def test_packets_are_joined_until_a_gap_or_another_gateway() -> None:
    packets = [packet(0, ALPHA), packet(100, ALPHA), packet(201, ALPHA), packet(210, BRAVO)]

    assert list(services_of(packets, gap_max_ns=GAP_MAX_NS)) == [
        Service(gateway=ALPHA, begins_at_ns=0, ends_at_ns=100),
        Service(gateway=ALPHA, begins_at_ns=201, ends_at_ns=201),
        Service(gateway=BRAVO, begins_at_ns=210, ends_at_ns=210),
    ]


@given(st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from([ALPHA, BRAVO]))))
def test_services_cover_every_packet_in_order_and_never_a_silence(seen: list[tuple[int, Endpoint]]) -> None:
    packets = [packet(at_ns, gateway) for at_ns, gateway in sorted(seen, key=lambda each: each[0])]
    services = list(services_of(packets, gap_max_ns=GAP_MAX_NS))

    assert all(
        any(
            service.gateway == each.gateway and service.begins_at_ns <= each.at_ns <= service.ends_at_ns
            for service in services
        )
        for each in packets
    )
    assert all(earlier.ends_at_ns <= later.begins_at_ns for earlier, later in pairwise(services))
    silences = [
        (earlier.at_ns, later.at_ns)
        for earlier, later in pairwise(packets)
        if later.at_ns - earlier.at_ns > GAP_MAX_NS
    ]
    assert not any(
        service.begins_at_ns <= begin and end <= service.ends_at_ns
        for begin, end in silences
        for service in services
    )


@pytest.mark.parametrize(("suffix", "begins_with"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_written(tmp_path: Path, suffix: str, begins_with: bytes) -> None:
    gateways = (ALPHA, BRAVO)
    file = tmp_path / f"demo.{suffix}"
    draw_picture(
        file,
        title="two clients",
        observations=[
            ClientObservation(
                client="a",
                first_gateway=ALPHA,
                packets=(packet(1, ALPHA), packet(20, BRAVO)),
                moves=(Move(at_ns=15, origin=ALPHA, destination=BRAVO),),
            ),
            ClientObservation(client="b", first_gateway=BRAVO, packets=()),
        ],
        run=Run(killed=ALPHA, started_at_ns=0, killed_at_ns=10, ended_at_ns=30, served_within_ns=9),
        timeline=[TimelineEntry(after_kill_ns=0, text="killed")],
        legend=Legend(names={ALPHA: "alpha", BRAVO: "bravo"}, colours=colours_of(gateways)),
        packet_interval_ns=10,
    )

    assert file.read_bytes().startswith(begins_with)
