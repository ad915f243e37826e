"""Files of keys, identities and trust lists."""

from __future__ import annotations

import base64
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gossipsa.authority_key_file import is_sealed, read_authority_key, write_authority_key
from gossipsa.errors import ConfigurationError
from gossipsa.key_files import (
    read_gateway_keys,
    read_identity,
    read_trust_list,
    replace_file,
    trust_list_text,
    write_gateway_key,
)
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.signing import SigningKey
from gossipsa.wire.text_form import TextKind, to_text
from tests.authorities import TRUST, identity_of

SEED = bytes(range(32))
KEY = base64.b64encode(SEED).decode()


def _key_file(tmp_path: Path, content: str = KEY, mode: int = 0o600) -> Path:
    file = tmp_path / "private.key"
    file.write_text(content + "\n")
    file.chmod(mode)
    return file


def test_private_key_is_read(tmp_path: Path) -> None:
    assert read_gateway_keys(_key_file(tmp_path)) == GatewayKeys.from_seed(SEED)


def test_written_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_gateway_key(file, SEED)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_gateway_keys(file) == GatewayKeys.from_seed(SEED)
    with pytest.raises(ConfigurationError, match="never overwritten"):
        write_gateway_key(file, bytes(32))
    assert read_gateway_keys(file) == GatewayKeys.from_seed(SEED)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o601])
def test_private_key_that_others_have_rights_on_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_gateway_keys(_key_file(tmp_path, mode=mode))


@pytest.mark.parametrize("content", ["", "not base64!", KEY[:-4], KEY + "AAAA", "\xff"])
def test_bad_private_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_gateway_keys(_key_file(tmp_path, content))
    assert not content or content not in str(raised.value)


def test_directory_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="directory"):
        read_gateway_keys(tmp_path)


def test_identity_and_trust_list_are_read_as_they_are_written(tmp_path: Path) -> None:
    identity, file = identity_of("a"), tmp_path / "file"
    file.write_text(to_text(TextKind.IDENTITY, encode(identity)) + "\n")
    assert read_identity(file) == identity
    with pytest.raises(ConfigurationError, match="gossipsa-trust:, not with gossipsa-identity:"):
        read_trust_list(file)
    file.write_bytes(trust_list_text(encode(TRUST)))
    assert read_trust_list(file) == TRUST


@pytest.mark.parametrize("content", ["", "gossipsa-identity:AAAA", "\xff", "gossipsa-trust:AAAA"])
def test_bad_identities_and_trust_lists_are_refused_with_the_name_of_the_file(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    for read in (read_identity, read_trust_list):
        with pytest.raises(ConfigurationError) as raised:
            read(file)
        assert str(raised.value).startswith(f"{file}: ")


def test_replaced_file_has_its_old_content_until_the_new_one_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "file"
    replace_file(file, b"old")
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError, match="No such file"):
        replace_file(tmp_path / "nowhere" / "file", b"")


def test_authority_key_is_sealed_under_its_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "authority.key"
    write_authority_key(file, SEED, passphrase=b"correct horse", salt=bytes(16))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert is_sealed(file)
    assert KEY[:20] not in file.read_text()
    assert SEED not in base64.b64decode(file.read_text().partition(":")[2])
    assert read_authority_key(file, passphrase=b"correct horse") == SigningKey.from_seed(SEED)
    with pytest.raises(ConfigurationError, match="does not open it"):
        read_authority_key(file, passphrase=b"battery staple")
    with pytest.raises(ConfigurationError, match="needs its passphrase"):
        read_authority_key(file, passphrase=None)


def test_authority_key_without_passphrase_opens_without_one(tmp_path: Path) -> None:
    file = tmp_path / "authority.key"
    write_authority_key(file, SEED, passphrase=None, salt=bytes(16))
    assert not is_sealed(file)
    assert read_authority_key(file, passphrase=None) == SigningKey.from_seed(SEED)
    with pytest.raises(ConfigurationError, match="never overwritten"):
        write_authority_key(file, bytes(32), passphrase=None, salt=bytes(16))


@pytest.mark.parametrize("content", ["", "gossipsa-authority-key:AAAA", KEY])
def test_what_is_no_authority_key_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigurationError):
        read_authority_key(_key_file(tmp_path, content), passphrase=None)


def test_key_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    key = tmp_path / "private.key"
    program = (
        "import resource, sys; from pathlib import Path; from gossipsa.key_files import write_gateway_key\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        "write_gateway_key(Path(sys.argv[1]), bytes(32))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(key)], capture_output=True, text=True, check=False
    )
    assert "ConfigurationError" in done.stderr
    assert "cannot be written" in done.stderr
    assert not key.exists()
    write_gateway_key(key, bytes(32))
