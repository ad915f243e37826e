from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Endpoint
from gossipsa.wire.codec import encode
from gossipsa.wire.handshake import HELLO_BYTES
from gossipsa.wire.identity import IDENTITY_BYTES_MAX
from gossipsa.wire.introduction import (
    ANSWER,
    INTRODUCTION,
    INTRODUCTION_BYTES,
    STRANGER_BYTES,
    Introduction,
    IntroductionError,
    decode_introduction,
    encode_introduction,
    ephemeral_of_notice,
    stranger_notice,
)
from gossipsa.wire.trust import VERSION_MAX
from tests.authorities import identity_of

INTRODUCTIONS = st.builds(
    Introduction,
    nonce=st.binary(min_size=8, max_size=8),
    trust_version=st.integers(1, VERSION_MAX),
    identity=st.binary(max_size=IDENTITY_BYTES_MAX),
    endpoint=st.builds(Endpoint, address=st.ip_addresses(), port=st.integers(0, 65_535)),
    signature=st.binary(min_size=64, max_size=64),
)
ENDPOINT = Endpoint(IPv4Address("192.0.2.1"), 4600)


@given(introduction=INTRODUCTIONS, kind=st.sampled_from((INTRODUCTION, ANSWER)))
def test_introductions_survive_and_have_one_length(introduction: Introduction, kind: int) -> None:
    data = encode_introduction(kind, introduction)
    assert len(data) == INTRODUCTION_BYTES
    assert decode_introduction(data) == introduction


@given(data=st.one_of(st.binary(max_size=700), st.binary(min_size=640, max_size=640)))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(IntroductionError):
        decode_introduction(data)


@pytest.mark.parametrize("change", [b"\0", b"-1"])
def test_introduction_of_another_length_is_refused(change: bytes) -> None:
    introduction = Introduction(
        nonce=bytes(8),
        trust_version=1,
        identity=encode(identity_of("a")),
        endpoint=ENDPOINT,
        signature=bytes(64),
    )
    data = encode_introduction(INTRODUCTION, introduction)
    with pytest.raises(IntroductionError, match="640 bytes"):
        decode_introduction(data + b"\0" if change == b"\0" else data[:-1])


def test_nothing_hides_in_the_padding() -> None:
    introduction = Introduction(
        nonce=bytes(8), trust_version=1, identity=b"", endpoint=ENDPOINT, signature=bytes(64)
    )
    data = encode_introduction(INTRODUCTION, introduction)
    with pytest.raises(IntroductionError, match="padded"):
        decode_introduction(data[:-1] + b"x")


def test_answers_are_no_longer_than_what_they_answer() -> None:
    assert STRANGER_BYTES <= HELLO_BYTES
    assert len(stranger_notice(bytes(HELLO_BYTES))) == STRANGER_BYTES


@given(hello=st.binary(max_size=200))
def test_notice_repeats_the_ephemeral_key_of_a_hello_and_of_nothing_else(hello: bytes) -> None:
    if len(hello) == HELLO_BYTES:
        assert ephemeral_of_notice(stranger_notice(hello)) == hello[10:42]
    else:
        with pytest.raises(IntroductionError):
            stranger_notice(hello)
