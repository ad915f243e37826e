"""Every way to fail must trip its own check, and a good run must trip none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.demo.analysis import FailureKind, Run, Silence, Spread, judge, longest_silence, spread
from examples.demo.observation import ClientObservation, Move, PacketSeen
from gossipsa.identifiers import Endpoint

MS = 1_000_000
SECOND = 1_000 * MS
INTERVAL = 200 * MS

ALPHA = Endpoint(IPv4Address("127.77.0.1"), 4500)
BRAVO = Endpoint(IPv4Address("127.77.0.2"), 4500)
CHARLIE = Endpoint(IPv4Address("127.77.0.3"), 4500)

RUN = Run(
    killed=ALPHA,
    started_at_ns=0,
    killed_at_ns=5 * SECOND,
    ended_at_ns=15 * SECOND,
    served_within_ns=2 * SECOND,
)
MOVED_AT = 6 * SECOND
SPI = 0x1234
TAKEN_OVER_NUMBER = 1 << 30


def served(gateway: Endpoint, begins_ns: int, ends_ns: int, *, number: int = 1) -> tuple[PacketSeen, ...]:
    return tuple(
        PacketSeen(
            at_ns=at_ns,
            gateway=gateway,
            spi=SPI,
            sequence=number + index,
            iv=(number + index).to_bytes(8, "big"),
        )
        for index, at_ns in enumerate(range(begins_ns + INTERVAL, ends_ns, INTERVAL))
    )


MOVED = ClientObservation(
    client="a1",
    first_gateway=ALPHA,
    packets=(
        *served(ALPHA, 0, RUN.killed_at_ns),
        *served(BRAVO, MOVED_AT, RUN.ended_at_ns, number=TAKEN_OVER_NUMBER),
    ),
    moves=(Move(at_ns=MOVED_AT, origin=ALPHA, destination=BRAVO),),
)
"""A client of the killed gateway, as it should go."""

UNDISTURBED = ClientObservation(
    client="c1", first_gateway=CHARLIE, packets=served(CHARLIE, 0, RUN.ended_at_ns)
)
"""A client of another gateway, as it should go."""


def with_stray(observation: ClientObservation, *, at_ns: int, gateway: Endpoint) -> ClientObservation:
    stray = PacketSeen(at_ns=at_ns, gateway=gateway, spi=SPI, sequence=999_999, iv=b"stray...")
    packets = sorted((*observation.packets, stray), key=lambda packet: packet.at_ns)
    return replace(observation, packets=tuple(packets))


def with_last_packet(observation: ClientObservation, packet: PacketSeen) -> ClientObservation:
    return replace(observation, packets=(*observation.packets[:-1], packet))


def moved_away_from_the_living() -> ClientObservation:
    return ClientObservation(
        client="c2",
        first_gateway=CHARLIE,
        packets=(
            *served(CHARLIE, 0, MOVED_AT),
            *served(BRAVO, MOVED_AT, RUN.ended_at_ns, number=TAKEN_OVER_NUMBER),
        ),
        moves=(Move(at_ns=MOVED_AT, origin=CHARLIE, destination=BRAVO),),
    )


def moved_twice() -> ClientObservation:
    again_at = 10 * SECOND
    return replace(
        MOVED,
        packets=(
            *(packet for packet in MOVED.packets if packet.at_ns < again_at),
            *served(CHARLIE, again_at, RUN.ended_at_ns, number=TAKEN_OVER_NUMBER + (1 << 20)),
        ),
        moves=(*MOVED.moves, Move(at_ns=again_at, origin=BRAVO, destination=CHARLIE)),
    )


FIRST, LAST = MOVED.packets[0], MOVED.packets[-1]

BROKEN: dict[str, tuple[ClientObservation, set[FailureKind]]] = {
    "never served": (
        replace(UNDISTURBED, client="c2", packets=()),
        {FailureKind.NEVER_SERVED, FailureKind.CUT_OFF},
    ),
    "silent from the kill on": (
        replace(MOVED, packets=served(ALPHA, 0, RUN.killed_at_ns), moves=()),
        {FailureKind.CUT_OFF},
    ),
    "silent again after its takeover": (
        replace(MOVED, packets=tuple(packet for packet in MOVED.packets if packet.at_ns < 9 * SECOND)),
        {FailureKind.CUT_OFF},
    ),
    "sequence number of the first gateway used by the second": (
        with_last_packet(MOVED, replace(LAST, sequence=FIRST.sequence)),
        {FailureKind.NUMBER_REUSED},
    ),
    "initialisation vector used twice": (
        with_last_packet(MOVED, replace(LAST, iv=FIRST.iv)),
        {FailureKind.IV_REUSED},
    ),
    "ESP before the client answered the redirect": (
        with_stray(MOVED, at_ns=MOVED_AT - 1, gateway=BRAVO),
        {FailureKind.UNINVITED},
    ),
    "second gateway beside a living one": (
        with_stray(MOVED, at_ns=3 * SECOND, gateway=BRAVO),
        {FailureKind.UNINVITED, FailureKind.TWO_GATEWAYS},
    ),
    "two takers at once": (
        with_stray(MOVED, at_ns=9 * SECOND, gateway=CHARLIE),
        {FailureKind.UNINVITED, FailureKind.TWO_GATEWAYS},
    ),
    "ESP from the killed gateway": (
        with_stray(MOVED, at_ns=9 * SECOND, gateway=ALPHA),
        {FailureKind.UNINVITED, FailureKind.TWO_GATEWAYS, FailureKind.SERVED_AFTER_KILL},
    ),
    "moved away from a living gateway": (
        moved_away_from_the_living(),
        {FailureKind.MOVED_FOR_NOTHING},
    ),
    "moved before the kill": (
        replace(MOVED, moves=(replace(MOVED.moves[0], at_ns=RUN.killed_at_ns - 1),)),
        {FailureKind.MOVED_FOR_NOTHING},
    ),
    "moved twice": (
        moved_twice(),
        {FailureKind.MOVED_FOR_NOTHING, FailureKind.MOVED_TWICE},
    ),
}


def test_a_clean_takeover_is_a_success() -> None:
    verdict = judge([MOVED, UNDISTURBED], RUN)

    assert verdict.failures == ()
    assert verdict.is_success
    assert verdict.moved == (Silence(client="a1", begins_at_ns=4_800 * MS, ends_at_ns=MOVED_AT + INTERVAL),)
    assert [silence.length_ns for silence in verdict.undisturbed] == [INTERVAL]
    assert verdict.packets == len(MOVED.packets) + len(UNDISTURBED.packets)


@pytest.mark.parametrize(("broken", "kinds"), BROKEN.values(), ids=BROKEN.keys())
def test_a_client_that_fared_badly_fails_the_run(broken: ClientObservation, kinds: set[FailureKind]) -> None:
    broken = replace(broken, client="broken")
    verdict = judge([MOVED, UNDISTURBED, broken], RUN)

    assert not verdict.is_success
    assert {(failure.client, failure.kind) for failure in verdict.failures} == {
        ("broken", kind) for kind in kinds
    }


def test_killing_a_gateway_without_clients_shows_nothing_and_fails() -> None:
    (failure,) = judge([UNDISTURBED], RUN).failures

    assert failure.kind is FailureKind.NOTHING_AT_STAKE


def test_every_kind_of_failure_is_tripped_by_a_test() -> None:
    tripped = {kind for _, kinds in BROKEN.values() for kind in kinds} | {FailureKind.NOTHING_AT_STAKE}

    assert tripped == set(FailureKind)


def test_the_same_number_under_another_key_is_no_reuse() -> None:
    rekeyed = replace(LAST, spi=0x9999, sequence=FIRST.sequence, iv=FIRST.iv)

    assert judge([with_last_packet(MOVED, rekeyed)], RUN).is_success


@given(st.lists(st.integers(RUN.started_at_ns + 1, RUN.ended_at_ns - 1), unique=True))
def test_the_longest_silence_is_the_longest_gap(times: list[int]) -> None:
    packets = tuple(
        PacketSeen(at_ns=at_ns, gateway=CHARLIE, spi=SPI, sequence=index + 1, iv=b"")
        for index, at_ns in enumerate(sorted(times))
    )
    silence = longest_silence(ClientObservation(client="c", first_gateway=CHARLIE, packets=packets), RUN)

    marks = sorted({RUN.started_at_ns, RUN.ended_at_ns, *times})
    assert (silence.begins_at_ns, silence.ends_at_ns) in set(pairwise(marks))
    assert all(later - earlier <= silence.length_ns for earlier, later in pairwise(marks))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([7], Spread(median_ns=7, p99_ns=7, max_ns=7)),
        (list(range(1, 201)), Spread(median_ns=100, p99_ns=198, max_ns=200)),
        ([5, 1, 3], Spread(median_ns=3, p99_ns=5, max_ns=5)),
    ],
)
def test_percentiles_are_those_of_the_nearest_rank(lengths: list[int], expected: Spread) -> None:
    assert spread([Silence(client="", begins_at_ns=0, ends_at_ns=length) for length in lengths]) == expected


def test_nothing_has_no_spread() -> None:
    assert spread([]) is None
