from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError
from gossipsa.ikev2.header import HEADER_BYTES, MESSAGE_BYTES_MAX, Header, decode_header, encode_header
from gossipsa.ikev2.registry import ExchangeType, NotifyType, PayloadType, describe

headers = st.builds(
    Header,
    spi_i=st.binary(min_size=8, max_size=8),
    spi_r=st.binary(min_size=8, max_size=8),
    next_payload=st.integers(0, 255),
    exchange=st.integers(0, 255),
    is_initiator=st.booleans(),
    is_response=st.booleans(),
    message_id=st.integers(0, 2**32 - 1),
    length_bytes=st.integers(HEADER_BYTES, 2000),
)

INFORMATIONAL = Header(
    spi_i=bytes(range(8)),
    spi_r=bytes(range(8, 16)),
    next_payload=PayloadType.SK,
    exchange=ExchangeType.INFORMATIONAL,
    is_initiator=True,
    is_response=True,
    message_id=0x01020304,
    length_bytes=HEADER_BYTES,
)


@given(headers)
def test_header_decodes_to_what_was_encoded(header: Header) -> None:
    body = bytes(header.length_bytes - HEADER_BYTES)
    assert decode_header(encode_header(header) + body) == header


def test_header_has_layout_of_rfc_7296_section_3_1() -> None:
    assert encode_header(INFORMATIONAL).hex() == ("000102030405060708090a0b0c0d0e0f2e202528010203040000001c")


@given(st.binary(max_size=64))
def test_garbage_is_refused_as_a_message(data: bytes) -> None:
    with pytest.raises(IkeMessageError):
        decode_header(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "shorter"),
        (lambda data: data + b"\0", "29 bytes says that it has 28"),
        (lambda data: data[:17] + b"\x10" + data[18:], "major version 1"),
        (lambda data: data[:17] + b"\x30" + data[18:], "major version 3"),
    ],
)
def test_header_that_contradicts_itself_is_refused(change: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(IkeMessageError, match=said):
        decode_header(change(encode_header(INFORMATIONAL)))


def test_minor_version_and_unknown_flags_are_ignored() -> None:
    data = bytearray(encode_header(INFORMATIONAL))
    data[17] = 0x2F
    data[19] |= 0xC7
    assert decode_header(bytes(data)) == INFORMATIONAL


@pytest.mark.parametrize(
    "field",
    [
        {"spi_i": bytes(7)},
        {"spi_r": bytes(9)},
        {"message_id": 2**32},
        {"exchange": 256},
        {"next_payload": -1},
        {"length_bytes": HEADER_BYTES - 1},
        {"length_bytes": MESSAGE_BYTES_MAX + 1},
    ],
)
def test_field_that_does_not_fit_is_the_callers_error(field: dict[str, object]) -> None:
    values = {name: getattr(INFORMATIONAL, name) for name in Header.__struct_fields__}
    with pytest.raises(IkeFieldError):
        encode_header(Header(**(values | field)))


def test_unknown_numbers_are_described_by_the_number() -> None:
    assert describe(NotifyType, 14) == "NO_PROPOSAL_CHOSEN (14)"
    assert describe(NotifyType, 40000) == "40000"
