"""The command line: `gossipsa run`, `check`, `status`, `metrics`, `leave`, `genkey`, `pubkey`.

Each command imports what it needs itself: `status` must answer at once, also on a slow machine.
"""

from __future__ import annotations

import argparse
import base64
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gossipsa.errors import ConfigurationError, GossipsaError

CONFIG_FILE = Path("/etc/gossipsa/gossipsa.toml")

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: starting again does not help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status: 0, EXIT_FAILED or EXIT_CONFIGURATION."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
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
    genkey = add("genkey", _genkey, "Make a private key file, and print the public key for the peers.")
    where = genkey.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="make the key file that FILE names")
    where.add_argument("--out", type=Path, metavar="KEY", help="make this file")
    pubkey = add("pubkey", _pubkey, "Print the public key that belongs to a private key file.")
    where = pubkey.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="of the key file that FILE names")
    where.add_argument("--key", type=Path, metavar="KEY", help="of this key file")
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

    configuration = load_configuration(options.config)
    keyring = configuration.keyring()
    print(f"{options.config}: gateway {configuration.gateway.name}, {len(keyring)} peers")
    print(f"public key: {_text(keyring.key_pair.public)}")


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


def _ask(config: Path, op: str) -> dict[str, object]:
    from gossipsa.config import admin_socket_of  # noqa: PLC0415
    from gossipsa.daemon.admin_client import ask_daemon  # noqa: PLC0415

    return ask_daemon(admin_socket_of(config), {"op": op})


def _genkey(options: argparse.Namespace) -> None:
    from gossipsa.config import private_key_file_of  # noqa: PLC0415
    from gossipsa.wire.key_pair import PRIVATE_KEY_BYTES, KeyPair  # noqa: PLC0415

    file = options.out or private_key_file_of(options.config)
    pair = KeyPair.from_private(os.urandom(PRIVATE_KEY_BYTES))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(base64.b64encode(pair.private) + b"\n")
    except FileExistsError:
        raise ConfigurationError(f"{file}: is there already; a key is never overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from None
    print(_text(pair.public))


def _pubkey(options: argparse.Namespace) -> None:
    from gossipsa.config import private_key_file_of, read_private_key  # noqa: PLC0415

    print(_text(read_private_key(options.key or private_key_file_of(options.config)).public))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group of errors, however deep."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
