"""The daemon under test on one gateway, with a supervisor in the place of systemd.

The supervisor is this process: it holds the HA socket of the gateway, passes it to every start of the
daemon as descriptor 3 (the LISTEN_FDS protocol of sd_listen_fds(3)), and starts a killed daemon again
when told to. So the socket never closes over a restart, and datagrams queue in it meanwhile.
"""

import contextlib
import dataclasses
import itertools
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.namespaces import socket_in

HA_PORT = 4510
HA_SIDECAR_ADDRESS = "127.0.0.1"
HA_CHARON_ADDRESS = "127.0.0.2"
MESH_PORT = 7946
FAILED_EVENT = "gateway-failed"
_HA_RECEIVE_BUFFER_BYTES = 16 << 20
# asm-generic/socket.h; Python has no name for it.
_SO_RCVBUFFORCE = 33
_STOP_TIMEOUT_S = 20.0
_ASK_TIMEOUT_S = 30.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One line of the daemon's log."""

    wall_ns: int
    event: str
    gateway: str | None
    client: str | None
    detail: str

    @property
    def about(self) -> str:
        return " ".join(part for part in (self.gateway, self.client, self.detail) if part)


class GossipsaNode:
    """One daemon. `prepare` has to have written its configuration before it is started."""

    def __init__(self, gateway: topology.Gateway, configuration: Path) -> None:
        self.gateway = gateway
        self.configuration = configuration
        self.log = configuration.parent / "gossipsa.log"
        self._ha_socket = socket_in(gateway.name, _ha_socket)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the daemon, for the first time or again, and return at once."""
        descriptor = self._ha_socket.fileno()
        # bash and not sh: dash knows no descriptors of two digits. LISTEN_PID has to be the daemon's own.
        pass_socket = f'exec 3<&{descriptor} {descriptor}<&-; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        daemon = [sys.executable, "-m", "gossipsa", "run", "--config", str(self.configuration)]
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self.gateway.name, "bash", "-c", pass_socket, "bash", *daemon],
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )

    def kill(self) -> None:
        """Kill it outright. The HA socket stays open here."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as its service does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def status(self) -> dict[str, Any] | None:
        """Return what `gossipsa status --json` says, or None while the daemon does not answer."""
        asked = self.command("status", "--json", timeout_s=_ASK_TIMEOUT_S)
        if asked.returncode != 0:
            return None
        status: dict[str, Any] = json.loads(asked.stdout)
        return status

    def command(self, name: str, *options: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command of `gossipsa` on the gateway, as an operator would, and return how it ended."""
        command = [sys.executable, "-m", "gossipsa", name, "--config", str(self.configuration), *options]
        return subprocess.run(
            ["ip", "netns", "exec", self.gateway.name, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def sees_all_members(self) -> bool:
        """Tell whether it answers and holds every gateway of the lab for alive."""
        status = self.status()
        if status is None:
            return False
        alive = {member["name"] for member in status["members"] if member["state"] == "alive"}
        return alive | {self.gateway.name} >= set(topology.GATEWAY)

    def clients_with_copies(self, copies: int) -> int:
        """Count the clients it owns of which at least so many copies are acknowledged."""
        status = self.status()
        if status is None:
            return 0
        return sum(count for number, count in status["copies"].items() if int(number) >= copies)

    def records_held(self) -> int:
        """Count the clients of other gateways of which it holds a copy."""
        status = self.status()
        return 0 if status is None else sum(client["role"] == "replica" for client in status["clients"])

    def reports(self) -> list[Report]:
        """Return what it logged so far, all its starts together."""
        if not self.log.exists():
            return []
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                found.append(
                    Report(
                        wall_ns=int(float(entry["time"]) * 1e9),
                        event=entry["event"],
                        gateway=entry.get("gateway"),
                        client=entry.get("client"),
                        detail=entry.get("detail", ""),
                    )
                )
        return found

    def close(self) -> None:
        self.kill()
        self._ha_socket.close()


def filter_mesh(gateway: topology.Gateway, *, port: int = MESH_PORT) -> None:
    """Drop all mesh traffic of a gateway, UDP and TCP, both ways; IKE and ESP pass."""
    # The legacy one: kernels of user-mode Linux have no IPv4 tables of nftables.
    for chain, protocol, match in itertools.product(
        ("INPUT", "OUTPUT"), ("tcp", "udp"), ("--dport", "--sport")
    ):
        rule = ["iptables-legacy", "-w", "-A", chain, "-p", protocol, match, str(port), "-j", "DROP"]
        topology.in_namespace(gateway.name, rule)


def _ha_socket() -> socket.socket:
    ha_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ha_socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _HA_RECEIVE_BUFFER_BYTES)
    ha_socket.bind((HA_SIDECAR_ADDRESS, HA_PORT))
    # Charon's end is connected, so its address must match; connecting ours keeps everyone else out.
    ha_socket.connect((HA_CHARON_ADDRESS, HA_PORT))
    return ha_socket
