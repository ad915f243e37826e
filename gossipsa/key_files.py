"""Files of keys, identities and trust lists: how they are read, and written so that nothing is lost."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from gossipsa.config_table import ConfigTable
from gossipsa.errors import ConfigurationError, PeerError
from gossipsa.wire.gateway_keys import SEED_BYTES, GatewayKeys
from gossipsa.wire.identity import Identity, decode_identity
from gossipsa.wire.text_form import TextKind, from_text, to_text
from gossipsa.wire.trust import TRUST_LIST_BYTES_MAX, TrustList, decode_trust_list

_PRIVATE_FILE_BYTES_MAX = 4096
_TEXT_BYTES_MAX = 2 * TRUST_LIST_BYTES_MAX


def read_private_file(file: Path) -> str:
    """Text of a file that is its owner's alone, without blanks around it.

    Raises:
        ConfigurationError: missing, no regular file, or readable by others. The text never shows the content.
    """
    try:
        with file.open("rb") as opened:
            # Of the open file, so that nothing can be swapped in between.
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{file}: is no regular file")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(
                    f"{file}: others than its owner have rights on it ({stat.S_IMODE(mode):04o}): chmod 600"
                )
            text = opened.read(_PRIVATE_FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
    return text.decode("ascii", errors="replace").strip()


def write_private_file(file: Path, text: str) -> None:
    """Make a file that is its owner's alone, whole or not at all.

    Raises:
        ConfigurationError: it is there already, for nothing is ever overwritten, or cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{file}: is there already; a key is never overwritten") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(text + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        _keep_name(file)
    except OSError as error:
        # Half a key would be no key, and stand in the way of the next try.
        file.unlink(missing_ok=True)
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from None


def replace_file(file: Path, data: bytes) -> None:
    """Put a new content in place of the old one: all of it, or nothing. Raises OSError."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)
        _keep_name(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _keep_name(file: Path) -> None:
    """A file that was written lasts through a power cut only with its entry in the directory."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_gateway_keys(file: Path) -> GatewayKeys:
    """Reads a gateway's private key: 32 bytes in base64, one line, readable by its owner alone.

    Raises:
        ConfigurationError: missing, readable by others, or no such key. The text never shows the content.
    """
    values = {"private_key": read_private_file(file)}
    return GatewayKeys.from_seed(ConfigTable(values, file=file).take_key("private_key", SEED_BYTES))


def write_gateway_key(file: Path, seed: bytes) -> None:
    """Makes a private key file. Raises ConfigurationError; nothing is ever overwritten."""
    write_private_file(file, base64.b64encode(seed).decode())


def read_identity(file: Path) -> Identity:
    """Reads an identity as `gossipsa authority issue` prints it. Raises ConfigurationError."""
    try:
        return decode_identity(from_text(TextKind.IDENTITY, _read_text(file)))
    except PeerError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def read_trust_list(file: Path) -> TrustList:
    """Reads a trust list as `gossipsa authority` writes it. Raises ConfigurationError."""
    try:
        return decode_trust_list(from_text(TextKind.TRUST_LIST, _read_text(file)))
    except PeerError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def trust_list_text(trust_list: bytes) -> bytes:
    """An encoded trust list as it stands in a file."""
    return to_text(TextKind.TRUST_LIST, trust_list).encode() + b"\n"


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_TEXT_BYTES_MAX).decode("ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None
