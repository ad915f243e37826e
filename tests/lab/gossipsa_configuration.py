"""Configuration of the daemons under test: keys, and one file a gateway, as an operator writes them."""

import base64
import os
from pathlib import Path

from gossipsa.wire.key_pair import PRIVATE_KEY_BYTES, KeyPair
from tests.lab import topology

MESH_PORT = 7946
SEGMENT_COUNT = 16


def write_configurations(scratch: Path) -> dict[str, Path]:
    """Write key and configuration of every gateway; return the files by the gateway's name."""
    private_keys = {gateway.name: os.urandom(PRIVATE_KEY_BYTES) for gateway in topology.GATEWAYS}
    written = {}
    for gateway in topology.GATEWAYS:
        directory = scratch / f"gossipsa-{gateway.name}"
        directory.mkdir()
        key_file = directory / "private.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(base64.b64encode(private_keys[gateway.name]) + b"\n")
        written[gateway.name] = directory / "gossipsa.toml"
        written[gateway.name].write_text(
            _own_part(gateway, scratch, key_file, directory)
            + "".join(_peer(other, private_keys) for other in topology.GATEWAYS if other is not gateway)
        )
    return written


def _own_part(gateway: topology.Gateway, scratch: Path, key_file: Path, directory: Path) -> str:
    return f"""
[gateway]
name = "{gateway.name}"
site = "site-{gateway.name}"
listen = "{gateway.address}:{MESH_PORT}"
private_key_file = "{key_file}"

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


def _peer(gateway: topology.Gateway, private_keys: dict[str, bytes]) -> str:
    public = base64.b64encode(KeyPair.from_private(private_keys[gateway.name]).public).decode()
    return f"""
[[peers]]
name = "{gateway.name}"
public_key = "{public}"
address = "{gateway.address}:{MESH_PORT}"
"""
