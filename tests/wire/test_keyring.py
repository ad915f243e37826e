"""The keyring: which identities get in, and which have to go."""

from __future__ import annotations

import pytest

from gossipsa.errors import CallerError
from gossipsa.identifiers import GatewayName
from gossipsa.swim.credentials import Credentials
from gossipsa.wire import keyring as keyring_module
from gossipsa.wire.authority import add_successor, retire, revoke
from gossipsa.wire.codec import encode
from gossipsa.wire.handshake import key_hint
from gossipsa.wire.keyring import Keyring, RefusedIdentity, UnknownGatewayError
from gossipsa.wire.trust import Refusal, TrustList
from tests.authorities import AUTHORITY, DAY_S, NOW_S, STRANGER, SUCCESSOR, TRUST, identity_of, keys_of

A, B = GatewayName("a"), GatewayName("b")
SECOND_NS = 1_000_000_000


def make_keyring(*, unix_s: int = NOW_S, trust: TrustList = TRUST) -> Keyring:
    return Keyring(keys=keys_of("a"), identity=identity_of("a"), trust=trust, unix_s=unix_s)


def refusal_of(keyring: Keyring, name: str, identity: bytes) -> str:
    assert not keyring.admit(GatewayName(name), identity)
    (refused,) = keyring.take_refused()
    assert refused.name == name
    return refused.reason


def test_keyring_is_what_swim_asks_for() -> None:
    keyring: Credentials = make_keyring()
    assert keyring.verify(A, b"words", keyring.sign(b"words"))


def test_admitted_gateway_signs_for_itself_and_for_nobody_else() -> None:
    a, b = make_keyring(), Keyring(keys=keys_of("b"), identity=identity_of("b"), trust=TRUST, unix_s=NOW_S)
    signature = b.sign(b"words")
    assert not a.verify(B, b"words", signature)
    assert a.admit(B, b.identity)
    assert a.admit(B, b.identity)
    assert a.verify(B, b"words", signature)
    assert not a.verify(A, b"words", signature)
    assert not a.verify(B, b"other words", signature)
    assert a.peer(B).identity == b.own


def test_unknown_gateway_is_an_error_of_the_caller() -> None:
    with pytest.raises(UnknownGatewayError):
        make_keyring().peer(B)


def test_identities_that_do_not_count_are_refused_with_their_reason() -> None:
    keyring = make_keyring()
    good = encode(identity_of("b"))
    assert refusal_of(keyring, "c", good) == "another name"
    assert refusal_of(keyring, "b", good[:-1]) == "not genuine"
    assert refusal_of(keyring, "b", encode(identity_of("b", authority=STRANGER))) == "unknown authority"
    assert refusal_of(keyring, "b", encode(identity_of("b", mesh="elsewhere"))) == "other mesh"
    assert refusal_of(keyring, "b", encode(identity_of("b", not_after_s=NOW_S - 1))) == "expired"
    assert refusal_of(keyring, "b", encode(identity_of("b", not_before_s=NOW_S + 301))) == "not yet valid"
    assert refusal_of(keyring, "a", encode(identity_of("a", keys=keys_of("thief")))) == "our own name"
    assert B not in keyring


def test_refused_identity_leaves_what_was_known_before() -> None:
    keyring = make_keyring()
    assert keyring.admit(B, encode(identity_of("b")))
    assert not keyring.admit(B, encode(identity_of("b", authority=STRANGER)))
    assert keyring.peer(B).identity == identity_of("b")


def test_identity_issued_later_takes_the_place_of_the_earlier_one_and_never_the_other_way_round() -> None:
    keyring = make_keyring()
    old = identity_of("b")
    new = identity_of("b", keys=keys_of("b, new"), not_before_s=NOW_S)
    assert keyring.admit(B, encode(old))
    assert keyring.admit(B, encode(new))
    assert refusal_of(keyring, "b", encode(old)) == "superseded"
    assert keyring.peer(B).identity == new
    hints = [key_hint(keyring.mesh, B, identity.exchange_key) for identity in (old, new)]
    assert [keyring.peer_of_hint(hint) for hint in hints] == [None, keyring.peer(B)]


