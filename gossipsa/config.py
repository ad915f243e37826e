"""The operator's configuration: one TOML file, read strictly. `examples/gossipsa.toml` tells of every key."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gossipsa.config_table import ConfigTable
from gossipsa.errors import CallerError, ConfigurationError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.key_files import read_gateway_keys, read_identity, read_trust_list
from gossipsa.settings import SEEDS_MAX, GatewaySettings, ReplicationSettings, TakeoverSettings
from gossipsa.state_files import newest_trust_list
from gossipsa.strongswan.settings import CharonSettings
from gossipsa.swim.settings import PROFILES, SwimSettings
from gossipsa.wire.keyring import Keyring

if TYPE_CHECKING:
    from gossipsa.kernel.xfrm.kernel import XfrmSettings

MESH_PORT = 7946
ADMIN_SOCKET = Path("/run/gossipsa/admin.sock")
PRIVATE_KEY_FILE = Path("/etc/gossipsa/private.key")
IDENTITY_FILE = Path("/etc/gossipsa/identity")
TRUST_FILE = Path("/etc/gossipsa/trust")
STATE_DIRECTORY = Path("/var/lib/gossipsa")
IKE_PORT = 500
IKE_NAT_PORT = 4500

_MS_PER_S = 1_000
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfiguration:
    """What is written where."""

    level: str = "info"
    format: Literal["text", "json"] = "text"
    """Lines on standard error: `key=value`, or one JSON object a line."""
    events_file: Path | None = None
    """Reported events, one JSON object a line, appended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything in the file."""

    file: Path
    gateway: GatewaySettings
    listen: Endpoint
    """Mesh port, UDP and TCP; others reach it at `gateway.mesh_endpoint`."""
    private_key_file: Path
    identity_file: Path
    trust_file: Path
    """The trust list to begin with: a newer one that follows from it is kept in `state_directory`."""
    state_directory: Path
    leave_on_stop: bool
    """On SIGTERM, say goodbye to the mesh: then nobody takes this gateway for dead, whatever follows."""
    charon: CharonSettings | None
    """None: no IKE daemon; clients are offered by the admin socket."""
    xfrm: XfrmSettings | None
    """None: the in-memory kernel, which meets clients at `gateway.ike_port`."""
    ike_probe_port: int
    """Port at which other gateways' IKE daemons are asked for a sign of life; the non-ESP marker is used on
    every port but 500."""
    counters_interval_s: float
    admin_socket: Path
    log: LogConfiguration

    def keyring(self, *, unix_s: int) -> Keyring:
        """Reads private key, identity and trust list.

        Args:
            unix_s: what the host's clock says now.

        Raises:
            ConfigurationError: a file cannot be used, or they do not go together.
        """
        keys = read_gateway_keys(self.private_key_file)
        identity = read_identity(self.identity_file)
        trust = newest_trust_list(read_trust_list(self.trust_file), self.state_directory)
        try:
            return Keyring(keys=keys, identity=identity, trust=trust, unix_s=unix_s)
        except CallerError as error:
            raise ConfigurationError(f"{self.identity_file}: {error}") from None


def load_configuration(file: Path) -> Configuration:
    """Reads a configuration file. Raises ConfigurationError; the text names file, key and what is wrong."""
    top = ConfigTable(_read_toml(file), file=file)
    gateway = top.take_table("gateway")
    listen = gateway.take_endpoint("listen")
    advertise = gateway.take_endpoint("advertise", listen)
    if advertise.address.is_unspecified or advertise.port == 0:
        raise gateway.error("advertise", f"{advertise} is nowhere: say where others reach this gateway")
    private_key_file = gateway.take_path("private_key_file", PRIVATE_KEY_FILE)
    identity_file = gateway.take_path("identity_file", IDENTITY_FILE)
    state_directory = gateway.take_path("state_directory", STATE_DIRECTORY)
    leave_on_stop = gateway.take("leave_on_stop", bool, True)
    mesh = top.take_table("mesh")
    trust_file = mesh.take_path("trust_file", TRUST_FILE)
    seeds = _take_seeds(mesh)
    mesh.end()
    kernel = _take_section(top, "kernel", "backend", ("xfrm", "memory"))
    ike = _take_section(top, "ike", "daemon", ("strongswan", "none"))
    has_ike_daemon = ike.take_choice("daemon", ("strongswan", "none"), "strongswan") == "strongswan"
    is_memory = kernel.take_choice("backend", ("xfrm", "memory"), "xfrm") == "memory"
    if is_memory and has_ike_daemon:
        raise kernel.error("backend", 'the in-memory kernel needs ike = "none"')

    ike_addresses = ike.take_addresses("addresses", (advertise.address,))
    if any(address.is_unspecified for address in ike_addresses):
        raise ike.error("addresses", "must be addresses that clients can send to")
    ike_port = ike.take_number("port", IKE_NAT_PORT, lowest=1, highest=_HIGHEST_PORT)
    default_probe_port = ike_port if is_memory else IKE_PORT
    probe_port = ike.take_number("probe_port", default_probe_port, lowest=1, highest=_HIGHEST_PORT)
    charon = ike.take_settings(CharonSettings()) if has_ike_daemon else None
    ike.end()

    counters_interval_ms = kernel.take_number("counters_interval_ms", 1000, lowest=100, highest=60_000)
    xfrm = None if is_memory else _take_xfrm(kernel, ike_port=ike_port)
    kernel.end()

    settings = _take_gateway(
        gateway,
        mesh_endpoint=advertise,
        seeds=seeds,
        ike_addresses=ike_addresses,
        ike_port=ike_port,
        swim=_take_swim(top),
        replication=top.take_table("replication").take_settings(ReplicationSettings()),
        takeover=top.take_table("takeover").take_settings(TakeoverSettings()),
    )
    admin = top.take_table("admin")
    admin_socket = admin.take_path("socket", ADMIN_SOCKET)
    admin.end()
    log = _take_log(top.take_table("log"))
    top.end()
    return Configuration(
        file=file,
        gateway=settings,
        listen=listen,
        private_key_file=private_key_file,
        identity_file=identity_file,
        trust_file=trust_file,
        state_directory=state_directory,
        leave_on_stop=leave_on_stop,
        charon=charon,
        xfrm=xfrm,
        ike_probe_port=probe_port,
        counters_interval_s=counters_interval_ms / _MS_PER_S,
        admin_socket=admin_socket,
        log=log,
    )


def admin_socket_of(file: Path) -> Path:
    """The admin socket that a configuration names, without reading the rest. Raises ConfigurationError."""
    return ConfigTable(_read_toml(file), file=file).take_table("admin").take_path("socket", ADMIN_SOCKET)


def private_key_file_of(file: Path) -> Path:
    """The private key file that a configuration names. Raises ConfigurationError."""
    gateway = ConfigTable(_read_toml(file), file=file).take_table("gateway")
    return gateway.take_path("private_key_file", PRIVATE_KEY_FILE)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: is nested too deeply") from None
    except ValueError as error:
        # Besides TOML's and UTF-8's own: a number of thousands of digits, a path with a NUL in it.
        raise ConfigurationError(f"{file}: {error}") from None


def _take_section(top: ConfigTable, name: str, key: str, choices: tuple[str, ...]) -> ConfigTable:
    """A table, or its short form: `ike = "none"` means `[ike]` with `daemon = "none"`."""
    if not top.is_text(name):
        return top.take_table(name)
    choice = top.take_choice(name, choices, choices[0])
    return ConfigTable({key: choice}, file=top.file, path=name)


def _take_seeds(table: ConfigTable) -> tuple[Endpoint, ...]:
    texts = table.take("seeds", list, [])
    if len(texts) > SEEDS_MAX:
        raise table.error("seeds", f"are {len(texts)}, but may be {SEEDS_MAX}")
    seeds = []
    for index, text in enumerate(texts):
        entry = ConfigTable({f"seeds[{index}]": text}, file=table.file, path=table.path)
        seed = entry.take_endpoint(f"seeds[{index}]")
        if seed.address.is_unspecified or seed.port == 0:
            raise table.error(f"seeds[{index}]", f"{seed} is nowhere")
        seeds.append(seed)
    return tuple(seeds)


def _take_gateway(
    table: ConfigTable,
    *,
    mesh_endpoint: Endpoint,
    seeds: tuple[Endpoint, ...],
    ike_addresses: tuple[IpAddress, ...],
    ike_port: int,
    swim: SwimSettings,
    replication: ReplicationSettings,
    takeover: TakeoverSettings,
) -> GatewaySettings:
    capacity = table.take_number("capacity", 100, lowest=0, highest=1_000_000)
    table.end()
    try:
        return GatewaySettings(
            capacity=capacity,
            mesh_endpoint=mesh_endpoint,
            seeds=seeds,
            ike_addresses=ike_addresses,
            ike_port=ike_port,
            swim=swim,
            replication=replication,
            takeover=takeover,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{table.file}: gateway: {error}") from None


def _take_swim(top: ConfigTable) -> SwimSettings:
    table = top.take_table("swim")
    profile = table.take_choice("profile", tuple(PROFILES), "lan")
    return table.take_settings(PROFILES[profile])


def _take_xfrm(table: ConfigTable, *, ike_port: int) -> XfrmSettings:
    # Loads pyroute2, which the in-memory kernel and the command line do without.
    from gossipsa.kernel.xfrm.kernel import XfrmSettings  # noqa: PLC0415

    return table.take_settings(
        XfrmSettings(), exclude=frozenset({"ike_port", "ike_nat_port"}), ike_nat_port=ike_port
    )


def _take_log(table: ConfigTable) -> LogConfiguration:
    level = table.take_choice("level", ("debug", "info", "warning", "error"), "info")
    line_format = table.take_choice("format", ("text", "json"), "text")
    events_file = table.take_path("events_file") if "events_file" in table else None
    table.end()
    return LogConfiguration(
        level=level, format="json" if line_format == "json" else "text", events_file=events_file
    )
