"""Real charons in a network namespace of their own, for tests on machines without kernel ESP.

ESP is charon's own (plugin kernel-libipsec, on a TUN device), which wants UDP encapsulation. A gateway and a
client share the namespace, at different addresses and ports.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from gossipsa.strongswan.errors import CharonUnavailableError
from gossipsa.strongswan.listing import CharonListing
from gossipsa.strongswan.sa_listing import ListedIkeSa
from gossipsa.strongswan.vici import ViciCommands, ViciConnection
from gossipsa.strongswan.vici_codec import ViciArguments, ViciMessage

CHARON = Path("/usr/lib/ipsec/charon")
GATEWAY_ADDRESS = "10.255.0.1"
CLIENT_ADDRESS = "10.255.0.2"
INNER_ADDRESS = "10.253.0.1"
INNER_NETWORK = "10.253.0.0/24"
LEASES = ("10.254.0.1", "10.254.0.2")
"""What the first clients of a gateway get as virtual addresses."""
SEGMENT_COUNT = 16

_CLONE_NEWNET = 0x40000000
_VICI_TIMEOUT_NS = 20 * 10**9
_IKE_PROPOSALS = ["aes128-sha256-x25519"]
_ESP_PROPOSALS = ["aes128gcm16-x25519", "aes128gcm16"]

needs_charon = pytest.mark.skipif(
    os.geteuid() != 0
    or not CHARON.exists()
    or not (CHARON.parent / "plugins/libstrongswan-ha.so").exists()
    or not (CHARON.parent / "plugins/libstrongswan-kernel-libipsec.so").exists()
    or not Path("/dev/net/tun").exists()
    or shutil.which("ip") is None,
    reason="needs root, TUN, iproute2, and strongSwan with the plugins ha and kernel-libipsec",
)


@contextmanager
def network_namespace() -> Iterator[None]:
    """Put this thread, and the processes it starts, into a fresh network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no new network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            for command in (
                "ip link set lo up",
                f"ip address add {GATEWAY_ADDRESS}/32 dev lo",
                f"ip address add {CLIENT_ADDRESS}/32 dev lo",
                # kernel-libipsec wants to route from an address inside the traffic selector.
                f"ip address add {INNER_ADDRESS}/32 dev lo",
                *(f"ip address add {address}/32 dev lo" for address in LEASES),
            ):
                subprocess.run(command.split(), check=True)
            yield
        finally:
            if libc.setns(before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "cannot return to the network namespace")
    finally:
        os.close(before)


@dataclass(kw_only=True)
class RealCharon:
    """One charon process after another, with the same configuration."""

    directory: Path
    ike_port: int
    ike_nat_port: int
    plugins: str = ""
    ha: str = ""
    loads: list[tuple[str, ViciArguments]] = field(default_factory=list)
    """Commands that configure it after each start."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def vici_path(self) -> Path:
        return self.directory / "charon.vici"

    @property
    def log(self) -> str:
        return (self.directory / "charon.log").read_text()

    async def start(self) -> None:
        """Start it and load its configuration."""
        run = self.directory / "run"
        run.mkdir(parents=True, exist_ok=True)
        (run / "charon.pid").unlink(missing_ok=True)
        self.vici_path.unlink(missing_ok=True)
        configuration = self.directory / "strongswan.conf"
        configuration.write_text(self._configuration())
        self.process = subprocess.Popen(  # noqa: ASYNC220 - outlives the caller, and starts at once
            ["unshare", "--mount", "sh", "-c", f"mount --bind {run} /run && exec {CHARON}"],
            env={**os.environ, "STRONGSWAN_CONF": str(configuration)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with self.vici() as vici:
            for command, arguments in self.loads:
                await vici.request(command, arguments)

    async def kill(self) -> None:
        """Kill it outright."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            await trio.to_thread.run_sync(self.process.wait)
            self.process = None

    @asynccontextmanager
    async def vici(self) -> AsyncIterator[ViciConnection]:
        """A connection to it, as soon as it answers."""
        with trio.fail_after(10):
            while True:
                try:
                    connection = await ViciConnection.connect(self.vici_path, timeout_ns=_VICI_TIMEOUT_NS)
                    break
                except CharonUnavailableError:
                    await trio.sleep(0.01)
        try:
            yield connection
        finally:
            connection.close()

    async def request(self, command: str, arguments: ViciArguments) -> ViciMessage:
        async with self.vici() as vici:
            return await vici.request(command, arguments)

    async def ike_sas(self) -> list[ListedIkeSa]:
        commands = ViciCommands(self.vici_path, timeout_ns=_VICI_TIMEOUT_NS)
        try:
            return list((await CharonListing(commands, listing_sas_max=0).ike_sas()).values())
        finally:
            commands.close()

    def _configuration(self) -> str:
        return f"""
charon {{
    load_modular = no
    load = random nonce aes sha1 sha2 hmac kdf gcm curve25519 kernel-libipsec kernel-netlink socket-default \
vici {self.plugins}
    install_routes = no
    install_virtual_ip = no
    dos_protection = no
    port = {self.ike_port}
    port_nat_t = {self.ike_nat_port}
    delete_rekeyed_delay = 1
    retransmit_timeout = 0.2
    plugins {{
        vici {{
            socket = unix://{self.vici_path}
        }}
        {self.ha}
    }}
    filelog {{
        test {{
            path = {self.directory}/charon.log
            default = 1
            time_format = %s
            time_add_ms = yes
            flush_line = yes
        }}
    }}
}}
"""


