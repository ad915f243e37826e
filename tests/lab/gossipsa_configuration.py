"""Configuration of the daemons under test: keys, identities and one file a gateway.

Made with the daemon's own commands, as an operator makes them.
"""

from pathlib import Path

from tests.lab import topology


def write_configurations(scratch: Path) -> dict[str, Path]:
    """Write the configuration of every gateway; return the files by the gateway's name."""
    written = {}
    for gateway in topology.GATEWAYS:
        directory = scratch / f"gossipsa-{gateway.name}"
        directory.mkdir()
        written[gateway.name] = directory / "gossipsa.toml"
    return written
