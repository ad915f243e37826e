"""Identities and requests: one form each, and no bit of them can be changed."""

from __future__ import annotations

import string

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gossipsa.swim import credentials
from gossipsa.wire.authority import AuthorityError
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.identity import (
    IDENTITY_BYTES_MAX,
    IdentityError,
    decode_identity,
    decode_request,
    make_request,
)
from gossipsa.wire.signing import Domain, SigningKey, is_signed
from tests.authorities import AUTHORITY, MESH, STRANGER, identity_of, keys_of

NAMES = st.text(string.ascii_letters + string.digits + "-._é", min_size=1, max_size=64)
PLACES = st.one_of(st.just(""), NAMES)
TIMES = st.integers(min_value=0, max_value=1 << 39)


@given(name=NAMES, site=PLACES, zone=PLACES, begins_s=TIMES, lasts_s=st.integers(1, 1 << 30))
def test_identities_survive_the_way_through_bytes(
    name: str, site: str, zone: str, begins_s: int, lasts_s: int
) -> None:
    try:
        identity = identity_of(
            name, site=site, zone=zone, not_before_s=begins_s, not_after_s=begins_s + lasts_s
        )
    except IdentityError:
        # Longer than an identity may be: nothing was signed.
        assume(False)
        raise
    assert decode_identity(encode(identity)) == identity
    assert len(encode(identity)) <= IDENTITY_BYTES_MAX


@given(seed=st.binary(min_size=32, max_size=32))
def test_requests_survive_the_way_through_bytes(seed: bytes) -> None:
    request = make_request(GatewayKeys.from_seed(seed))
    assert decode_request(encode(request)) == request


@given(bit=st.integers(min_value=0))
def test_any_flipped_bit_of_an_identity_is_noticed(bit: int) -> None:
    data = bytearray(encode(identity_of("a", site="s", zone="z")))
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IdentityError):
        decode_identity(bytes(data))


@given(bit=st.integers(min_value=0))
def test_any_flipped_bit_of_a_request_is_noticed(bit: int) -> None:
    data = bytearray(encode(make_request(keys_of("a"))))
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IdentityError):
        decode_request(bytes(data))


@given(data=st.binary(max_size=700))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    for decode in (decode_identity, decode_request):
        with pytest.raises(IdentityError):
            decode(data)


def test_an_identity_has_one_form_only() -> None:
    data = encode(identity_of("a"))
    # The name "a" as a MessagePack str 8 in place of a fixstr: the same value, other bytes.
    longer = data.replace(b"\xa1a", b"\xd9\x01a", 1)
    assert longer != data
    with pytest.raises(IdentityError, match="shortest form"):
        decode_identity(longer)


def test_request_with_another_gateways_signing_key_is_refused() -> None:
    """Proof of possession: a public key is no reason to get an identity for it."""
    theirs, ours = make_request(keys_of("a")), make_request(keys_of("b"))
    stolen = msgspec.structs.replace(ours, signing_key=theirs.signing_key)
    with pytest.raises(IdentityError, match="not signed with the key"):
        decode_request(encode(stolen))


def test_identity_signed_by_another_than_it_names_is_refused() -> None:
    forged = msgspec.structs.replace(identity_of("a", authority=STRANGER), authority=AUTHORITY.public)
    with pytest.raises(IdentityError, match="not signed by the authority"):
        decode_identity(encode(forged))


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\x1b[2J", "x" * 65])
def test_names_that_a_log_cannot_show_are_not_issued(name: str) -> None:
    with pytest.raises(AuthorityError):
        identity_of(name)


def test_identity_that_ends_before_it_begins_is_not_issued() -> None:
    with pytest.raises(AuthorityError):
        identity_of("a", not_before_s=10, not_after_s=10)


def test_texts_that_are_too_long_together_are_not_issued() -> None:
    with pytest.raises(IdentityError, match="too long together"):
        identity_of("é" * 64, site="é" * 64, zone="é" * 64)


def test_signature_of_one_kind_of_statement_serves_for_no_other() -> None:
    key = SigningKey.from_seed(bytes(32))
    signature = key.sign(Domain.IDENTITY, b"statement")
    assert is_signed(key.public, Domain.IDENTITY, b"statement", signature)
    others = [domain for domain in Domain if domain is not Domain.IDENTITY]
    assert not any(is_signed(key.public, domain, b"statement", signature) for domain in others)
    assert not any(
        one.value.startswith(other.value) for one in Domain for other in Domain if one is not other
    )


@given(key=st.binary(max_size=40), signature=st.binary(max_size=80))
def test_random_signatures_hold_for_nothing(key: bytes, signature: bytes) -> None:
    assert not is_signed(key, Domain.MEMBERSHIP, b"statement", signature)


def test_both_keys_of_a_gateway_come_from_its_seed_and_differ() -> None:
    one, again, other = (GatewayKeys.from_seed(seed * 32) for seed in (b"1", b"1", b"2"))
    assert one == again
    assert one.signing.public != other.signing.public
    assert one.exchange.public != other.exchange.public
    assert one.exchange.public != one.signing.public


def test_nothing_shows_keys() -> None:
    keys = keys_of("a")
    shown = repr(keys).replace(repr(keys.signing.public), "").replace(repr(keys.exchange.public), "")
    assert shown.count("<secret") == 2
    assert "\\x" not in shown


def test_swim_leaves_room_for_every_identity() -> None:
    assert credentials.IDENTITY_BYTES_MAX >= IDENTITY_BYTES_MAX


def test_identity_names_its_mesh() -> None:
    assert decode_identity(encode(identity_of("a"))).mesh == MESH
