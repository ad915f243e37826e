from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ikev2.errors import IkeFieldError, IkeMessageError
from gossipsa.ikev2.notify import (
    Notify,
    additional_address,
    cookie2,
    no_additional_addresses,
    update_sa_addresses,
)
from gossipsa.ikev2.payloads import PAYLOADS_MAX, Delete, Payload, RawPayload, decode_chain, encode_chain
from gossipsa.ikev2.registry import NotifyType, PayloadType, ProtocolId
from tests.vectors.ike_samples import payloads


@given(st.lists(payloads, max_size=8).map(tuple))
def test_chain_decodes_to_what_was_encoded(chain: tuple[Payload, ...]) -> None:
    assert decode_chain(*encode_chain(chain)) == chain


@given(st.integers(0, 255), st.binary(max_size=200))
def test_garbage_decodes_or_is_refused_as_a_message(first_type: int, data: bytes) -> None:
    try:
        chain = decode_chain(first_type, data)
    except IkeMessageError:
        return
    assert sum(4 + len(payload.encode_body()) for payload in chain) == len(data)


@given(st.lists(payloads, min_size=1, max_size=4).map(tuple), st.data())
def test_truncated_chain_is_refused(chain: tuple[Payload, ...], data: st.DataObject) -> None:
    first_type, encoded = encode_chain(chain)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(IkeMessageError):
        decode_chain(first_type, encoded[:cut])


@pytest.mark.parametrize(
    ("notify", "body"),
    [
        (no_additional_addresses(), "00 00 400f"),
        (update_sa_addresses(), "00 00 4010"),
        (additional_address(IPv4Address("10.0.3.2")), "00 00 400d 0a000302"),
        (additional_address(IPv6Address("fd00::1")), "00 00 400e fd000000000000000000000000000001"),
        (cookie2(b"12345678"), "00 00 4011 3132333435363738"),
        (Notify(type=NotifyType.REKEY_SA, protocol=ProtocolId.ESP, spi=b"abcd"), "03 04 4009 61626364"),
    ],
)
def test_notify_has_layout_of_rfc_7296_section_3_10(notify: Notify, body: str) -> None:
    assert encode_chain([notify]) == (
        PayloadType.NOTIFY,
        bytes((0, 0, 0, 4 + len(bytes.fromhex(body)))) + bytes.fromhex(body),
    )


def test_delete_of_child_sas_has_layout_of_rfc_7296_section_3_11() -> None:
    delete = Delete(protocol=ProtocolId.ESP, spis=(b"abcd", b"efgh"))
    assert encode_chain([delete]) == (
        PayloadType.DELETE,
        bytes.fromhex("00 00 0010 03 04 0002 61626364 65666768"),
    )


def test_notify_types_below_16384_are_errors() -> None:
    assert Notify(type=NotifyType.NO_PROPOSAL_CHOSEN).is_error
    assert Notify(type=16383).is_error
    assert not Notify(type=16384).is_error


def test_critical_flag_survives_and_reserved_bits_are_ignored() -> None:
    first_type, encoded = encode_chain([RawPayload(payload_type=200, body=b"x", critical=True)])
    assert encoded.hex() == "0080000578"
    assert decode_chain(first_type, bytes.fromhex("00ff000578")) == decode_chain(first_type, encoded)


@pytest.mark.parametrize(
    ("first_type", "chain", "said"),
    [
        (0, "00", "after the last"),
        (43, "000000", "truncated"),
        (43, "00000003", "impossible length"),
        (43, "00000005", "impossible length"),
        (41, "00000007000000", "shorter than its header"),
        (41, "000000080004000e", "shorter than its SPI"),
        (42, "00000007000000", "shorter than its header"),
        (42, "00000008030400 01".replace(" ", ""), "does not hold"),
        (42, "0000000803000001", "does not hold"),
    ],
)
def test_malformed_chain_is_refused(first_type: int, chain: str, said: str) -> None:
    with pytest.raises(IkeMessageError, match=said):
        decode_chain(first_type, bytes.fromhex(chain))


def test_chain_length_is_bounded_both_ways() -> None:
    longest = (RawPayload(payload_type=43, body=b""),) * PAYLOADS_MAX
    first_type, encoded = encode_chain(longest)
    assert decode_chain(first_type, encoded) == longest
    with pytest.raises(IkeFieldError):
        encode_chain((*longest, longest[0]))
    with pytest.raises(IkeMessageError, match="more than"):
        decode_chain(43, b"\x2b\0\0\x04" + encoded)


@pytest.mark.parametrize(
    "payload",
    [
        RawPayload(payload_type=0, body=b""),
        RawPayload(payload_type=256, body=b""),
        RawPayload(payload_type=43, body=bytes(65532)),
        Notify(type=65536),
        Notify(type=1, spi=bytes(256)),
        Delete(protocol=3, spis=(b"abcd", b"ef")),
        Delete(protocol=256),
    ],
)
def test_payload_that_does_not_fit_is_the_callers_error(payload: Payload) -> None:
    with pytest.raises(IkeFieldError):
        encode_chain([payload])


@pytest.mark.parametrize("size", [7, 65])
def test_cookie2_of_wrong_length_is_the_callers_error(size: int) -> None:
    with pytest.raises(IkeFieldError):
        cookie2(bytes(size))
