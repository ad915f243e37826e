from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.swim.settings import LAN, SECOND_NS
from gossipsa.swim.suspicion import Suspicion
from tests.swim.claims import OTHERS, US, word_of

MINIMUM_NS, MAXIMUM_NS = LAN.suspicion_min_ns, LAN.suspicion_max_ns


def suspicion(confirmations: int = 0, hearers: int = 0) -> Suspicion:
    made = Suspicion(testimony=word_of(OTHERS[0]), now_ns=SECOND_NS, settings=LAN)
    for witness in OTHERS[1 : confirmations + 1]:
        made.confirm(word_of(witness), now_ns=0)
    for hearer in OTHERS[:hearers]:
        made.heard_by(hearer)
    return made


def timeout_ns(made: Suspicion, others: int) -> int:
    return made.deadline_ns(others=others) - SECOND_NS


@pytest.mark.parametrize("others", [1, 2, 3, 31])
def test_unconfirmed_suspicion_waits_the_maximum(others: int) -> None:
    assert timeout_ns(suspicion(), others) == MAXIMUM_NS


def test_all_witnesses_there_are_bring_it_to_the_minimum() -> None:
    assert timeout_ns(suspicion(confirmations=1), others=2) == MINIMUM_NS
    assert timeout_ns(suspicion(confirmations=2), others=31) == MINIMUM_NS
    assert MINIMUM_NS < timeout_ns(suspicion(confirmations=1), others=31) < MAXIMUM_NS


def test_counter_evidence_takes_confirmations_back() -> None:
    assert timeout_ns(suspicion(confirmations=1, hearers=1), others=2) == MAXIMUM_NS
    assert timeout_ns(suspicion(hearers=1), others=2) == 2 * MAXIMUM_NS
    assert timeout_ns(suspicion(hearers=3), others=2) == 2 * MAXIMUM_NS


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 40))
def test_confirmations_never_prolong_and_denials_never_shorten(
    confirmations: int, hearers: int, others: int
) -> None:
    base_ns = timeout_ns(suspicion(confirmations, hearers), others)
    assert MINIMUM_NS <= base_ns <= 2 * MAXIMUM_NS
    assert timeout_ns(suspicion(min(confirmations + 1, 5), hearers), others) <= base_ns
    assert timeout_ns(suspicion(confirmations, min(hearers + 1, 5)), others) >= base_ns


def test_witness_counts_once() -> None:
    made = suspicion()
    assert made.confirm(word_of(US), now_ns=0)
    assert not made.confirm(word_of(US), now_ns=0)
    assert made.witnesses == (OTHERS[0], US)


def test_own_stalls_are_given_back_up_to_one_maximal_timeout() -> None:
    made = suspicion()
    made.postpone(100)
    assert timeout_ns(made, 2) == MAXIMUM_NS + 100
    for _ in range(10):
        made.postpone(MAXIMUM_NS)
    assert timeout_ns(made, 2) == 2 * MAXIMUM_NS


def test_more_confirmations_may_be_demanded() -> None:
    strict = replace(LAN, confirmations=4)
    made = Suspicion(testimony=word_of(OTHERS[0]), now_ns=0, settings=strict)
    timeouts_ns = []
    for witness in OTHERS[1:5]:
        made.confirm(word_of(witness), now_ns=0)
        timeouts_ns.append(made.deadline_ns(others=10))
    assert timeouts_ns == sorted(timeouts_ns, reverse=True)
    assert timeouts_ns[-1] == MINIMUM_NS < timeouts_ns[-2]


def test_who_waits_patiently_is_not_hurried_by_confirmations() -> None:
    made = suspicion(confirmations=2)
    assert made.deadline_ns(others=31, patient=True) - SECOND_NS == MAXIMUM_NS
    assert suspicion(hearers=1).deadline_ns(others=2, patient=True) - SECOND_NS == 2 * MAXIMUM_NS


def test_verdict_of_others_leaves_the_suspect_its_time() -> None:
    made = suspicion(confirmations=1)
    made.hear_verdict(now_ns=0)
    assert timeout_ns(made, others=31) == MINIMUM_NS


def test_old_suspicion_that_is_shared_only_now_leaves_the_suspect_its_time_from_now_on() -> None:
    """A member that was deaf for long suspected everybody, and so did another one: neither may be hasty."""
    late_ns = SECOND_NS + 20 * MAXIMUM_NS
    made = suspicion()
    assert made.confirm(word_of(OTHERS[1]), now_ns=late_ns)
    assert made.deadline_ns(others=31) == late_ns + MINIMUM_NS
    told = suspicion(confirmations=1)
    told.hear_verdict(now_ns=late_ns)
    told.hear_verdict(now_ns=late_ns + 1)
    assert told.deadline_ns(others=31) == late_ns + MINIMUM_NS


def test_others_are_asked_at_growing_intervals_up_to_a_bound() -> None:
    made = suspicion()
    waits_ns = []
    for _ in range(8):
        made.ask_again(SECOND_NS)
        waits_ns.append(made.ask_ns - SECOND_NS)
    assert waits_ns == [MAXIMUM_NS * factor for factor in (1, 2, 4, 8, 16, 16, 16, 16)]


def test_witness_that_is_none_any_more_is_replaced_but_the_suspicion_stays() -> None:
    made = suspicion(confirmations=2)
    assert not made.wants(US)
    made.disregard(OTHERS[1])
    assert list(made.witnesses) == [OTHERS[0], OTHERS[2]]
    assert made.confirm(word_of(US), now_ns=0)
    for witness in (OTHERS[0], OTHERS[2], US):
        made.disregard(witness)
    assert list(made.witnesses) == [US]
