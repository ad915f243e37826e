"""Checked against libsodium, which takes whole nonces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from gossipsa.identifiers import Secret
from gossipsa.wire.counter_aead import COUNTER_BYTES, CounterAead

KEYS = st.binary(min_size=32, max_size=32).map(Secret)
COUNTERS = st.binary(min_size=COUNTER_BYTES, max_size=COUNTER_BYTES)


@given(KEYS, COUNTERS, st.binary(max_size=300), st.binary(max_size=40))
def test_is_xchacha20_poly1305(key: Secret, counter: bytes, payload: bytes, header: bytes) -> None:
    sealed = CounterAead(key).seal(payload, header, counter)
    assert sealed == bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        payload, header, bytes(16) + counter, key
    )
    assert CounterAead(key).open(sealed, header, counter) == payload


@given(KEYS, COUNTERS, st.binary(max_size=50), st.integers(min_value=0))
def test_what_was_changed_does_not_open(key: Secret, counter: bytes, payload: bytes, bit: int) -> None:
    aead = CounterAead(key)
    sealed = bytearray(aead.seal(payload, b"header", counter))
    sealed[bit // 8 % len(sealed)] ^= 1 << bit % 8
    assert aead.open(bytes(sealed), b"header", counter) is None
    assert aead.open(b"", b"header", counter) is None
