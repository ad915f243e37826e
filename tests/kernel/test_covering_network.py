"""Selectors as networks."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import IpAddress
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.kernel.covering_network import covering_network
from tests.kernel.samples import selector


@pytest.mark.parametrize(
    ("first", "last", "network"),
    [
        ("10.99.1.1", "10.99.1.1", "10.99.1.1/32"),
        ("10.99.1.0", "10.99.1.255", "10.99.1.0/24"),
        ("10.99.1.1", "10.99.1.2", "10.99.1.0/30"),
        ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
        ("fd99::1", "fd99::1", "fd99::1/128"),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
    ],
)
def test_network_holds_the_range(first: str, last: str, network: str) -> None:
    assert covering_network(selector(first, last)) == ip_network(network)


PAIRS = st.one_of(
    [
        st.lists(addresses, min_size=2, max_size=2)
        for addresses in (st.ip_addresses(v=4), st.ip_addresses(v=6))
    ]
)


@given(ends=PAIRS)
def test_network_is_the_smallest_that_does(ends: list[IpAddress]) -> None:
    start, end = sorted(ends, key=int)
    network = covering_network(TrafficSelector(protocol=0, from_port=0, to_port=0xFFFF, start=start, end=end))
    assert start in network
    assert end in network
    if network.prefixlen < start.max_prefixlen:
        assert all(start not in half or end not in half for half in network.subnets())
