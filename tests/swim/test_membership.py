from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.swim.evidence import words_of
from gossipsa.swim.member import claim_key
from gossipsa.swim.membership import TRANSITIONS, Change, Membership, Ruling
from gossipsa.swim.messages import MemberState, Update
from gossipsa.swim.outputs import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberRestarted,
    MemberSuspected,
    MetadataChanged,
)
from gossipsa.swim.settings import LAN, SECOND_NS
from tests.swim.claims import BOOT, NEW_BOOT, OTHERS, THEM, US, claim, word_of

ALIVE, SUSPECT, FAILED, LEFT = MemberState

complete_claims = st.builds(
    claim,
    st.sampled_from(MemberState),
    boot=st.sampled_from([BOOT, NEW_BOOT]),
    incarnation=st.integers(0, 3),
    complete=st.just(True),
)


def table_with(*claims: Update) -> Membership:
    table = Membership(LAN)
    for update in claims:
        table.accept(update, now_ns=0)
    return table


def take_in(table: Membership, update: Update) -> None:
    """Believe a claim, if it is one to be believed."""
    ruling = table.rule(update)
    if ruling is Ruling.ADOPT:
        table.accept(words_of(update), now_ns=0)
        ruling = table.rule(update)
    if ruling is Ruling.BURY:
        table.accept(update, now_ns=0)
    member = table.get(update.member)
    if ruling is Ruling.WEIGH and member is not None and claim_key(update) > member.key:
        table.accept(update, now_ns=0)


