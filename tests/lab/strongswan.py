"""Stock charons for the lab: their configuration, their start and end, and questions to them."""

import dataclasses
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab import topology
from tests.lab.vici_client import Message, ViciClient, ViciError
from tests.lab.waiting import wait_until

CHARON = "/usr/lib/ipsec/charon"
PLUGINS = "random nonce aes sha1 sha2 hmac kdf gcm curve25519 kernel-netlink socket-default vici"
GATEWAY_ID = "gw.example.org"
CONNECTION = "roadwarriors"
CHILD = "net"
IKE_PROPOSAL = "aes128-sha256-x25519"
ESP_PROPOSAL = "aes128gcm16-esn"
# With a group, rekeys of the CHILD_SA make a Diffie-Hellman exchange of their own.
ESP_PROPOSAL_PFS = "aes128gcm16-x25519-esn"
_STOP_TIMEOUT_S = 20.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnection:
    """One client: a connection, an identity and a key of its own in a client host's charon.

    Attributes:
        name: connection name, and the local part of its identity.
        gateway: name of the gateway that it is configured to connect to.
    """

    name: str
    gateway: str

    @property
    def identity(self) -> str:
        return f"{self.name}@example.org"

    @property
    def esp_proposal(self) -> str:
        """Every second client wants perfect forward secrecy."""
        return ESP_PROPOSAL_PFS if int(self.name[-1]) % 2 else ESP_PROPOSAL

    @property
    def key(self) -> str:
        return f"lab-key-of-{self.name}"


def client_connections(prefix: str, gateway: str, count: int) -> tuple[ClientConnection, ...]:
    """Name count clients of a gateway."""
    return tuple(ClientConnection(name=f"{prefix}{number:03d}", gateway=gateway) for number in range(count))


class Charon:
    """One charon in one namespace, with its own /run."""

    def __init__(self, namespace: str, scratch: Path, *, settings: str, swanctl: str) -> None:
        self.namespace = namespace
        self.directory = scratch / f"charon-{namespace}"
        self.run_directory = self.directory / "run"
        self.run_directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "charon.log"
        (self.directory / "strongswan.conf").write_text(settings.replace("@LOG@", str(self.log)))
        swanctl_directory = self.directory / "swanctl"
        for name in ("x509", "x509ca", "private"):
            (swanctl_directory / name).mkdir(parents=True, exist_ok=True)
        (swanctl_directory / "swanctl.conf").write_text(swanctl)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def vici_path(self) -> Path:
        return self.run_directory / "charon.vici"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and return at once; `wait_ready` tells when it answers."""
        self.vici_path.unlink(missing_ok=True)
        (self.run_directory / "charon.pid").unlink(missing_ok=True)
        bind = f"mount --bind {self.run_directory} /run && exec {CHARON}"
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "sh", "-c", bind],
            env={**os.environ, "STRONGSWAN_CONF": str(self.directory / "strongswan.conf")},
            stdout=(self.directory / "stdout").open("wb"),
            stderr=subprocess.STDOUT,
        )

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until it answers on VICI, then load its connections and secrets."""
        wait_until(self.answers, timeout_s=timeout_s, what=f"charon of {self.namespace} to answer")
        self.load_all()

    def answers(self) -> bool:
        """Tell whether it answers on VICI. Raises RuntimeError if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"charon of {self.namespace} ended: {(self.directory / 'stdout').read_text()}")
        try:
            with self.vici() as vici:
                vici.request("version")
        except (OSError, ViciError):
            return False
        return True

    def load_all(self) -> None:
        """Load connections and secrets, as the service's start-up script does."""
        subprocess.run(
            ["swanctl", "--load-all", "--noprompt", "--uri", f"unix://{self.vici_path}"],
            env={
                **os.environ,
                "SWANCTL_DIR": str(self.directory / "swanctl"),
                "STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
            },
            check=True,
            capture_output=True,
        )

    def kill(self) -> None:
        """Kill it outright: no goodbye to its peers, SAs and policies left in the kernel."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as its service does: it has time to delete its SAs, and to tell its peers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT_S)
            self._process = None

    def vici(self) -> ViciClient:
        return ViciClient(self.vici_path)

    def established_children(self) -> int:
        """Count the CHILD_SAs that are installed."""
        return sum(
            child.get("state") == "INSTALLED"
            for _, fields in self.sas()
            if fields["state"] == "ESTABLISHED"
            for child in fields.get("child-sas", {}).values()
        )

    def sas(self) -> list[tuple[str, Message]]:
        """Return every IKE_SA as VICI's list-sas has it."""
        with self.vici() as vici:
            return vici.list_sas()


