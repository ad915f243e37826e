"""Segments: the hash, the borrowed address, the choice of a segment."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.strongswan.activation import quietest_segment
from gossipsa.strongswan.segments import SEGMENTS_MAX, borrowed_address, segment_of

counts = st.integers(1, SEGMENTS_MAX)
ipv4_addresses = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(ipv4_addresses, counts)
def test_every_address_has_a_segment_of_the_count(address: IPv4Address, count: int) -> None:
    assert 1 <= segment_of(address, segment_count=count) <= count


@given(st.integers(0, 2**128 - 1).map(IPv6Address), counts)
def test_every_ipv6_address_is_in_the_segment_of_address_0(address: IPv6Address, count: int) -> None:
    assert segment_of(address, segment_count=count) == segment_of(IPv4Address(0), segment_count=count)


@pytest.mark.parametrize("count", range(1, SEGMENTS_MAX + 1))
def test_there_is_an_address_to_borrow_in_every_segment(count: int) -> None:
    for segment in range(1, count + 1):
        address = borrowed_address(segment, segment_count=count)
        assert segment_of(address, segment_count=count) == segment
        assert address.is_private  # TEST-NET-1


def test_the_segment_with_the_fewest_clients_is_chosen() -> None:
    busy = [borrowed_address(segment, segment_count=4) for segment in (1, 2, 2, 4)]
    assert quietest_segment(busy, segment_count=4) == 3
    assert quietest_segment([], segment_count=4) == 4
    assert (
        quietest_segment([*busy, busy[3], *[borrowed_address(3, segment_count=4)] * 2], segment_count=4) == 1
    )