@given(st.lists(complete_claims, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_claims_ends_in_the_same_belief(claims: list[Update], random: Random) -> None:
    shuffled = list(claims)
    random.shuffle(shuffled)
    for order in (claims, shuffled):
        table = Membership(LAN)
        for update in order:
            take_in(table, update)
        member = table.get(THEM)
        assert member is not None
        assert member.key == max(map(claim_key, claims))


@given(st.lists(complete_claims, max_size=12))
def test_members_are_filed_under_their_state(claims: list[Update]) -> None:
    table = Membership(LAN)
    spread = [
        msgspec.structs.replace(update, member=OTHERS[index % 3]) for index, update in enumerate(claims)
    ]
    for update in spread:
        take_in(table, update)
        for state in MemberState:
            filed = table.in_state(state)
            assert {member.name for member in filed} == {m.name for m in table if m.state is state}
            assert table.count(state) == len(filed)
        assert all((member.suspicion is not None) == (member.state is SUSPECT) for member in table)
        assert all(bool(member.testimonies) == (member.state in (SUSPECT, FAILED)) for member in table)


@pytest.mark.parametrize(("old", "new"), list(product([None, *MemberState], MemberState)))
def test_every_transition_tells_what_the_table_says(old: MemberState | None, new: MemberState) -> None:
    kinds = {
        Change.JOINED: MemberJoined,
        Change.SUSPECTED: MemberSuspected,
        Change.REFUTED: MemberRefuted,
        Change.FAILED: MemberFailed,
        Change.LEFT: MemberLeft,
    }
    table = Membership(LAN) if old is None else table_with(claim(old, complete=True))
    events = table.accept(claim(new, incarnation=1, complete=True), now_ns=0)
    assert [type(event) for event in events] == [kinds[change] for change in TRANSITIONS[(old, new)]]
    # Who counts joins and losses always knows who is live.
    live = old is not None and old.live
    for event in events:
        live = live if isinstance(event, MemberSuspected | MemberRefuted) else isinstance(event, MemberJoined)
    assert live == new.live


@pytest.mark.parametrize(
    ("held", "told", "ruling"),
    [
        (claim(incarnation=1), claim(incarnation=1), Ruling.STALE),
        (claim(incarnation=1), claim(incarnation=2), Ruling.ADOPT),
        (claim(incarnation=1), claim(SUSPECT, incarnation=0), Ruling.STALE),
        (claim(incarnation=1), claim(SUSPECT, incarnation=1), Ruling.WEIGH),
        (claim(incarnation=1), claim(SUSPECT, incarnation=2), Ruling.MISSING),
        (claim(incarnation=1), claim(SUSPECT, incarnation=2, complete=True), Ruling.ADOPT),
        (claim(SUSPECT, incarnation=1, complete=True), claim(incarnation=1), Ruling.STALE),
        (claim(SUSPECT, incarnation=1, complete=True), claim(incarnation=2), Ruling.ADOPT),
        (claim(SUSPECT, incarnation=1, complete=True), claim(SUSPECT, incarnation=1), Ruling.WEIGH),
        (claim(SUSPECT, incarnation=1, complete=True), claim(FAILED, incarnation=1), Ruling.WEIGH),
        (claim(incarnation=1), claim(FAILED, incarnation=1), Ruling.WEIGH),
        (claim(incarnation=1), claim(FAILED, incarnation=0), Ruling.STALE),
        (claim(incarnation=1), claim(FAILED, incarnation=2), Ruling.MISSING),
        (claim(incarnation=1), claim(FAILED, incarnation=2, complete=True), Ruling.ADOPT),
        (claim(FAILED, incarnation=1, complete=True), claim(SUSPECT, incarnation=1), Ruling.STALE),
        (claim(FAILED, incarnation=1, complete=True), claim(FAILED, incarnation=1), Ruling.STALE),
        (claim(FAILED, incarnation=1, complete=True), claim(incarnation=1), Ruling.OUTDATED),
        (claim(FAILED, incarnation=1, complete=True), claim(incarnation=0), Ruling.STALE),
        (claim(FAILED, incarnation=1, complete=True), claim(incarnation=2), Ruling.ADOPT),
        (claim(FAILED, complete=True), claim(FAILED, incarnation=2, complete=True), Ruling.BURY),
        (claim(FAILED, complete=True), claim(SUSPECT, incarnation=2, complete=True), Ruling.ADOPT),
        (claim(LEFT, incarnation=1), claim(FAILED, incarnation=1), Ruling.STALE),
        (claim(LEFT, incarnation=1), claim(incarnation=2), Ruling.ADOPT),
        (claim(), claim(LEFT), Ruling.ADOPT),
        (claim(FAILED, complete=True), claim(LEFT), Ruling.ADOPT),
        (claim(), claim(boot=NEW_BOOT, incarnation=1), Ruling.ADOPT),
        (claim(), claim(SUSPECT, boot=NEW_BOOT, incarnation=1), Ruling.MISSING),
        (claim(), claim(complete=False, incarnation=1), Ruling.REFUSE),
        (claim(), claim(LEFT, complete=False), Ruling.REFUSE),
        (claim(), claim(SUSPECT, witnesses=()), Ruling.REFUSE),
        (claim(), claim(FAILED, witnesses=()), Ruling.REFUSE),
        (claim(), msgspec.structs.replace(claim(), evidence=(word_of(US),)), Ruling.REFUSE),
    ],
)
def test_ruling(held: Update, told: Update, ruling: Ruling) -> None:
    assert table_with(held).rule(told) is ruling


def test_gossip_about_strangers_is_ignored_unless_complete() -> None:
    table = Membership(LAN)
    assert table.rule(claim(SUSPECT)) is Ruling.STALE
    assert table.rule(claim(FAILED)) is Ruling.STALE
    assert table.rule(claim(FAILED, complete=True)) is Ruling.BURY
    assert table.rule(claim(FAILED, complete=True, age_s=24 * 3600)) is Ruling.STALE


def test_new_boot_announces_the_death_of_the_old_one() -> None:
    table = table_with(claim(SUSPECT, complete=True))
    assert table.accept(claim(boot=NEW_BOOT, incarnation=1), now_ns=0) == [
        MemberRestarted(name=THEM, old_boot=BOOT, new_boot=NEW_BOOT)
    ]
    table = table_with(claim(FAILED, complete=True))
    assert table.accept(claim(boot=NEW_BOOT, incarnation=1), now_ns=0) == [
        MemberRestarted(name=THEM, old_boot=BOOT, new_boot=NEW_BOOT),
        MemberJoined(name=THEM, boot=NEW_BOOT),
    ]


def test_changed_metadata_is_told() -> None:
    table = table_with(claim())
    assert table.accept(claim(incarnation=1, metadata=b"x"), now_ns=0) == [
        MetadataChanged(name=THEM, boot=BOOT, metadata=b"x")
    ]
    assert table.accept(claim(incarnation=2, metadata=b"x"), now_ns=0) == []


def test_each_witness_counts_once_and_up_to_what_is_needed() -> None:
    table = table_with(claim(SUSPECT, complete=True, witness=OTHERS[0]))
    assert table.confirm(THEM, word_of(OTHERS[0]), now_ns=1) == []
    assert table.confirm(THEM, word_of(OTHERS[1]), now_ns=1) == [
        MemberSuspected(name=THEM, boot=BOOT, witnesses=2)
    ]
    assert table.confirm(THEM, word_of(OTHERS[2]), now_ns=1) != []
    assert table.confirm(THEM, word_of(OTHERS[3]), now_ns=1) == []


def test_expelled_member_is_gone_for_good_and_bears_no_witness() -> None:
    table = table_with(claim(), claim(SUSPECT, member=OTHERS[0], witnesses=(THEM, OTHERS[1]), complete=True))
    assert table.expel(THEM) == [MemberFailed(name=THEM, boot=BOOT)]
    assert table.get(THEM) is None
    assert table.rule(claim(incarnation=9)) is Ruling.REFUSE
    suspect = table.get(OTHERS[0])
    assert suspect is not None
    assert suspect.suspicion is not None
    assert suspect.suspicion.witnesses == (OTHERS[1],)
    assert table.expel(THEM) == []


def test_as_many_expelled_are_remembered_as_there_may_be_members() -> None:
    table = Membership(replace(LAN, members_max=2))
    for name in OTHERS[:3]:
        table.expel(name)
    assert [table.expelled(name) for name in OTHERS[:3]] == [False, True, True]


def test_full_table_gives_up_the_longest_dead_for_the_living() -> None:
    table = Membership(replace(LAN, members_max=2))
    table.accept(claim(member=OTHERS[0]), now_ns=0)
    table.accept(claim(FAILED, member=OTHERS[1], complete=True), now_ns=0)
    assert table.rule(claim(FAILED, member=OTHERS[2], complete=True)) is Ruling.REFUSE
    assert table.rule(claim(member=OTHERS[2])) is Ruling.ADOPT
    table.accept(claim(member=OTHERS[2]), now_ns=0)
    assert [member.name for member in table] == [OTHERS[0], OTHERS[2]]
    assert table.rule(claim(member=OTHERS[3])) is Ruling.REFUSE


def test_dead_are_forgotten_at_the_age_they_have_in_the_mesh() -> None:
    table = table_with(claim(), claim(FAILED, member=OTHERS[0], complete=True, age_s=3600))
    assert table.forget(now_ns=LAN.forget_ns - 3600 * SECOND_NS - 1) == ()
    assert table.forget(now_ns=LAN.forget_ns - 3600 * SECOND_NS) == (OTHERS[0],)
    assert [member.name for member in table] == [THEM]


def test_age_travels_with_the_verdict() -> None:
    table = table_with(claim(FAILED, complete=True, age_s=10))
    member = table.get(THEM)
    assert member is not None
    assert member.update(now_ns=5 * SECOND_NS).age_s == 15
