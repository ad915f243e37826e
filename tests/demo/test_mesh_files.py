"""The daemon must read what the demo writes."""

from __future__ import annotations

import random
import stat
import time
from pathlib import Path

from examples.demo.mesh_files import CLIENTS_MAX, GATEWAYS_MAX, LoopbackAddresses, write_mesh
from gossipsa.config import load_configuration


def test_every_gateway_reads_its_configuration_and_admits_all_others(tmp_path: Path) -> None:
    draw = random.Random(1).randbytes
    gateways = write_mesh(tmp_path, count=GATEWAYS_MAX, addresses=LoopbackAddresses(draw), draw=draw)

    keyrings = []
    for gateway in gateways:
        configuration = load_configuration(gateway.configuration)
        keyring = configuration.keyring(unix_s=int(time.time()))
        keyrings.append(keyring)
        assert keyring.name == gateway.name
        assert configuration.gateway.ike_addresses == (gateway.ike.address,)
        assert configuration.gateway.ike_port == gateway.ike.port
        assert configuration.listen == gateway.mesh
        assert set(configuration.gateway.seeds) <= {other.mesh for other in gateways}
        assert configuration.admin_socket == gateway.admin_socket
        assert configuration.log.events_file == gateway.events
        assert configuration.xfrm is None
        assert configuration.charon is None
    first, *others = keyrings
    assert all(first.admit(other.name, other.identity) for other in others)


def test_private_keys_are_their_owners_alone(tmp_path: Path) -> None:
    draw = random.Random(2).randbytes
    write_mesh(tmp_path, count=3, addresses=LoopbackAddresses(draw), draw=draw)
    key_files = list(tmp_path.glob("*.key"))

    assert len(key_files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in key_files} == {0o600}


def test_every_address_is_loopback_and_used_once() -> None:
    addresses = LoopbackAddresses(random.Random(3).randbytes)
    used = [addresses.gateway(index) for index in range(GATEWAYS_MAX)]
    used += [addresses.client(index) for index in range(CLIENTS_MAX)]

    assert len(set(used)) == len(used)
    assert all(address.is_loopback for address in used)
    assert all(0 < int(address) % 256 < 255 for address in used)
