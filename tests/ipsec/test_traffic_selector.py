from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ikev2.message import open_message
from gossipsa.ikev2.payloads import RawPayload
from gossipsa.ikev2.registry import ExchangeType, PayloadType
from gossipsa.ipsec.traffic_selector import (
    TrafficSelector,
    TrafficSelectorDecodeError,
    TrafficSelectorError,
    decode_traffic_selectors,
    encode_traffic_selectors,
)
from tests.vectors.strongswan_capture import captured_packets
from tests.vectors.strongswan_keys import ike_keys


@st.composite
def traffic_selectors(draw: st.DrawFn) -> TrafficSelector:
    addresses = st.ip_addresses(v=draw(st.sampled_from((4, 6))))
    start, end = sorted((draw(addresses), draw(addresses)), key=int)
    ports = sorted((draw(st.integers(0, 65535)), draw(st.integers(0, 65535))))
    from_port, to_port = draw(st.sampled_from((tuple(ports), (65535, 0))))
    return TrafficSelector(
        protocol=draw(st.integers(0, 255)), from_port=from_port, to_port=to_port, start=start, end=end
    )


def whole(start: str, end: str) -> TrafficSelector:
    """All protocols and ports of an IPv4 range."""
    return TrafficSelector(
        protocol=0, from_port=0, to_port=65535, start=IPv4Address(start), end=IPv4Address(end)
    )


@given(st.lists(traffic_selectors(), min_size=1, max_size=5).map(tuple))
def test_selectors_decode_to_what_was_encoded(selectors: tuple[TrafficSelector, ...]) -> None:
    assert decode_traffic_selectors(encode_traffic_selectors(selectors)) == selectors


@given(st.binary(max_size=100))
def test_garbage_decodes_or_is_refused(data: bytes) -> None:
    try:
        selectors = decode_traffic_selectors(data)
    except TrafficSelectorDecodeError:
        return
    assert encode_traffic_selectors(selectors)[4:] == data[4:]


@given(st.lists(traffic_selectors(), min_size=1, max_size=3).map(tuple), st.data())
def test_truncated_selectors_are_refused(selectors: tuple[TrafficSelector, ...], data: st.DataObject) -> None:
    encoded = encode_traffic_selectors(selectors)
    with pytest.raises(TrafficSelectorDecodeError):
        decode_traffic_selectors(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(traffic_selectors())
def test_networks_cover_the_range_exactly_and_in_order(selector: TrafficSelector) -> None:
    networks = selector.to_networks()
    assert int(networks[0].network_address) == int(selector.start)
    assert int(networks[-1].broadcast_address) == int(selector.end)
    for before, after in pairwise(networks):
        assert int(before.broadcast_address) + 1 == int(after.network_address)


def test_aligned_range_is_one_network() -> None:
    assert whole("192.168.7.0", "192.168.7.255").to_networks() == (IPv4Network("192.168.7.0/24"),)
    host = IPv6Address("fd00:1::2")
    selector = TrafficSelector(protocol=0, from_port=0, to_port=65535, start=host, end=host)
    assert selector.to_networks() == (IPv6Network("fd00:1::2/128"),)


def test_selector_has_layout_of_rfc_7296_section_3_13() -> None:
    selector = TrafficSelector(
        protocol=17, from_port=53, to_port=54, start=IPv4Address("10.0.0.1"), end=IPv4Address("10.0.0.9")
    )
    assert encode_traffic_selectors([selector]).hex() == "0100000007110010003500360a0000010a000009"


def test_selectors_of_captured_ike_auth_are_those_of_the_gateway() -> None:
    responses = [
        data for data in captured_packets().ike if data[18] == ExchangeType.IKE_AUTH and data[19] & 0x20
    ]
    message = open_message(responses[0], ike_keys()[responses[0][:16]])
    bodies = {
        payload.payload_type: payload.body for payload in message.payloads if isinstance(payload, RawPayload)
    }
    assert decode_traffic_selectors(bodies[PayloadType.TS_I]) == (whole("10.99.1.1", "10.99.1.1"),)
    assert decode_traffic_selectors(bodies[PayloadType.TS_R]) == (whole("192.168.7.0", "192.168.7.255"),)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("010000", "shorter"),
        ("00000000", "no selector"),
        ("01000000", "truncated"),
        ("01000000 09000010 0000ffff 0a000001 0a000009", "unknown type 9"),
        ("01000000 07000028 0000ffff 0a000001 0a000009", "wrong length"),
        ("01000000 07000010 0000ffff 0a000001", "wrong length"),
        ("01000000 07000010 0000ffff 0a000009 0a000001", "address range is empty"),
        ("01000000 07000010 00020001 0a000001 0a000009", "port range is empty"),
        ("01000000 07000010 0000ffff 0a000001 0a000009 00", "after the last"),
    ],
)
def test_malformed_selectors_are_refused(body: str, said: str) -> None:
    with pytest.raises(TrafficSelectorDecodeError, match=said):
        decode_traffic_selectors(bytes.fromhex(body))


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 256},
        {"to_port": 65536},
        {"from_port": 2, "to_port": 1},
        {"end": IPv6Address(1)},
        {"end": IPv4Address("9.0.0.1")},
    ],
)
def test_impossible_selector_is_the_callers_error(change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "protocol": 0,
        "from_port": 0,
        "to_port": 65535,
        "start": IPv4Address("10.0.0.1"),
        "end": IPv4Address("10.0.0.2"),
    }
    with pytest.raises(TrafficSelectorError):
        TrafficSelector(**(fields | change))


@pytest.mark.parametrize("count", [0, 256])
def test_ts_payload_holds_1_to_255_selectors(count: int) -> None:
    with pytest.raises(TrafficSelectorError):
        encode_traffic_selectors([whole("10.0.0.1", "10.0.0.1")] * count)
