"""UDP headers: checksums checked by adding them up, as a receiver does."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Endpoint
from gossipsa.kernel.xfrm.udp_header import UdpHeaderError, build_datagram, read_datagram

PORTS = st.integers(1, 65535)


def ones_complement_sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = total // 0x10000 + total % 0x10000
    return total


@given(
    addresses=st.one_of(
        st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
        st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    ),
    source_port=PORTS,
    destination_port=PORTS,
    payload=st.binary(max_size=200),
)
def test_receiver_accepts_the_checksum(
    addresses: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address],
    source_port: int,
    destination_port: int,
    payload: bytes,
) -> None:
    source, destination = addresses
    datagram = build_datagram(Endpoint(source, source_port), Endpoint(destination, destination_port), payload)
    pseudo = source.packed + destination.packed + struct.pack("!II", len(datagram), 17)
    assert ones_complement_sum(pseudo + datagram) == 0xFFFF
    assert datagram[6:8] != b"\0\0"
    assert read_datagram(datagram) == (source_port, destination_port, payload)


def test_known_datagram() -> None:
    # An IKE_SA_INIT's first bytes, summed by hand.
    datagram = build_datagram(
        Endpoint(IPv4Address("10.0.3.2"), 4500), Endpoint(IPv4Address("10.0.1.2"), 4500), bytes(4) + b"\x01"
    )
    assert datagram.hex() == "11941194000dc3a80000000001"


def test_too_long_a_payload_is_refused() -> None:
    with pytest.raises(ValueError, match="no UDP datagram"):
        build_datagram(Endpoint(IPv4Address(1), 1), Endpoint(IPv4Address(2), 2), bytes(65528))


@pytest.mark.parametrize("datagram", [b"", bytes(7), struct.pack("!HHHH", 1, 2, 9, 0), bytes(8)])
def test_truncated_datagram_is_refused(datagram: bytes) -> None:
    with pytest.raises(UdpHeaderError):
        read_datagram(datagram)