def test_renewed_identity_with_the_same_keys_counts_beside_the_old_one() -> None:
    """While the news of it spreads, both are about."""
    keyring = make_keyring()
    old, new = identity_of("b"), identity_of("b", not_before_s=NOW_S)
    assert keyring.admit(B, encode(new))
    assert keyring.admit(B, encode(old))
    assert keyring.peer(B).identity == new


def test_keyring_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "PEERS_MAX", 2)
    keyring = make_keyring()
    for name in "bc":
        assert keyring.admit(GatewayName(name), encode(identity_of(name)))
    assert refusal_of(keyring, "d", encode(identity_of("d"))) == "keyring full"
    assert keyring.admit(B, encode(identity_of("b", not_before_s=NOW_S)))


def test_flood_of_refused_identities_is_told_of_in_a_bounded_way() -> None:
    keyring = make_keyring()
    for _ in range(1_000):
        keyring.admit(B, b"")
    assert set(keyring.take_refused()) == {RefusedIdentity("b", "not genuine")}
    assert keyring.take_refused() == ()


def test_revocation_removes_who_was_admitted_and_keeps_it_out() -> None:
    keyring = make_keyring()
    identity = encode(identity_of("b"))
    assert keyring.admit(B, identity)
    assert keyring.follow(revoke(TRUST, AUTHORITY, serials=(identity_of("b").serial,), now_s=NOW_S))
    assert keyring.drop_refused() == ((B, Refusal.REVOKED),)
    assert B not in keyring
    assert refusal_of(keyring, "b", identity) == "revoked"


def test_retired_authority_takes_its_identities_with_it() -> None:
    both = add_successor(TRUST, AUTHORITY, SUCCESSOR.public)
    keyring = make_keyring(trust=both)
    old, new = encode(identity_of("b")), encode(identity_of("c", authority=SUCCESSOR))
    assert keyring.admit(B, old)
    assert keyring.admit(GatewayName("c"), new)
    assert keyring.follow(retire(both, SUCCESSOR, AUTHORITY.public))
    assert keyring.drop_refused() == ((B, Refusal.UNKNOWN_AUTHORITY),)
    assert keyring.own_refusal() is Refusal.UNKNOWN_AUTHORITY


def test_unacceptable_list_changes_nothing() -> None:
    keyring = make_keyring()
    assert not keyring.follow(TRUST)
    assert keyring.trust is TRUST


def test_identity_expires_by_the_monotonic_clock() -> None:
    keyring = make_keyring()
    assert keyring.admit(B, encode(identity_of("b", not_after_s=NOW_S + 10)))
    keyring.calendar.advance(5 * SECOND_NS)
    keyring.calendar.advance(15 * SECOND_NS)
    assert keyring.drop_refused() == ()
    keyring.calendar.advance(16 * SECOND_NS)
    assert keyring.drop_refused() == ((B, Refusal.EXPIRED),)


@pytest.mark.parametrize(
    ("unix_s", "expected_s"),
    [
        (NOW_S, NOW_S),
        (0, NOW_S - DAY_S),
        (NOW_S + 1_000 * DAY_S, NOW_S + 365 * DAY_S),
    ],
)
def test_clock_that_contradicts_our_identity_is_moved_into_its_validity(unix_s: int, expected_s: int) -> None:
    calendar = make_keyring(unix_s=unix_s).calendar
    assert calendar.now_s == expected_s
    assert calendar.is_implausible is (unix_s != NOW_S)


def test_clock_that_lags_a_little_behind_the_authority_is_plausible() -> None:
    assert not make_keyring(unix_s=NOW_S - DAY_S - 100).calendar.is_implausible


def test_own_identity_must_fit_key_and_trust() -> None:
    with pytest.raises(CallerError, match="another private key"):
        Keyring(keys=keys_of("b"), identity=identity_of("a"), trust=TRUST, unix_s=NOW_S)
    with pytest.raises(CallerError, match="unknown authority"):
        Keyring(keys=keys_of("a"), identity=identity_of("a", authority=STRANGER), trust=TRUST, unix_s=NOW_S)
    with pytest.raises(CallerError, match="revoked"):
        make_keyring(trust=revoke(TRUST, AUTHORITY, names=("a",), now_s=NOW_S))
