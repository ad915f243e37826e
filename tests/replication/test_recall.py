"""A gateway that started anew waits for the records of its clients, and asks until it has them."""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.replication.messages import RecallRecords, ReturnRecords
from gossipsa.replication.recall import ASKED_MAX, Recall
from gossipsa.replication.shards import SHARD_COUNT

ME, B, C = GatewayName("a"), GatewayName("b"), GatewayName("c")
SECOND = 10**9
NOTHING = ReturnRecords(records=(), last=True, following=SHARD_COUNT)
FROM_THE_START = RecallRecords()


def make_recall() -> Recall:
    return Recall(me=ME, now_ns=SECOND)


def test_ends_as_soon_as_everybody_has_answered() -> None:
    recall = make_recall()
    for name in (B, C):
        recall.ask(name, live=2)
    recall.joined()
    assert recall.take_questions(now_ns=SECOND) == ((B, FROM_THE_START), (C, FROM_THE_START))
    recall.hear(B, NOTHING, now_ns=SECOND)
    assert not recall.is_due(now_ns=SECOND + 1)
    recall.hear(C, NOTHING, now_ns=SECOND)
    assert recall.is_due(now_ns=SECOND + 1)


def test_a_lost_question_is_asked_again_and_a_living_gateway_awaited() -> None:
    """Begun without the records, the IKE daemon would be made to rekey every CHILD_SA."""
    recall = make_recall()
    recall.ask(B, live=2)
    recall.ask(C, live=2)
    recall.take_questions(now_ns=SECOND)
    recall.hear(C, NOTHING, now_ns=SECOND)
    assert recall.take_questions(now_ns=SECOND + 1) == ()
    assert recall.take_questions(now_ns=2 * SECOND) == ((B, FROM_THE_START),)
    assert not recall.is_due(now_ns=3 * SECOND)
    assert recall.is_due(now_ns=7 * SECOND)


def test_answers_are_not_complete_before_the_mesh_has_named_its_members() -> None:
    """One seed answered, and it has not yet said who else there is."""
    recall = make_recall()
    recall.ask(B, live=2)
    recall.take_questions(now_ns=SECOND)
    recall.hear(B, NOTHING, now_ns=SECOND)
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


def part(following: int) -> ReturnRecords:
    return ReturnRecords(records=(), last=True, following=following)


def test_next_part_is_asked_for_as_soon_as_one_is_there() -> None:
    recall = make_recall()
    recall.ask(B, live=2)
    recall.joined()
    recall.take_questions(now_ns=SECOND)
    recall.hear(B, part(100), now_ns=SECOND + 1)
    assert recall.take_questions(now_ns=SECOND + 2) == ((B, RecallRecords(shard=100)),)
    # The same part once more, late: nothing goes back.
    recall.hear(B, part(100), now_ns=SECOND + 3)
    assert recall.take_questions(now_ns=SECOND + 4) == ()
    assert not recall.is_due(now_ns=SECOND + 5)
    recall.hear(B, part(SHARD_COUNT), now_ns=SECOND + 6)
    assert recall.is_due(now_ns=SECOND + 7)


def test_parts_that_come_are_waited_for_but_not_for_ever() -> None:
    recall = make_recall()
    recall.ask(B, live=2)
    recall.joined()
    now_ns = SECOND
    for following in range(1, SHARD_COUNT):
        now_ns += 4 * SECOND
        if recall.is_due(now_ns=now_ns):
            break
        recall.hear(B, part(following), now_ns=now_ns)
    assert now_ns > 50 * SECOND
    assert following < SHARD_COUNT - 1


def test_what_comes_unasked_is_no_answer() -> None:
    recall = make_recall()
    recall.ask(B, live=2)
    recall.joined()
    recall.take_questions(now_ns=SECOND)
    recall.hear(B, ReturnRecords(records=(), last=True), now_ns=SECOND + 1)
    assert not recall.is_due(now_ns=SECOND + 2)


def test_in_a_large_mesh_the_sender_of_a_first_part_alone_is_asked_for_the_next_one() -> None:
    recall = make_recall()
    recall.ask(C, live=ASKED_MAX)
    recall.ask(B, live=ASKED_MAX + 1)
    recall.joined()
    recall.hear(B, part(100), now_ns=SECOND)
    # Others join meanwhile.
    recall.ask(C, live=ASKED_MAX + 2)
    assert recall.take_questions(now_ns=SECOND + 1) == ((B, RecallRecords(shard=100)),)
    assert not recall.is_due(now_ns=3 * SECOND)
    recall.hear(B, part(SHARD_COUNT), now_ns=3 * SECOND)
    assert recall.take_questions(now_ns=4 * SECOND) == ()
    assert recall.is_due(now_ns=4 * SECOND)


def test_first_part_that_comes_before_its_question_is_no_detour() -> None:
    """Between half of ASKED_MAX and all of it records are asked for, and returned unasked as well."""
    recall = make_recall()
    recall.ask(B, live=ASKED_MAX)
    recall.hear(B, part(100), now_ns=SECOND)
    assert recall.take_questions(now_ns=SECOND) == ((B, RecallRecords(shard=100)),)


def test_what_is_returned_unasked_long_after_the_start_is_asked_for_to_its_end() -> None:
    """We were taken for dead, and nobody told us."""
    recall = make_recall()
    recall.finish()
    recall.hear(B, part(100), now_ns=90 * SECOND)
    assert recall.take_questions(now_ns=90 * SECOND) == ((B, RecallRecords(shard=100)),)
    recall.hear(B, part(SHARD_COUNT), now_ns=91 * SECOND)
    assert recall.next_deadline_ns(now_ns=91 * SECOND) is None
