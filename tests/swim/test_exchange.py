from __future__ import annotations

from itertools import pairwise
from random import Random

from gossipsa.swim.exchange import ASKED_MAX, ExchangeBeat
from gossipsa.swim.settings import LAN
from tests.swim.claims import OTHERS, THEM


def test_comparisons_come_soon_after_a_change_and_ever_more_rarely() -> None:
    beat = ExchangeBeat(LAN, Random(1))
    beat.begin(now_ns=0)
    for _ in range(2):
        due_ns = []
        for _ in range(15):
            now_ns = beat.next_deadline_ns()
            assert not beat.due(now_ns=now_ns - 1)
            assert beat.due(now_ns=now_ns)
            due_ns.append(now_ns)
        waits_ns = [later - earlier for earlier, later in pairwise(due_ns)]
        assert waits_ns[0] <= 2 * 1.5 * LAN.exchange_soon_ns
        assert all(0.5 <= wait_ns / LAN.exchange_interval_ns <= 1.5 for wait_ns in waits_ns[-5:])
        beat.hurry(now_ns=now_ns)
        assert beat.next_deadline_ns() - now_ns <= 1.5 * LAN.exchange_soon_ns


def test_many_changes_at_once_do_not_postpone_the_comparison() -> None:
    beat = ExchangeBeat(LAN, Random(1))
    beat.begin(now_ns=0)
    due_ns = beat.next_deadline_ns()
    for now_ns in range(0, due_ns, max(1, due_ns // 50)):
        beat.hurry(now_ns=now_ns)
        assert beat.next_deadline_ns() <= due_ns


def test_only_the_first_answer_of_whom_was_asked_counts() -> None:
    beat = ExchangeBeat(LAN, Random(1))
    sequence = beat.ask(THEM)
    assert not beat.answered(OTHERS[0], sequence)
    assert not beat.answered(THEM, sequence + 1)
    assert beat.answered(THEM, sequence)
    assert not beat.answered(THEM, sequence)


def test_answers_awaited_are_bounded() -> None:
    beat = ExchangeBeat(LAN, Random(1))
    sequences = [beat.ask(THEM) for _ in range(ASKED_MAX + 1)]
    assert not beat.answered(THEM, sequences[0])
    assert beat.answered(THEM, sequences[1])