def gateway_charon(
    gateway: topology.Gateway, scratch: Path, *, clients: Sequence[ClientConnection], segment_count: int = 16
) -> Charon:
    """Build a gateway's charon, which accepts every client given whichever gateway it is configured for."""
    settings = _settings(
        plugins=f"{PLUGINS} ha",
        extra=f"""
        ha {{
            local = 127.0.0.2
            remote = 127.0.0.1
            monitor = no
            resync = yes
            fifo_interface = no
            segment_count = {segment_count}
        }}""",
        # Gateways forward; what leads to clients are the routes that gossipsa adds.
        daemon="install_routes = no",
    )
    swanctl = f"""
connections {{
    {CONNECTION} {{
        local_addrs = {gateway.address}
        pools = leases
        proposals = {IKE_PROPOSAL}
        local {{
            auth = psk
            id = {GATEWAY_ID}
        }}
        remote {{
            auth = psk
            id = %any
        }}
        children {{
            {CHILD} {{
                local_ts = {topology.INNER_NETWORK}
                esp_proposals = {ESP_PROPOSAL},{ESP_PROPOSAL_PFS}
            }}
        }}
    }}
}}
pools {{
    leases {{
        addrs = {gateway.pool}
    }}
}}
{_secrets(clients)}
"""
    return Charon(gateway.name, scratch, settings=settings, swanctl=swanctl)


def client_charon(
    host: topology.ClientHost, scratch: Path, *, clients: Sequence[ClientConnection], start: bool
) -> Charon:
    """Build a client host's charon. With start, loading the connections starts them all at once."""
    connections = "\n".join(_client_connection(client, start=start) for client in clients)
    swanctl = f"connections {{\n{connections}\n}}\n{_secrets(clients)}"
    # All clients share one address: a route for each virtual address in charon's table would be the
    # same route many times. The default route serves them all.
    settings = _settings(plugins=PLUGINS, extra="", daemon="install_routes = no")
    return Charon(host.name, scratch, settings=settings, swanctl=swanctl)


def _client_connection(client: ClientConnection, *, start: bool) -> str:
    return f"""
    {client.name} {{
        remote_addrs = {topology.GATEWAY[client.gateway].address}
        vips = 0.0.0.0
        proposals = {IKE_PROPOSAL}
        local {{
            auth = psk
            id = {client.identity}
        }}
        remote {{
            auth = psk
            id = {GATEWAY_ID}
        }}
        children {{
            {CHILD} {{
                remote_ts = {topology.INNER_NETWORK}
                esp_proposals = {client.esp_proposal}
                start_action = {"start" if start else "none"}
            }}
        }}
    }}"""


def _secrets(clients: Sequence[ClientConnection]) -> str:
    entries = "\n".join(
        f"    ike-{client.name} {{\n        id = {client.identity}\n        secret = {client.key}\n    }}"
        for client in clients
    )
    return f"secrets {{\n{entries}\n}}"


def _settings(*, plugins: str, extra: str, daemon: str = "") -> str:
    # swanctl would load every plugin there is, which costs seconds under user-mode Linux.
    return f"""
swanctl {{
    load = random nonce
}}
charon {{
    load_modular = no
    load = {plugins}
    threads = 16
    reuse_ikesa = no
    # Every client of the lab comes from one address at the same time.
    dos_protection = no
    {daemon}
    plugins {{{extra}
    }}
    filelog {{
        lab {{
            path = @LOG@
            time_format = %s
            time_add_ms = yes
            default = 1
            net = 0
            enc = 0
            flush_line = yes
        }}
    }}
}}
"""
