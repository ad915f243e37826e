"""The gateways' files: keys, identities and configurations of a mesh on loopback, in one directory.

All of 127.0.0.0/8 is the loopback interface's on Linux, so that every gateway and every client has an address
of its own. Ports are not the standard ones: a real IKE daemon may be running beside the demo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from examples.demo.client_states import Draw
from examples.demo.mesh_authority import MeshAuthority
from gossipsa.identifiers import Endpoint, GatewayName

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
_TRUST_FILE = "trust"
_SEEDS = 4
"""Gateways that all others are told of."""
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
    authority = MeshAuthority("demo", draw)
    authority.write_trust(directory / _TRUST_FILE)
    for gateway in gateways:
        authority.enrol(
            gateway.name,
            site=gateway.name,
            zone=gateway.name,
            key_file=gateway.configuration.with_suffix(".key"),
            identity_file=gateway.configuration.with_suffix(".identity"),
        )
        gateway.configuration.write_text(_configuration(gateway, gateways), encoding="utf-8")
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


def _configuration(gateway: GatewayFiles, gateways: Sequence[GatewayFiles]) -> str:
    seeds = ", ".join(f'"{seed.mesh}"' for seed in gateways[:_SEEDS])
    return f"""kernel = "memory"

[gateway]
listen = "{gateway.mesh}"
private_key_file = "{gateway.name}.key"
identity_file = "{gateway.name}.identity"
state_directory = "{gateway.name}.state"

[mesh]
trust_file = "{_TRUST_FILE}"
seeds = [{seeds}]

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
"""
