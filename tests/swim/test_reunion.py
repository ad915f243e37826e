from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import GatewayName
from gossipsa.swim.reunion import ReunionBeat, SeedCalls
from gossipsa.swim.settings import LAN, SECOND_NS
from tests.swim.claims import OTHERS


def nobody(name: GatewayName) -> bool:
    return False


def everybody(name: GatewayName) -> bool:
    return True


def test_seed_is_called_again_at_growing_intervals_until_it_answers() -> None:
    calls = SeedCalls(LAN)
    calls.add([OTHERS[0]], now_ns=0)
    called_ns = []
    for _ in range(7):
        deadline_ns = calls.next_deadline_ns()
        assert deadline_ns is not None
        assert calls.due(known=nobody, now_ns=deadline_ns) == [OTHERS[0]]
        called_ns.append(deadline_ns)
    waits_ns = [later - earlier for earlier, later in pairwise(called_ns)]
    assert waits_ns[0] == LAN.join_retry_ns
    assert waits_ns == sorted(waits_ns)
    assert waits_ns[-1] == LAN.reunion_interval_ns
    calls.answered(OTHERS[0], part=0, parts=1)
    assert calls.next_deadline_ns() is None


def test_answer_counts_when_all_its_parts_are_there() -> None:
    calls = SeedCalls(LAN)
    calls.add([OTHERS[0]], now_ns=0)
    calls.answered(OTHERS[0], part=0, parts=2)
    calls.answered(OTHERS[0], part=0, parts=2)
    assert not calls.joined
    assert calls.due(known=everybody, now_ns=0) == [OTHERS[0]]
    calls.answered(OTHERS[0], part=1, parts=2)
    assert calls.joined


def test_seeds_known_from_the_first_answer_are_not_called() -> None:
    calls = SeedCalls(LAN)
    calls.add(OTHERS[:3], now_ns=0)
    calls.due(known=nobody, now_ns=0)
    calls.answered(OTHERS[0], part=0, parts=1)
    later_ns = LAN.join_retry_ns
    assert calls.due(known=lambda name: name == OTHERS[1], now_ns=later_ns) == [OTHERS[2]]


def test_few_seeds_are_called_at_first_and_ever_more_while_nobody_answers() -> None:
    calls = SeedCalls(replace(LAN, join_parallel=1))
    calls.add(OTHERS, now_ns=0)
    assert calls.due(known=nobody, now_ns=0) == [OTHERS[0]]
    assert calls.due(known=nobody, now_ns=0) == []
    assert calls.due(known=nobody, now_ns=LAN.join_retry_ns) == list(OTHERS[:3])
    assert calls.due(known=nobody, now_ns=2 * LAN.join_retry_ns) == list(OTHERS[1:])


def test_too_many_seeds_are_refused_and_none_is_added() -> None:
    calls = SeedCalls(replace(LAN, seeds_max=2))
    with pytest.raises(ConfigurationError):
        calls.add(OTHERS[:3], now_ns=0)
    assert calls.next_deadline_ns() is None


def test_seeds_called_in_vain_make_room_for_new_ones() -> None:
    """As seeds come in one after the other none is refused, and the table stays bounded."""
    calls = SeedCalls(replace(LAN, seeds_max=2))
    calls.add(OTHERS[:1], now_ns=0)
    calls.due(known=nobody, now_ns=0)
    for name in OTHERS[1:4]:
        calls.add([name], now_ns=0)
        assert calls.due(known=nobody, now_ns=0) == [name]
    assert len(calls.due(known=nobody, now_ns=SECOND_NS)) == 2


def test_failed_members_are_called_in_turn_one_each_interval() -> None:
    beat = ReunionBeat(LAN, Random(1))
    failed = list(OTHERS[:3])
    called: list[GatewayName] = []
    for _ in range(6):
        now_ns = beat.next_deadline_ns()
        name = beat.due(failed, live=3, now_ns=now_ns)
        assert name is not None
        called.append(name)
        assert beat.due(failed, live=3, now_ns=now_ns) is None
        assert 0.75 <= (beat.next_deadline_ns() - now_ns) / LAN.reunion_interval_ns <= 1.25
    assert sorted(called[:3]) == sorted(called[3:]) == sorted(failed)


def test_in_a_large_mesh_each_calls_the_same_one_more_rarely() -> None:
    beat = ReunionBeat(LAN, Random(1))
    calls = 0
    for _ in range(1_000):
        calls += beat.due([OTHERS[0]], live=160, now_ns=beat.next_deadline_ns()) is not None
    assert 60 < calls < 140


def test_nobody_is_called_when_nobody_failed() -> None:
    assert ReunionBeat(LAN, Random(1)).due([], live=3, now_ns=0) is None
