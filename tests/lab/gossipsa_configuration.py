"""Configuration of the daemons under test: identities, and one file a gateway, as operators write them."""

import os
from pathlib import Path

from examples.demo.mesh_authority import MeshAuthority
from tests.lab import topology

MESH_PORT = 7946
SEGMENT_COUNT = 16
_SEEDS = 3


def write_configurations(scratch: Path) -> dict[str, Path]:
    """Write key, identity and configuration of every gateway; return the files by the gateway's name."""
    authority = MeshAuthority("lab", os.urandom)
    authority.write_trust(scratch / "gossipsa-trust")
    written = {}
    for gateway in topology.GATEWAYS:
        directory = scratch / f"gossipsa-{gateway.name}"
        directory.mkdir()
        authority.enrol(
            gateway.name,
            site=f"site-{gateway.name}",
            zone="",
            key_file=directory / "private.key",
            identity_file=directory / "identity",
        )
        written[gateway.name] = directory / "gossipsa.toml"
        written[gateway.name].write_text(_configuration(gateway, scratch, directory))
    return written


def _configuration(gateway: topology.Gateway, scratch: Path, directory: Path) -> str:
    seeds = ", ".join(f'"{seed.address}:{MESH_PORT}"' for seed in topology.GATEWAYS[:_SEEDS])
    return f"""
[gateway]
listen = "{gateway.address}:{MESH_PORT}"
private_key_file = "{directory}/private.key"
identity_file = "{directory}/identity"
state_directory = "{directory}/state"

[mesh]
trust_file = "{scratch}/gossipsa-trust"
seeds = [{seeds}]

[ike]
daemon = "strongswan"
addresses = ["{gateway.address}"]
vici_path = "{scratch}/charon-{gateway.name}/run/charon.vici"
segment_count = {SEGMENT_COUNT}

[kernel]
backend = "xfrm"

[admin]
socket = "{directory}/admin.sock"

[log]
format = "json"
"""
