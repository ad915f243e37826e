"""The command line: `gossipsa run`, `check`, `status`, `metrics`, `drain`, `leave`, and others.

Each command imports what it needs itself: `status` must answer at once, also on a slow machine.
"""

from __future__ import annotations

import argparse
import base64
import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gossipsa.errors import ConfigurationError, GossipsaError

if TYPE_CHECKING:
    from gossipsa.wire.gateway_keys import GatewayKeys

CONFIG_FILE = Path("/etc/gossipsa/gossipsa.toml")

DRAIN_POLL_S = 0.5
"""Between two looks at how many clients a gateway that is being drained has left."""
_DRAIN_POLLS_BEFORE = 4

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again does not help."""

_DAY_S = 86_400


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status: 0, EXIT_FAILED or EXIT_CONFIGURATION."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(arguments).parse_args(arguments)
    try:
        options.command(options)
    except (GossipsaError, BaseExceptionGroup) as error:
        errors = list(_leaves(error))
        if not all(isinstance(leaf, GossipsaError) for leaf in errors):
            raise
        for leaf in errors:
            print(f"gossipsa: {leaf}", file=sys.stderr)
        is_misconfigured = any(isinstance(leaf, ConfigurationError) for leaf in errors)
        return EXIT_CONFIGURATION if is_misconfigured else EXIT_FAILED
    return 0


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gossipsa", description="Distributed failover for IPsec gateways.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    def add_with_config(name: str, command: object, text: str) -> argparse.ArgumentParser:
        added = add(name, command, text)
        added.add_argument(
            "--config", type=Path, default=CONFIG_FILE, metavar="FILE", help=f"default: {CONFIG_FILE}"
        )
        return added

    add_with_config("run", _run, "Run the daemon in the foreground.")
    add_with_config("check", _check, "Read the configuration and the private key, and say what is wrong.")
    status = add_with_config("status", _status, "Show members, clients and copies of the running daemon.")
    status.add_argument("--json", action="store_true", help="print the daemon's answer")
    status.add_argument("--all", action="store_true", help="show every client")
    add_with_config("metrics", _metrics, "Print metrics of the running daemon in Prometheus text format.")
    add_with_config("leave", _leave, "Have the running daemon leave the mesh for good, and stop.")
    trust = add_with_config("trust", _trust, "Hand a trust list to the running daemon, and so to the mesh.")
    trust.add_argument("file", type=Path, metavar="FILE", help="as `gossipsa authority` wrote it")
    drain = add_with_config(
        "drain", _drain, "Move all clients of this gateway to others, one by one, and take none over."
    )
    drain.add_argument("--wait", action="store_true", help="until no client is left")
    add_with_config("undrain", _undrain, "Let this gateway keep copies and take clients over again.")
    genkey = add("genkey", _genkey, "Make a private key file, and print the request for an identity.")
    where = genkey.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="make the key file that FILE names")
    where.add_argument("--out", type=Path, metavar="KEY", help="make this file")
    request = add("request", _request, "Print the request for an identity for a private key file.")
    where = request.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="for the key file that FILE names")
    where.add_argument("--key", type=Path, metavar="KEY", help="for this key file")
    authority = commands.add_parser(
        "authority",
        help="Issue and revoke identities, and change authorities.",
        description="Issue and revoke identities, and change authorities.",
        allow_abbrev=False,
    )
    if "authority" in arguments[:1]:
        # Key derivation and signatures are loaded for these commands only.
        from gossipsa.authority_commands import add_authority_commands  # noqa: PLC0415

        add_authority_commands(authority)
    return parser


def _run(options: argparse.Namespace) -> None:
    # What is imported stays: no search for garbage finds any in it, now or later.
    gc.disable()
    from gossipsa.config import load_configuration  # noqa: PLC0415
    from gossipsa.daemon.main import run_daemon  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    run_daemon(load_configuration(options.config))


def _check(options: argparse.Namespace) -> None:
    from gossipsa.config import load_configuration  # noqa: PLC0415
    from gossipsa.trust_keeper import WARN_DAYS  # noqa: PLC0415

    configuration = load_configuration(options.config)
    keyring = configuration.keyring(unix_s=int(time.time()))
    own, left_s = keyring.own, keyring.own.not_after_s - int(time.time())
    seeds = len(configuration.gateway.seeds)
    print(f"{options.config}: gateway {own.name} of mesh {own.mesh}, {seeds} seeds")
    print(f"identity {own.serial.hex()}: ends {_date(own.not_after_s)}, in {left_s // _DAY_S} days")
    print(f"trust list: version {keyring.trust.version}")
    if keyring.calendar.is_implausible:
        print("warning: this host's clock is not within the validity of the identity", file=sys.stderr)
    elif left_s < WARN_DAYS * _DAY_S:
        print("warning: the identity ends soon: have the authority issue another one", file=sys.stderr)


def _status(options: argparse.Namespace) -> None:
    answer = _ask(options.config, "status")
    import msgspec  # noqa: PLC0415

    if options.json:
        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
        return
    from rich.console import Console  # noqa: PLC0415

    from gossipsa.status import GatewayStatus  # noqa: PLC0415
    from gossipsa.status_view import render_status  # noqa: PLC0415

    Console().print(render_status(msgspec.convert(answer, GatewayStatus), all_clients=options.all))


def _metrics(options: argparse.Namespace) -> None:
    print(_ask(options.config, "metrics")["text"], end="")


def _leave(options: argparse.Namespace) -> None:
    _ask(options.config, "leave")


def _trust(options: argparse.Namespace) -> None:
    from gossipsa.key_files import read_trust_list  # noqa: PLC0415
    from gossipsa.wire.codec import encode  # noqa: PLC0415

    trust = encode(read_trust_list(options.file))
    _ask(options.config, "trust", trust=base64.b64encode(trust).decode())


def _drain(options: argparse.Namespace) -> None:
    _ask(options.config, "drain")
    if options.wait:
        _wait_until_drained(options.config)


def _wait_until_drained(config: Path) -> None:
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from gossipsa.status import GatewayStatus  # noqa: PLC0415

    shown = None
    polls = 0
    is_empty = False
    while not is_empty:
        status = msgspec.convert(_ask(config, "status"), GatewayStatus)
        polls += 1
        # At first the request may still wait for its turn in the daemon.
        if not status.draining and polls > _DRAIN_POLLS_BEFORE:
            raise GossipsaError("the gateway is not being drained any more")
        if status.draining and status.owned != shown:
            shown = status.owned
            print(f"{shown} clients left", flush=True)
        # Of those that went, SAs may still be here: an IKE daemon that is stopped would tell them goodbye.
        is_empty = status.draining and status.owned == status.moving == 0
        if not is_empty:
            time.sleep(DRAIN_POLL_S)


def _undrain(options: argparse.Namespace) -> None:
    _ask(options.config, "undrain")


def _ask(config: Path, op: str, **arguments: str) -> dict[str, object]:
    from gossipsa.config import admin_socket_of  # noqa: PLC0415
    from gossipsa.daemon.admin_client import ask_daemon  # noqa: PLC0415

    return ask_daemon(admin_socket_of(config), {"op": op, **arguments})


def _genkey(options: argparse.Namespace) -> None:
    from gossipsa.config import private_key_file_of  # noqa: PLC0415
    from gossipsa.key_files import write_gateway_key  # noqa: PLC0415
    from gossipsa.wire.gateway_keys import SEED_BYTES, GatewayKeys  # noqa: PLC0415

    seed = os.urandom(SEED_BYTES)
    write_gateway_key(options.out or private_key_file_of(options.config), seed)
    _print_request(GatewayKeys.from_seed(seed))


def _request(options: argparse.Namespace) -> None:
    from gossipsa.config import private_key_file_of  # noqa: PLC0415
    from gossipsa.key_files import read_gateway_keys  # noqa: PLC0415

    _print_request(read_gateway_keys(options.key or private_key_file_of(options.config)))


def _print_request(keys: GatewayKeys) -> None:
    from gossipsa.wire.codec import encode  # noqa: PLC0415
    from gossipsa.wire.identity import make_request  # noqa: PLC0415
    from gossipsa.wire.text_form import TextKind, to_text  # noqa: PLC0415

    print(to_text(TextKind.REQUEST, encode(make_request(keys))))


def _date(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(unix_s))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of errors, however deep."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
