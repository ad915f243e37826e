"""`gossipsa authority`, as an operator types it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gossipsa.authority_key_file import is_sealed
from gossipsa.cli import EXIT_CONFIGURATION, EXIT_FAILED, main
from gossipsa.key_files import read_trust_list
from gossipsa.wire.codec import encode
from gossipsa.wire.identity import Identity, decode_identity, make_request
from gossipsa.wire.text_form import TextKind, from_text, to_text
from gossipsa.wire.trust import Refusal, TrustList
from tests.authorities import keys_of


class Operator:
    """A directory with an authority, and what its commands print."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.key, self.trust_file = directory / "authority.key", directory / "trust"
        self._capsys = capsys
        self.error = ""

    def type(self, command: str, *arguments: str, key: Path | None = None) -> int:
        files: tuple[str, ...] = ("--trust", str(self.trust_file))
        if command != "show":
            files += ("--key", str(key or self.key))
        status = main(["authority", command, *files, *arguments])
        said = self._capsys.readouterr()
        self.printed, self.error = said.out.strip(), said.err
        return status

    def issue(self, name: str, *arguments: str, key: Path | None = None) -> Identity:
        request = to_text(TextKind.REQUEST, encode(make_request(keys_of(name))))
        assert self.type("issue", "--name", name, "--request", request, *arguments, key=key) == 0
        return decode_identity(from_text(TextKind.IDENTITY, self.printed))

    def refusal(self, identity: Identity) -> Refusal | None:
        return self.trust.refusal(identity, now_s=identity.not_before_s + 60)

    @property
    def trust(self) -> TrustList:
        return read_trust_list(self.trust_file)


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    made = Operator(tmp_path, capsys)
    assert made.type("init", "--mesh", "m", "--no-passphrase") == 0
    return made


def test_init_makes_a_key_of_its_owner_alone_and_the_first_trust_list(operator: Operator) -> None:
    assert stat.S_IMODE(operator.key.stat().st_mode) == 0o600
    assert (operator.trust.mesh, operator.trust.version) == ("m", 1)
    assert operator.trust.authorities == (from_text(TextKind.AUTHORITY, operator.printed),)


def test_init_overwrites_nothing(operator: Operator) -> None:
    before = operator.key.read_bytes(), operator.trust_file.read_bytes()
    assert operator.type("init", "--mesh", "m", "--no-passphrase") == EXIT_CONFIGURATION
    operator.trust_file.rename(operator.trust_file.with_name("elsewhere"))
    assert operator.type("init", "--mesh", "m", "--no-passphrase") == EXIT_CONFIGURATION
    assert "never overwritten" in operator.error
    assert not operator.trust_file.exists()
    operator.trust_file.with_name("elsewhere").rename(operator.trust_file)
    assert (operator.key.read_bytes(), operator.trust_file.read_bytes()) == before


def test_key_is_sealed_unless_the_operator_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator(tmp_path, capsys)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    with_file = ("--passphrase-file", str(passphrase))
    assert operator.type("init", "--mesh", "m") == EXIT_CONFIGURATION, "there is no terminal"
    assert operator.type("init", "--mesh", "m", *with_file) == 0
    assert is_sealed(operator.key)
    assert operator.issue("a", *with_file).name == "a"
    passphrase.write_text("battery staple\n")
    assert operator.type("revoke", "--name", "a", *with_file) == EXIT_CONFIGURATION
    assert "does not open it" in operator.error
    assert operator.trust.version == 1
    passphrase.write_text("\n")
    assert operator.type("revoke", "--name", "a", *with_file) == EXIT_CONFIGURATION
    assert "empty passphrase" in operator.error


def test_issued_identity_says_what_was_asked_for(operator: Operator) -> None:
    identity = operator.issue("a", "--site", "s", "--zone", "z", "--days", "7")
    assert (identity.mesh, identity.name, identity.site, identity.zone) == ("m", "a", "s", "z")
    assert identity.signing_key == keys_of("a").signing.public
    assert identity.not_after_s - identity.not_before_s == 7 * 86_400
    assert operator.refusal(identity) is None
    assert operator.issue("a").serial != identity.serial


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--name", "a", "--request", "gossipsa-request:AAAA"), "--request: "),
        (("--name", "a", "--request", "gossipsa-identity:AAAA"), "not with gossipsa-identity:"),
        (("--name", "a", "--request", "x", "--days", "0"), "--days is 0, but must be"),
    ],
)
def test_issue_refuses_what_makes_no_identity(
    operator: Operator, arguments: tuple[str, ...], complaint: str
) -> None:
    assert operator.type("issue", *arguments) == EXIT_CONFIGURATION
    assert complaint in operator.error
    assert operator.printed == ""


def test_issue_refuses_names_that_are_none(operator: Operator) -> None:
    request = to_text(TextKind.REQUEST, encode(make_request(keys_of("a"))))
    assert operator.type("issue", "--name", "a\tb", "--request", request) == EXIT_FAILED
    assert "printable" in operator.error


def test_revocation_takes_one_identity_or_all_of_a_name(operator: Operator, tmp_path: Path) -> None:
    first, second, other = operator.issue("a"), operator.issue("a"), operator.issue("b")
    file = tmp_path / "identity"
    file.write_text(to_text(TextKind.IDENTITY, encode(first)))
    assert operator.type("revoke", "--identity", str(file)) == 0
    assert [operator.refusal(identity) for identity in (first, second)] == [Refusal.REVOKED, None]
    assert operator.type("revoke", "--serial", other.serial.hex()) == 0
    assert operator.refusal(other) is Refusal.REVOKED
    assert operator.type("revoke", "--name", "a") == 0
    assert operator.refusal(second) is Refusal.REVOKED
    assert operator.trust.version == 4
    assert operator.type("revoke", "--serial", "00") == EXIT_CONFIGURATION
    assert operator.trust.version == 4


def test_rotation_in_two_steps(operator: Operator, tmp_path: Path) -> None:
    first_list, old = operator.trust, operator.printed
    by_old = operator.issue("a")
    new_key = tmp_path / "new.key"
    assert operator.type("rotate", "--successor", str(new_key), "--no-successor-passphrase") == 0
    by_new = operator.issue("b", key=new_key)
    assert [operator.refusal(identity) for identity in (by_old, by_new)] == [None, None]
    assert operator.type("rotate", "--retire", old) == EXIT_FAILED
    assert "cannot retire itself" in operator.error
    assert operator.type("rotate", "--retire", old, key=new_key) == 0
    assert [operator.refusal(identity) for identity in (by_old, by_new)] == [Refusal.UNKNOWN_AUTHORITY, None]
    assert first_list.accepts(operator.trust)
    assert operator.type("revoke", "--name", "b") == EXIT_FAILED
    assert "does not trust this authority key" in operator.error


def test_show_prints_what_retire_takes(operator: Operator) -> None:
    authority = operator.printed
    assert operator.type("revoke", "--name", "a") == 0
    assert operator.type("show") == 0
    assert operator.printed.splitlines()[:2] == ["mesh m, version 2", f"trusts {authority}"]
    assert "revoked a, as issued until" in operator.printed
