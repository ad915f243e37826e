"""Settings refuse what cannot work."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.strongswan.settings import CharonSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"segment_count": 0},
        {"segment_count": 17},
        {"ha_version": 2},
        {"ha_version": 6},
        {"receive_buffer_bytes": 100},
        {"ha_message_bytes_max": 100},
        {"command_timeout_ns": 0},
        {"connections_wait_ns": -1},
        {"adoption_wait_ns": -1},
        {"listing_sas_max": -1},
        {"ha_local": Endpoint(address=IPv6Address("::1"), port=4510)},
    ],
)
def test_values_out_of_bounds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        CharonSettings(**changes)


def test_the_defaults_fit_together() -> None:
    settings = CharonSettings()
    assert (str(settings.ha_local), str(settings.ha_remote)) == ("127.0.0.1:4510", "127.0.0.2:4510")
