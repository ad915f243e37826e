"""`gossipsa authority`: the operator's commands, on the machine where the authority's key is kept."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nacl import pwhash

from gossipsa.authority_key_file import is_sealed, read_authority_key, write_authority_key
from gossipsa.errors import ConfigurationError, PeerError
from gossipsa.key_files import read_identity, read_trust_list, replace_file, trust_list_text
from gossipsa.wire.authority import add_successor, first_trust_list, issue, retire, revoke
from gossipsa.wire.codec import encode
from gossipsa.wire.identity import SERIAL_BYTES, decode_request
from gossipsa.wire.signing import SIGNING_KEY_BYTES, SigningKey
from gossipsa.wire.text_form import TextKind, from_text, to_text
from gossipsa.wire.trust import TrustList

DAYS = 365
DAYS_MAX = 36_500
_DAY_S = 86_400


def add_authority_commands(parser: argparse.ArgumentParser) -> None:
    """Adds `init`, `issue`, `revoke`, `rotate` and `show` to the parser of `gossipsa authority`."""
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=command)
        added.add_argument("--trust", type=Path, required=True, metavar="FILE", help="the mesh's trust list")
        return added

    def add_with_key(
        name: str, command: Callable[[argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        added = add(name, command, text)
        added.add_argument(
            "--key", type=Path, required=True, metavar="FILE", help="the authority's private key"
        )
        _add_passphrase(added, "", "of the key")
        return added

    init = add_with_key("init", _init, "Make the authority of a new mesh: its key, and the first trust list.")
    init.add_argument("--mesh", required=True, metavar="LABEL", help="two meshes with two labels never merge")
    issued = add_with_key("issue", _issue, "Sign the identity of a gateway, and print it.")
    issued.add_argument("--name", required=True, help="of the gateway, unique in the mesh")
    issued.add_argument("--site", default="", help="where it is: copies go to other sites first")
    issued.add_argument("--zone", default="", help="what fails together")
    issued.add_argument("--days", type=int, default=DAYS, help=f"how long it is valid, default: {DAYS}")
    issued.add_argument("--request", required=True, metavar="TEXT", help="what `gossipsa genkey` printed")
    revoked = add_with_key("revoke", _revoke, "Take identities back, in the next version of the trust list.")
    which = revoked.add_mutually_exclusive_group(required=True)
    which.add_argument("--name", help="all identities issued for this gateway until now")
    which.add_argument("--identity", type=Path, metavar="FILE", help="this identity alone")
    which.add_argument("--serial", metavar="HEX", help="the identity with this serial")
    rotate = add_with_key(
        "rotate", _rotate, "Give way to another authority: first let it be trusted too, later retire the old."
    )
    step = rotate.add_mutually_exclusive_group(required=True)
    step.add_argument("--successor", type=Path, metavar="FILE", help="make the key of the next authority")
    step.add_argument("--retire", metavar="TEXT", help="the authority to trust no more, as `show` prints it")
    _add_passphrase(rotate, "successor-", "of the successor's key")
    add("show", _show, "Print what the trust list says.")


def _add_passphrase(parser: argparse.ArgumentParser, prefix: str, whose: str) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        f"--{prefix}passphrase-file", type=Path, metavar="FILE", help=f"first line: the passphrase {whose}"
    )
    source.add_argument(
        f"--no-{prefix}passphrase", action="store_true", help=f"leave the file {whose} unsealed"
    )


def _init(options: argparse.Namespace) -> None:
    if options.trust.exists():
        raise ConfigurationError(f"{options.trust}: is there already: a mesh begins once")
    seed = os.urandom(SIGNING_KEY_BYTES)
    authority = SigningKey.from_seed(seed)
    trust = first_trust_list(options.mesh, authority)
    _make_key(options.key, seed, options.passphrase_file, no_passphrase=options.no_passphrase)
    _write_trust(options.trust, trust)
    print(to_text(TextKind.AUTHORITY, authority.public))


def _issue(options: argparse.Namespace) -> None:
    if not 1 <= options.days <= DAYS_MAX:
        raise ConfigurationError(f"--days is {options.days}, but must be 1 to {DAYS_MAX}")
    try:
        request = decode_request(from_text(TextKind.REQUEST, options.request))
    except PeerError as error:
        raise ConfigurationError(f"--request: {error}") from None
    now_s = int(time.time())
    identity = issue(
        read_trust_list(options.trust),
        _open_key(options),
        request,
        name=options.name,
        site=options.site,
        zone=options.zone,
        serial=os.urandom(SERIAL_BYTES),
        not_before_s=now_s,
        not_after_s=now_s + options.days * _DAY_S,
    )
    print(to_text(TextKind.IDENTITY, encode(identity)))


def _revoke(options: argparse.Namespace) -> None:
    serials: tuple[bytes, ...] = ()
    if options.identity is not None:
        serials = (read_identity(options.identity).serial,)
    elif options.serial is not None:
        serials = (_serial(options.serial),)
    names = (options.name,) if options.name is not None else ()
    trust = revoke(
        read_trust_list(options.trust),
        _open_key(options),
        serials=serials,
        names=names,
        now_s=int(time.time()),
    )
    _write_trust(options.trust, trust)
    _tell_version(options.trust, trust)


def _rotate(options: argparse.Namespace) -> None:
    trust, authority = read_trust_list(options.trust), _open_key(options)
    if options.retire is not None:
        try:
            retired = from_text(TextKind.AUTHORITY, options.retire)
        except PeerError as error:
            raise ConfigurationError(f"--retire: {error}") from None
        trust = retire(trust, authority, retired)
    else:
        seed = os.urandom(SIGNING_KEY_BYTES)
        trust = add_successor(trust, authority, SigningKey.from_seed(seed).public)
        _make_key(
            options.successor,
            seed,
            options.successor_passphrase_file,
            no_passphrase=options.no_successor_passphrase,
        )
    _write_trust(options.trust, trust)
    _tell_version(options.trust, trust)


def _show(options: argparse.Namespace) -> None:
    trust = read_trust_list(options.trust)
    print(f"mesh {trust.mesh}, version {trust.version}")
    for authority in trust.authorities:
        print(f"trusts {to_text(TextKind.AUTHORITY, authority)}")
    for serial in trust.revoked_serials:
        print(f"revoked serial {serial.hex()}")
    for entry in trust.revoked_names:
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.until_s))
        print(f"revoked {entry.name}, as issued until {until}")


def _serial(text: str) -> bytes:
    try:
        serial = bytes.fromhex(text)
    except ValueError:
        serial = b""
    if len(serial) != SERIAL_BYTES:
        raise ConfigurationError(f"--serial: must be {2 * SERIAL_BYTES} hexadecimal digits")
    return serial


def _make_key(file: Path, seed: bytes, passphrase_file: Path | None, *, no_passphrase: bool) -> None:
    if file.exists():
        raise ConfigurationError(f"{file}: is there already; a key is never overwritten")
    passphrase = None
    if not no_passphrase:
        passphrase = _read_passphrase(passphrase_file, file, is_new=True)
    write_authority_key(file, seed, passphrase=passphrase, salt=os.urandom(pwhash.argon2id.SALTBYTES))


def _open_key(options: argparse.Namespace) -> SigningKey:
    passphrase = None
    if is_sealed(options.key):
        passphrase = _read_passphrase(options.passphrase_file, options.key, is_new=False)
    return read_authority_key(options.key, passphrase=passphrase)


def _read_passphrase(file: Path | None, key: Path, *, is_new: bool) -> bytes:
    if file is not None:
        try:
            with file.open("rb") as opened:
                passphrase = opened.readline(4096).rstrip(b"\r\n")
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    elif not sys.stdin.isatty():
        raise ConfigurationError(
            "no terminal to ask for the passphrase: --passphrase-file, or --no-passphrase"
        )
    else:
        passphrase = getpass.getpass(f"passphrase of {key}: ").encode()
        if is_new and getpass.getpass("the same again: ").encode() != passphrase:
            raise ConfigurationError("the two passphrases differ")
    if not passphrase:
        raise ConfigurationError("an empty passphrase is none: --no-passphrase says so")
    return passphrase


def _write_trust(file: Path, trust: TrustList) -> None:
    try:
        replace_file(file, trust_list_text(encode(trust)))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from None


def _tell_version(file: Path, trust: TrustList) -> None:
    print(f"{file}: version {trust.version}; hand it to one gateway: gossipsa trust {file}")
