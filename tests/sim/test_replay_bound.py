"""What counts as known of a packet that a gateway accepted: README says until when it may be replayed."""

from __future__ import annotations

from sim.checkers.replays import Links
from sim.cluster import SAMPLE_INTERVAL_NS
from sim.virtual_clock import SECOND_NS


def _links(*stretches_s: tuple[float, float]) -> Links:
    links = Links()
    for first_s, end_s in stretches_s:
        for now_ns in range(int(first_s * SECOND_NS), int(end_s * SECOND_NS) + 1, SAMPLE_INTERVAL_NS):
            links.stand("g1", "g2", now_ns)
    return links


def _is_told(links: Links, at_s: float, until_s: float | None) -> bool:
    return links.told(
        "g1",
        "g2",
        at_ns=int(at_s * SECOND_NS),
        until_ns=None if until_s is None else int(until_s * SECOND_NS),
    )


def test_packet_long_before_the_death_is_known_to_the_taker() -> None:
    links = _links((1, 10))
    assert _is_told(links, 6, until_s=12)
    assert not _is_told(links, 9.5, until_s=12)


def test_gateway_that_returns_after_the_move_tells_no_numbers() -> None:
    links = _links((1, 5), (10, 30))
    assert not _is_told(links, 4, until_s=9)


def test_short_return_before_the_move_is_too_short_to_tell() -> None:
    links = _links((1, 5), (10, 30))
    assert not _is_told(links, 4, until_s=11)
    assert _is_told(links, 4, until_s=14)


def test_who_gives_a_client_away_tells_its_last_numbers() -> None:
    links = _links((1, 30))
    assert _is_told(links, 10, until_s=10.5)


def test_former_gateway_hears_who_has_the_client_when_it_is_back() -> None:
    assert not _is_told(_links((1, 5), (10, 12)), 8, until_s=None)
    assert _is_told(_links((1, 5), (10, 14)), 8, until_s=None)
