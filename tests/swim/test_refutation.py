from __future__ import annotations

import pytest
from hypothesis import given

from gossipsa.errors import ConfigurationError
from gossipsa.swim.member import claim_key
from gossipsa.swim.messages import INCARNATION_MAX, MemberState, Update
from gossipsa.swim.refutation import REFUTATIONS_BURST, RESTART_STEP, OwnClaim
from gossipsa.swim.settings import SECOND_NS
from tests.swim.claims import BOOT, ENDPOINT, NEW_BOOT, US, claim, updates


def own_claim() -> OwnClaim:
    return OwnClaim(name=US, boot=BOOT, endpoint=ENDPOINT, metadata=b"")


@given(updates)
def test_answer_outbids_whatever_was_claimed(update: Update) -> None:
    own = own_claim()
    own.answer(update, now_ns=0)
    if update.incarnation <= INCARNATION_MAX - RESTART_STEP:
        ours = claim_key(own.update())
        assert ours > claim_key(update) or (update.state is MemberState.ALIVE and ours == claim_key(update))
    assert own.incarnation <= INCARNATION_MAX


@pytest.mark.parametrize("state", [MemberState.SUSPECT, MemberState.FAILED, MemberState.LEFT])
def test_refuted_suspicion_raises_incarnation(state: MemberState) -> None:
    own = own_claim()
    assert own.answer(claim(state, member=US), now_ns=0)
    assert own.incarnation == 1
    assert not own.answer(claim(state, member=US), now_ns=0)
    assert own.incarnation == 1


def test_new_boot_starts_above_all_that_the_old_one_may_have_said() -> None:
    own = own_claim()
    assert own.answer(claim(member=US, boot=NEW_BOOT, incarnation=7), now_ns=0)
    assert own.incarnation == RESTART_STEP
    assert not own.answer(claim(member=US, boot=NEW_BOOT, incarnation=RESTART_STEP - 1), now_ns=0)


def test_who_left_refutes_nothing() -> None:
    own = own_claim()
    own.leave()
    assert own.update().state is MemberState.LEFT
    assert not own.answer(claim(MemberState.FAILED, member=US, incarnation=5), now_ns=0)


def test_two_hosts_of_one_name_outbid_each_other_at_a_bounded_rate() -> None:
    own = own_claim()
    answers = sum(
        own.answer(claim(member=US, boot=NEW_BOOT, incarnation=own.incarnation + 1), now_ns=0)
        for _ in range(1000)
    )
    assert answers == REFUTATIONS_BURST
    assert own.answer(claim(member=US, boot=NEW_BOOT, incarnation=own.incarnation + 1), now_ns=SECOND_NS)


def test_metadata_change_raises_incarnation_once() -> None:
    own = own_claim()
    assert own.describe(b"load 3")
    assert not own.describe(b"load 3")
    assert (own.incarnation, own.metadata) == (1, b"load 3")


def test_too_long_metadata_is_refused_and_changes_nothing() -> None:
    own = own_claim()
    with pytest.raises(ConfigurationError):
        own.describe(bytes(513))
    assert (own.incarnation, own.metadata) == (0, b"")
