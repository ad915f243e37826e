"""Settings of the adapter; most mirror what charon's own configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.strongswan.ha_attributes import NUMBERS
from gossipsa.strongswan.segments import SEGMENTS_MAX

HA_PORT = 4510
"""Fixed in charon."""
HA_LOCAL = Endpoint(address=IPv4Address("127.0.0.1"), port=HA_PORT)
HA_REMOTE = Endpoint(address=IPv4Address("127.0.0.2"), port=HA_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CharonSettings:
    """How to reach charon.

    Raises:
        ConfigurationError: a value out of its bounds, or addresses of two families.
    """

    vici_path: Path = Path("/run/charon.vici")
    """charon.plugins.vici.socket, a Unix socket."""
    ha_local: Endpoint = HA_LOCAL
    """Our end of the HA plugin's link: charon.plugins.ha.remote."""
    ha_remote: Endpoint = HA_REMOTE
    """Charon's end: charon.plugins.ha.local."""
    ha_version: int | None = None
    """Wire version of the HA plugin, 3 to 5; None to conclude it from the release that charon tells."""
    segment_count: int = 1
    """charon.plugins.ha.segment_count, 1 to 16. 16 is advised: with 1, each activation makes charon ignore
    all its clients for a moment, and also activates imported clients whose turn has not come."""
    receive_buffer_bytes: int = 8 << 20
    """Of our HA socket; 64 KiB to 1 GiB. A client that connects costs about 5 KiB of it, until it is read."""
    ha_message_bytes_max: int = 2048
    """charon.plugins.ha.buflen, 512 to 65507: charon throws away longer messages."""
    command_timeout_ns: int = 10 * 10**9
    """For one VICI command, and for charon to read what it was sent; 100 ms to 10 min."""
    connections_wait_ns: int = 5 * 10**9
    """How long an import waits for charon, just started, to load its connections; 0 to 10 min."""
    adoption_wait_ns: int = 10 * 10**9
    """How long HA messages wait, unread, for `adopt_clients` after our start; 0 to 10 min."""
    listing_sas_max: int = 32
    """Up to this many IKE_SAs in charon, imports and activations are checked against a list of all, which
    takes some 0.1 to 0.2 ms for each; 0 to 1,000,000. With more, it is enough that charon read everything."""

    def __post_init__(self) -> None:
        _check("segment_count", self.segment_count, 1, SEGMENTS_MAX)
        _check("receive_buffer_bytes", self.receive_buffer_bytes, 64 << 10, 1 << 30)
        _check("ha_message_bytes_max", self.ha_message_bytes_max, 512, 65_507)
        _check("command_timeout_ns", self.command_timeout_ns, 100 * 10**6, 600 * 10**9)
        _check("connections_wait_ns", self.connections_wait_ns, 0, 600 * 10**9)
        _check("adoption_wait_ns", self.adoption_wait_ns, 0, 600 * 10**9)
        _check("listing_sas_max", self.listing_sas_max, 0, 1_000_000)
        if self.ha_version is not None:
            _check("ha_version", self.ha_version, min(NUMBERS), max(NUMBERS))
        if self.ha_local.address.version != self.ha_remote.address.version:
            raise ConfigurationError("ha_local and ha_remote are of different address families")


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}; it has to be from {low} to {high}")
