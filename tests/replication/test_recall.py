"""A gateway that started anew waits for the records of its clients, and asks until it has them."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.replication.messages import ReturnRecords
from gossipsa.replication.recall import ASKED_MAX, Recall

ME, B, C = GatewayName("a"), GatewayName("b"), GatewayName("c")
SECOND = 10**9
NOTHING = ReturnRecords(records=(), last=True)


def make_recall() -> Recall:
    return Recall(me=ME, now_ns=SECOND)


def test_ends_as_soon_as_everybody_has_answered() -> None:
    recall = make_recall()
    for name in (B, C):
        recall.ask(name, live=2)
    recall.joined()
    assert recall.take_questions(now_ns=SECOND) == (B, C)
    recall.hear(B, NOTHING)
    assert not recall.is_due(now_ns=SECOND + 1)
    recall.hear(C, NOTHING)
    assert recall.is_due(now_ns=SECOND + 1)


def test_a_lost_question_is_asked_again_and_a_living_gateway_awaited() -> None:
    """Begun without the records, the IKE daemon would be made to rekey every CHILD_SA."""
    recall = make_recall()
    recall.ask(B, live=2)
    recall.ask(C, live=2)
    recall.take_questions(now_ns=SECOND)
    recall.hear(C, NOTHING)
    assert recall.take_questions(now_ns=SECOND + 1) == ()
    assert recall.take_questions(now_ns=2 * SECOND) == (B,)
    assert not recall.is_due(now_ns=3 * SECOND)
    assert recall.is_due(now_ns=7 * SECOND)


def test_answers_are_not_complete_before_the_mesh_has_named_its_members() -> None:
    """One seed answered, and it has not yet said who else there is."""
    recall = make_recall()
    recall.ask(B, live=2)
    recall.take_questions(now_ns=SECOND)
    recall.hear(B, NOTHING)
    assert not recall.is_due(now_ns=2 * SECOND)
    recall.joined()
    assert recall.is_due(now_ns=2 * SECOND)


def test_mesh_that_is_never_joined_is_not_awaited_for_long() -> None:
    recall = make_recall()
    assert not recall.is_due(now_ns=2 * SECOND)
    assert recall.is_due(now_ns=3 * SECOND)


def test_gateway_that_is_alone_waits_for_nobody() -> None:
    recall = make_recall()
    recall.joined()
    assert recall.is_due(now_ns=SECOND)


def test_a_gateway_that_failed_is_not_asked_any_more() -> None:
    recall = make_recall()
    recall.ask(B, live=2)
    recall.forget(B)
    assert recall.take_questions(now_ns=SECOND) == ()
    assert recall.is_due(now_ns=3 * SECOND)


def test_end_comes_once() -> None:
    recall = make_recall()
    assert recall.is_due(now_ns=9 * SECOND)
    recall.finish()
    assert not recall.is_due(now_ns=9 * SECOND)
    assert recall.next_deadline_ns(now_ns=9 * SECOND) is None


def test_large_mesh_is_not_asked_and_what_comes_unasked_is_waited_for() -> None:
    recall = make_recall()
    recall.ask(B, live=ASKED_MAX)
    recall.ask(C, live=ASKED_MAX + 1)
    recall.joined()
    assert recall.take_questions(now_ns=SECOND) == ()
    assert not recall.is_due(now_ns=2 * SECOND)
    assert recall.is_due(now_ns=3 * SECOND)