def gateway(directory: Path) -> RealCharon:
    """Build a gateway that accepts every client."""
    ha = f"""ha {{
            local = 127.0.0.2
            remote = 127.0.0.1
            monitor = no
            resync = yes
            fifo_interface = no
            segment_count = {SEGMENT_COUNT}
        }}"""
    return RealCharon(
        directory=directory,
        ike_port=500,
        ike_nat_port=4500,
        plugins="ha",
        ha=ha,
        loads=[
            _shared_key(),
            ("load-pool", {"leases": {"addrs": "10.254.0.0/24"}}),
            (
                "load-conn",
                {
                    "rw": {
                        "local_addrs": [GATEWAY_ADDRESS],
                        "pools": ["leases"],
                        "proposals": _IKE_PROPOSALS,
                        "encap": "yes",
                        "local": {"auth": "psk", "id": "gw.example.org"},
                        "remote": {"auth": "psk"},
                        "children": {"net": {"local_ts": [INNER_NETWORK], "esp_proposals": _ESP_PROPOSALS}},
                    }
                },
            ),
        ],
    )


def client(directory: Path) -> RealCharon:
    """Build a client host, with a connection named by its number for each client."""
    return RealCharon(directory=directory, ike_port=1500, ike_nat_port=1501, loads=[_shared_key()])


def move_client() -> None:
    """Take the client's address away, so that it goes on from another one of the namespace's."""
    subprocess.run(f"ip address delete {CLIENT_ADDRESS}/32 dev lo".split(), check=True)


async def connect(host: RealCharon, number: int) -> None:
    """Connect a client to the gateway."""
    name = f"c{number}"
    connection: ViciArguments = {
        "local_addrs": [CLIENT_ADDRESS, "%any"],
        "remote_addrs": [GATEWAY_ADDRESS],
        "local_port": "1500",
        "remote_port": "500",
        "vips": ["0.0.0.0"],
        "proposals": _IKE_PROPOSALS,
        "encap": "yes",
        "local": {"auth": "psk", "id": f"{name}@example.org"},
        "remote": {"auth": "psk", "id": "gw.example.org"},
        "children": {name: {"remote_ts": [INNER_NETWORK], "esp_proposals": _ESP_PROPOSALS}},
    }
    await host.request("load-conn", {name: connection})
    await host.request("initiate", {"child": name, "ike": name, "timeout": "10000"})


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition comes to hold."""
    with trio.fail_after(10):
        while not await condition():  # noqa: ASYNC110 - charon sets no trio.Event
            await trio.sleep(0.02)


def _shared_key() -> tuple[str, ViciArguments]:
    return ("load-shared", {"type": "IKE", "data": "a key of tests only"})
