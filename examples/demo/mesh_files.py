"""The gateways' files: keys and configurations of a mesh on loopback, in one directory.

All of 127.0.0.0/8 is the loopback interface's on Linux, so that every gateway and every client has an address
of its own. Ports are not the standard ones: a real IKE daemon may be running beside the demo.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from examples.demo.client_states import Draw
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.wire.key_pair import PRIVATE_KEY_BYTES, KeyPair

GATEWAY_NAMES = (
    "amsterdam",
    "brussels",
    "copenhagen",
    "dublin",
    "edinburgh",
    "florence",
    "geneva",
    "helsinki",
)
GATEWAYS_MAX = len(GATEWAY_NAMES)
CLIENTS_MAX = 5_000

_IKE_PORT = 14_500
_MESH_PORT = 17_946
_CLIENTS_A_SUBNET = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFiles:
    """One gateway: where it is, and the files that it reads and writes."""

    name: GatewayName
    ike: Endpoint
    """Where clients send ESP and IKE."""
    mesh: Endpoint
    configuration: Path
    admin_socket: Path
    events: Path
    """JSON lines, written by the daemon."""
    log: Path
    """The daemon's standard error."""


class GatewayAddresses(Protocol):
    """Where gateways listen."""

    def gateway(self, index: int) -> IPv4Address: ...


class LoopbackAddresses:
    """Addresses for one run: gateways in 127.x.0.0/24, clients in the subnets after it."""

    def __init__(self, draw: Draw) -> None:
        # Another run may be going on: one of 128 networks each.
        self._network = IPv4Address((127 << 24) + (64 + draw(1)[0] % 128 << 16))

    def gateway(self, index: int) -> IPv4Address:
        return self._network + 1 + index

    def client(self, index: int) -> IPv4Address:
        subnet, host = divmod(index, _CLIENTS_A_SUBNET)
        return self._network + 256 * (1 + subnet) + 1 + host


def write_mesh(
    directory: Path, *, count: int, addresses: GatewayAddresses, draw: Draw
) -> tuple[GatewayFiles, ...]:
    """Draw keys and write the files of `count` gateways, each in a zone of its own.

    Args:
        directory: exists, belongs to us alone, and has a path short enough for unix sockets (108 bytes).
        draw: source of private keys.
    """
    gateways = tuple(_place(directory, index, addresses) for index in range(count))
    key_pairs = [KeyPair.from_private(draw(PRIVATE_KEY_BYTES)) for _ in gateways]
    for gateway, key_pair in zip(gateways, key_pairs, strict=True):
        _write_private(_key_file(gateway), base64.b64encode(key_pair.private) + b"\n")
        gateway.configuration.write_text(_configuration(gateway, gateways, key_pairs), encoding="utf-8")
    return gateways


def _place(directory: Path, index: int, addresses: GatewayAddresses) -> GatewayFiles:
    name = GATEWAY_NAMES[index] if index < len(GATEWAY_NAMES) else f"gateway-{index + 1}"
    address = addresses.gateway(index)
    return GatewayFiles(
        name=GatewayName(name),
        ike=Endpoint(address, _IKE_PORT),
        mesh=Endpoint(address, _MESH_PORT),
        configuration=directory / f"{name}.toml",
        admin_socket=directory / f"{name}.sock",
        events=directory / f"{name}.events",
        log=directory / f"{name}.log",
    )


def _configuration(
    gateway: GatewayFiles, gateways: Sequence[GatewayFiles], key_pairs: Sequence[KeyPair]
) -> str:
    peers = "".join(
        f"""
[[peers]]
name = "{peer.name}"
public_key = "{base64.b64encode(key_pair.public).decode()}"
address = "{peer.mesh}"
"""
        for peer, key_pair in zip(gateways, key_pairs, strict=True)
        if peer is not gateway
    )
    return f"""kernel = "memory"

[gateway]
name = "{gateway.name}"
site = "{gateway.name}"
zone = "{gateway.name}"
listen = "{gateway.mesh}"
private_key_file = "{_key_file(gateway)}"

[ike]
daemon = "none"
port = {gateway.ike.port}

[takeover]
# Without an IKE daemon nobody can rekey.
rekey_after_takeover = false

[admin]
socket = "{gateway.admin_socket}"

[log]
events_file = "{gateway.events}"
{peers}"""


def _key_file(gateway: GatewayFiles) -> Path:
    return gateway.configuration.with_suffix(".key")


def _write_private(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
