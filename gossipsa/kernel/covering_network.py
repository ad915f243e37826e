"""Traffic selectors as the networks that policies are made for."""

from __future__ import annotations

import ipaddress

from gossipsa.ipsec.traffic_selector import Network, TrafficSelector


def covering_network(selector: TrafficSelector) -> Network:
    """Return the smallest network that holds a selector's addresses: what charon makes a policy for."""
    differing_bits = (int(selector.start) ^ int(selector.end)).bit_length()
    prefix_bits = selector.start.max_prefixlen - differing_bits
    return ipaddress.ip_network((selector.start, prefix_bits), strict=False)
