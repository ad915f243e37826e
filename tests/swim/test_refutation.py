from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.errors import ConfigurationError
from gossipsa.swim import statements
from gossipsa.swim.member import claim_key
from gossipsa.swim.messages import INCARNATION_MAX, MemberState
from gossipsa.swim.refutation import REFUTATIONS_BURST, RESTART_STEP, OwnClaim
from gossipsa.swim.settings import SECOND_NS
from sim.mesh.credentials import MemberCredentials
from tests.swim.claims import BOOT, ENDPOINT, NEW_BOOT, OTHERS, THEM, US, claim, incarnations


def own_claim() -> OwnClaim:
    return OwnClaim(
        name=US,
        boot=BOOT,
        endpoint=ENDPOINT,
        metadata=b"",
        credentials=MemberCredentials(US),
        accusers_max=4,
    )


@given(incarnations, st.booleans())
def test_other_boot_is_outbid_whatever_it_said(incarnation: int, succeeding: bool) -> None:
    own = own_claim()
    rival = claim(member=US, boot=NEW_BOOT, incarnation=incarnation)
    outbid = own.outbid(rival, succeeding=succeeding, now_ns=0)
    assert outbid == (incarnation <= INCARNATION_MAX - RESTART_STEP)
    if outbid:
        assert claim_key(own.update()) > claim_key(rival)
        assert own.update().succeeds == (NEW_BOOT if succeeding else b"")
    assert own.incarnation <= INCARNATION_MAX


@pytest.mark.parametrize("state", [MemberState.SUSPECT, MemberState.FAILED])
def test_refuted_suspicion_raises_incarnation(state: MemberState) -> None:
    own = own_claim()
    assert own.refute(claim(state, member=US), THEM, now_ns=0)
    assert own.incarnation == 1
    assert not own.refute(claim(state, member=US), THEM, now_ns=0)
    assert own.incarnation == 1


def test_nobody_can_raise_our_incarnation_by_more_than_one() -> None:
    own = own_claim()
    for accusation in (
        claim(MemberState.SUSPECT, member=US, incarnation=7),
        claim(MemberState.SUSPECT, member=US, boot=NEW_BOOT),
    ):
        assert not own.refute(accusation, THEM, now_ns=0)
    assert own.incarnation == 0


def test_our_words_are_signed_whenever_they_change() -> None:
    own = own_claim()
    for change in (
        lambda: own.describe(b"load 3"),
        lambda: own.refute(claim(MemberState.SUSPECT, member=US, incarnation=1), THEM, now_ns=0),
        own.reintroduce,
        own.leave,
    ):
        change()
        said = own.update()
        assert said is own.update()
        assert MemberCredentials(US).verify(US, statements.own_words(said), said.signature)
    assert (said.incarnation, said.state) == (3, MemberState.LEFT)


def test_who_left_refutes_nothing() -> None:
    own = own_claim()
    own.leave()
    assert own.update().state is MemberState.LEFT
    assert not own.refute(claim(MemberState.FAILED, member=US), THEM, now_ns=0)
    assert not own.outbid(claim(member=US, boot=NEW_BOOT, incarnation=5), succeeding=True, now_ns=0)


def test_one_accuser_makes_us_answer_at_a_bounded_rate_and_uses_up_nobody_elses() -> None:
    own = own_claim()

    def accused(by: str) -> bool:
        accusation = claim(MemberState.SUSPECT, member=US, incarnation=own.incarnation)
        return own.refute(accusation, THEM if by == "them" else OTHERS[0], now_ns=0)

    assert sum(accused("them") for _ in range(1000)) == REFUTATIONS_BURST
    assert accused("other")
    assert own.refute(
        claim(MemberState.SUSPECT, member=US, incarnation=own.incarnation), THEM, now_ns=SECOND_NS
    )


def test_other_boots_are_outbid_at_a_bounded_rate() -> None:
    own = own_claim()
    outbid = sum(
        own.outbid(
            claim(member=US, boot=NEW_BOOT, incarnation=own.incarnation + 1), succeeding=False, now_ns=0
        )
        for _ in range(100)
    )
    assert outbid == REFUTATIONS_BURST


def test_metadata_change_raises_incarnation_once() -> None:
    own = own_claim()
    assert own.describe(b"load 3")
    assert not own.describe(b"load 3")
    assert (own.incarnation, own.metadata) == (1, b"load 3")


def test_too_long_metadata_is_refused_and_changes_nothing() -> None:
    own = own_claim()
    with pytest.raises(ConfigurationError):
        own.describe(bytes(289))
    assert (own.incarnation, own.metadata) == (0, b"")
