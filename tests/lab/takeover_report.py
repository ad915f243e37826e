"""What a capture of the clients' link says about a takeover, client by client."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.lab import topology
from tests.lab.capture import Exchange, Packets
from tests.lab.laboratory import ClientStatus
from tests.lab.timeline import Timeline, spread
from tests.lab.traffic.programs import PingLog

_NEW_CONNECTION = (Exchange.IKE_SA_INIT, Exchange.IKE_AUTH)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How one client moved; times are seconds after the fault, None where it did not happen.

    Attributes:
        taker: gateway whose request the client answered.
        redirect_s: first request of another gateway at the client.
        answer_s: the client's answer.
        first_packet_s: first ESP packet of the taker at the client under the key it had before.
        first_reply_s: first reply that came to a ping after the answer.
        silence_s: longest time without a ping's reply.
    """

    client: str
    taker: str | None
    redirect_s: float | None
    answer_s: float | None
    first_packet_s: float | None
    first_reply_s: float | None
    silence_s: float


def moves(
    packets: Packets,
    *,
    before: Mapping[str, ClientStatus],
    pings: Mapping[str, PingLog],
    fault_ns: int,
    end_ns: int,
) -> list[Move]:
    """Return how each client of `before` moved, from the packets between the fault and the end.

    Args:
        before: the clients as they were just before the fault.
        pings: by virtual address.
        fault_ns, end_ns: wall clock.
    """
    return [
        _move(packets, client, pings[client.virtual_address], fault_ns, end_ns) for client in before.values()
    ]


def _move(packets: Packets, client: ClientStatus, pings: PingLog, fault_ns: int, end_ns: int) -> Move:
    names = {gateway.address: gateway.name for gateway in topology.GATEWAYS}

    def seconds(wall_ns: int | None) -> float | None:
        return None if wall_ns is None else round((wall_ns - fault_ns) / 1e9, 4)

    own = [
        packet
        for packet in packets.ike
        if (packet.spi_i, packet.spi_r) == client.ike_spis and fault_ns <= packet.wall_ns < end_ns
    ]
    requests = [
        packet
        for packet in own
        if not packet.is_response
        and packet.exchange == Exchange.INFORMATIONAL
        and packet.source in names
        and packet.source != client.gateway_address
    ]
    answers = [
        packet
        for packet in own
        if packet.is_response
        and any(
            (request.source, request.message_id) == (packet.destination, packet.message_id)
            for request in requests
        )
    ]
    taker_address = answers[0].destination if answers else None
    esp = next(
        (
            packet.wall_ns
            for packet in packets.esp
            if packet.spi == client.esp_spi_in
            and packet.source == taker_address
            and fault_ns <= packet.wall_ns < end_ns
        ),
        None,
    )
    return Move(
        client=client.name,
        taker=None if taker_address is None else names[taker_address],
        redirect_s=seconds(requests[0].wall_ns if requests else None),
        answer_s=seconds(answers[0].wall_ns if answers else None),
        first_packet_s=seconds(esp),
        first_reply_s=seconds(pings.first_reply_from_ns(answers[0].wall_ns)) if answers else None,
        silence_s=round(pings.silence_s(fault_ns, end_ns), 4),
    )


def new_connections(packets: Packets, *, start_ns: int, end_ns: int) -> int:
    """Count the IKE_SA_INIT and IKE_AUTH messages, whoever sent them."""
    return sum(
        packet.exchange in _NEW_CONNECTION and start_ns <= packet.wall_ns < end_ns for packet in packets.ike
    )


def summary(all_moves: list[Move]) -> dict[str, Any]:
    """Return the moves and the spread of their times, as JSON can hold them."""

    def times(name: str) -> list[float]:
        return [value for move in all_moves if (value := getattr(move, name)) is not None]

    return {
        "moves": [dataclasses.asdict(move) for move in all_moves],
        **{
            name: spread(times(name))
            for name in ("redirect_s", "answer_s", "first_packet_s", "first_reply_s", "silence_s")
        },
    }


def add_to_timeline(timeline: Timeline, all_moves: list[Move]) -> None:
    """Note the first and the last client of each step."""
    steps = (
        ("redirect_s", "redirect reaches the client"),
        ("answer_s", "client answers"),
        ("first_packet_s", "first ESP packet from the taker"),
        ("first_reply_s", "first ping answered"),
    )
    for field, what in steps:
        reached = sorted(
            (value, move.client) for move in all_moves if (value := getattr(move, field)) is not None
        )
        for (at_s, client), which in zip(reached[:1] + reached[-1:], ("first", "last"), strict=False):
            timeline.add(timeline.origin_ns + int(at_s * 1e9), client, f"{what} ({which} of {len(reached)})")
