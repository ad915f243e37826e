"""Trust lists: who may make the next one, who follows, and who is out."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossipsa.identifiers import GatewayName
from gossipsa.wire.authority import AuthorityError, add_successor, first_trust_list, issue, retire, revoke
from gossipsa.wire.codec import encode
from gossipsa.wire.identity import make_request
from gossipsa.wire.signing import SigningKey
from gossipsa.wire.trust import (
    AUTHORITIES_MAX,
    CLOCK_TOLERANCE_S,
    REVOKED_MAX,
    Refusal,
    TrustError,
    TrustList,
    decode_trust_list,
    sign_succession,
    sign_trust_list,
)
from tests.authorities import AUTHORITY, DAY_S, MESH, NOW_S, STRANGER, SUCCESSOR, TRUST, identity_of, keys_of

BOTH = add_successor(TRUST, AUTHORITY, SUCCESSOR.public)
NEW_ONLY = retire(BOTH, SUCCESSOR, AUTHORITY.public)


@given(
    serials=st.lists(st.binary(min_size=8, max_size=8), max_size=8),
    names=st.lists(st.text("abcé-", min_size=1, max_size=8), max_size=8),
)
def test_lists_survive_the_way_through_bytes(serials: list[bytes], names: list[str]) -> None:
    trust = revoke(BOTH, AUTHORITY, serials=tuple(serials), names=tuple(names), now_s=NOW_S)
    assert decode_trust_list(encode(trust)) == trust
    assert BOTH.accepts(trust)


@given(bit=st.integers(min_value=0))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    data = bytearray(encode(revoke(BOTH, AUTHORITY, names=("a",), now_s=NOW_S)))
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TrustError):
        decode_trust_list(bytes(data))


@given(data=st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(TrustError):
        decode_trust_list(data)


def test_list_signed_by_an_authority_that_it_does_not_trust_is_refused() -> None:
    with pytest.raises(TrustError):
        sign_trust_list(TRUST, STRANGER)
    forged = msgspec.structs.replace(TRUST, signer=STRANGER.public)
    with pytest.raises(TrustError, match="not signed by an authority that it trusts"):
        decode_trust_list(encode(forged))


def test_newer_list_of_a_trusted_authority_is_accepted_and_an_older_one_is_not() -> None:
    newer = revoke(TRUST, AUTHORITY, names=("a",), now_s=NOW_S)
    assert TRUST.accepts(newer)
    assert not newer.accepts(TRUST)
    assert not newer.accepts(newer)


def test_list_of_a_stranger_or_of_another_mesh_is_not_accepted() -> None:
    forged = msgspec.structs.replace(first_trust_list(MESH, STRANGER), version=99)
    assert not TRUST.accepts(sign_trust_list(forged, STRANGER))
    other = msgspec.structs.replace(first_trust_list("elsewhere", AUTHORITY), version=99)
    assert not TRUST.accepts(sign_trust_list(other, AUTHORITY))


def test_gateway_that_slept_through_a_rotation_follows_although_the_old_key_is_gone() -> None:
    later = revoke(NEW_ONLY, SUCCESSOR, names=("a",), now_s=NOW_S)
    assert later.signer == SUCCESSOR.public
    assert TRUST.accepts(later)


def test_gateway_follows_through_two_rotations() -> None:
    third = SigningKey.from_seed(b"C" * 32)
    newest = retire(add_successor(NEW_ONLY, SUCCESSOR, third.public), third, SUCCESSOR.public)
    assert TRUST.accepts(newest)
    assert BOTH.accepts(newest)
    assert NEW_ONLY.accepts(newest)


def test_retired_authority_makes_no_more_lists() -> None:
    revenge = sign_trust_list(msgspec.structs.replace(BOTH, version=99), AUTHORITY)
    assert not NEW_ONLY.accepts(revenge)
    assert BOTH.accepts(revenge)


def test_retired_authority_cannot_name_a_successor_afterwards() -> None:
    unsigned = msgspec.structs.replace(
        NEW_ONLY,
        version=99,
        authorities=(SUCCESSOR.public, STRANGER.public),
        successions=(*NEW_ONLY.successions, sign_succession(MESH, AUTHORITY, STRANGER.public)),
    )
    assert not NEW_ONLY.accepts(sign_trust_list(unsigned, STRANGER))


def test_forged_succession_leads_nowhere() -> None:
    genuine = sign_succession("elsewhere", AUTHORITY, STRANGER.public)
    unsigned = msgspec.structs.replace(first_trust_list(MESH, STRANGER), version=99, successions=(genuine,))
    assert not TRUST.accepts(sign_trust_list(unsigned, STRANGER))


def test_identities_are_judged_one_reason_each() -> None:
    good = identity_of("a")
    assert TRUST.refusal(good, now_s=NOW_S) is None
    assert TRUST.refusal(identity_of("a", mesh="elsewhere"), now_s=NOW_S) is Refusal.OTHER_MESH
    assert TRUST.refusal(identity_of("a", authority=STRANGER), now_s=NOW_S) is Refusal.UNKNOWN_AUTHORITY
    assert TRUST.refusal(good, now_s=good.not_after_s + 1) is Refusal.EXPIRED
    early_s = good.not_before_s - CLOCK_TOLERANCE_S
    assert TRUST.refusal(good, now_s=early_s) is None
    assert TRUST.refusal(good, now_s=early_s - 1) is Refusal.NOT_YET_VALID
    assert revoke(TRUST, AUTHORITY, serials=(good.serial,), now_s=NOW_S).refusal(good, now_s=NOW_S) is (
        Refusal.REVOKED
    )


def test_revoked_name_takes_back_what_was_issued_and_not_what_is_issued_later() -> None:
    trust = revoke(TRUST, AUTHORITY, names=("a",), now_s=NOW_S)
    old, other = identity_of("a", not_before_s=NOW_S), identity_of("b", not_before_s=NOW_S)
    assert trust.refusal(old, now_s=NOW_S) is Refusal.REVOKED
    assert trust.refusal(other, now_s=NOW_S) is None
    new = identity_of("a", keys=keys_of("new"), trust=trust, not_before_s=NOW_S + 1)
    assert trust.refusal(new, now_s=NOW_S + 1) is None


def test_identity_is_not_issued_into_a_revocation() -> None:
    trust = revoke(TRUST, AUTHORITY, names=("a",), now_s=NOW_S)
    with pytest.raises(AuthorityError, match="revoked"):
        identity_of("a", trust=trust, not_before_s=NOW_S)


def test_rotation_lets_identities_of_both_count_until_the_old_one_retires() -> None:
    old, new = identity_of("a"), identity_of("b", authority=SUCCESSOR)
    assert [trust.refusal(old, now_s=NOW_S) for trust in (TRUST, BOTH, NEW_ONLY)] == [
        None,
        None,
        Refusal.UNKNOWN_AUTHORITY,
    ]
    assert [trust.refusal(new, now_s=NOW_S) for trust in (TRUST, BOTH, NEW_ONLY)] == [
        Refusal.UNKNOWN_AUTHORITY,
        None,
        None,
    ]


def test_authority_that_the_list_does_not_trust_changes_nothing() -> None:
    request = make_request(keys_of("a"))
    with pytest.raises(AuthorityError):
        revoke(TRUST, STRANGER, names=("a",), now_s=NOW_S)
    with pytest.raises(AuthorityError):
        add_successor(TRUST, STRANGER, STRANGER.public)
    with pytest.raises(AuthorityError):
        issue(
            TRUST, STRANGER, request, name="a", site="", zone="", serial=bytes(8), not_before_s=0,
            not_after_s=DAY_S,
        )  # fmt: skip
    with pytest.raises(AuthorityError, match="cannot retire itself"):
        retire(BOTH, AUTHORITY, AUTHORITY.public)


def test_lists_are_bounded() -> None:
    draw = random.Random(1)
    serials = tuple(draw.randbytes(8) for _ in range(REVOKED_MAX + 1))
    full = revoke(TRUST, AUTHORITY, serials=serials[:REVOKED_MAX], now_s=NOW_S)
    assert len(decode_trust_list(encode(full)).revoked_serials) == REVOKED_MAX
    with pytest.raises(AuthorityError):
        revoke(full, AUTHORITY, serials=serials[REVOKED_MAX:], now_s=NOW_S)
    trust = TRUST
    for index in range(AUTHORITIES_MAX - 1):
        trust = add_successor(trust, AUTHORITY, SigningKey.from_seed(bytes([index]) * 32).public)
    with pytest.raises(AuthorityError):
        add_successor(trust, AUTHORITY, STRANGER.public)


def test_name_that_cannot_be_one_is_not_revoked() -> None:
    with pytest.raises(AuthorityError):
        revoke(TRUST, AUTHORITY, names=("a\n",), now_s=NOW_S)


def test_revoking_again_moves_the_moment_and_makes_no_second_entry() -> None:
    trust = revoke(TRUST, AUTHORITY, names=("a",), now_s=NOW_S)
    trust = revoke(trust, AUTHORITY, names=("a",), now_s=NOW_S + 5)
    assert [(entry.name, entry.until_s) for entry in trust.revoked_names] == [(GatewayName("a"), NOW_S + 5)]


class Rotations(RuleBasedStateMachine):
    """Whatever honest operators do, a gateway that has any version follows to the newest, and never back."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = [AUTHORITY]
        self.made = 0
        self.history: list[TrustList] = [TRUST]

    @property
    def newest(self) -> TrustList:
        return self.history[-1]

    @rule()
    def rotate(self) -> None:
        if len(self.newest.successions) < 16 and len(self.keys) < AUTHORITIES_MAX:
            self.made += 1
            successor = SigningKey.from_seed(bytes([self.made]) * 32)
            self.history.append(add_successor(self.newest, self.keys[-1], successor.public))
            self.keys.append(successor)

    @rule()
    def retire_oldest(self) -> None:
        if len(self.keys) > 1:
            self.history.append(retire(self.newest, self.keys[-1], self.keys.pop(0).public))

    @rule(name=st.sampled_from("abc"))
    def revoke_name(self, name: str) -> None:
        self.history.append(revoke(self.newest, self.keys[-1], names=(name,), now_s=NOW_S))

    @invariant()
    def everybody_follows(self) -> None:
        for known in self.history[:-1]:
            assert known.accepts(self.newest)
            assert not self.newest.accepts(known)


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=20, stateful_step_count=12)
