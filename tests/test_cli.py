from __future__ import annotations

import contextlib
import io
import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import trio

from gossipsa.cli import EXIT_CONFIGURATION, EXIT_FAILED, main
from gossipsa.daemon.admin import AdminActions, AdminRequests, AdminServer
from gossipsa.daemon.counts import Counts
from gossipsa.key_files import read_gateway_keys
from gossipsa.status import ClientStatus, GatewayStatus, IdentityStatus, MemberStatus
from gossipsa.wire.identity import decode_request
from gossipsa.wire.text_form import TextKind, from_text
from gossipsa.wire.trust import decode_trust_list

STATUS = GatewayStatus(
    name="a",
    boot="0011223344",
    identity=IdentityStatus(
        mesh="m", site="s", zone="z", serial="00", ends_s=1_900_000_000, ends_in_s=86_400, trust_version=3
    ),
    members=(
        MemberStatus(
            name="b",
            state="failed",
            boot="5566778899",
            incarnation=1,
            round_trip_ms=80.25,
            estimate_ms=81.55,
            closed=("stream",),
            heard_ms_ago=1500.0,
            site="berlin",
            zone="germany",
        ),
    ),
    clients=tuple(
        ClientStatus(
            client=f"{number:032x}",
            role="owner",
            owner="a",
            epoch="1.00",
            remote="10.0.1.2:4500",
            virtual_addresses=("10.99.0.1",),
            children=1,
            replicas=("b",),
            acknowledged=1,
        )
        for number in range(60)
    ),
    copies={"1": 60},
    short_since_s=12.3,
    counts={"gateway-failed": 1},
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gossipsa.toml"
    file.write_text(
        """
        kernel = "memory"
        ike = "none"
        [gateway]
        listen = "127.0.0.1:17946"
        private_key_file = "a.key"
        identity_file = "a.identity"
        state_directory = "state"
        [mesh]
        trust_file = "trust"
        seeds = ["127.0.0.1:17946"]
        [admin]
        socket = "a.sock"
        """
    )
    return file


@contextlib.contextmanager
def daemon_answering(
    path: Path, *, status: Callable[[], GatewayStatus] = lambda: STATUS
) -> Iterator[list[str]]:
    """A daemon's admin socket, served from a thread; gives what was asked of it."""
    asked: list[str] = []
    stop = trio.Event()
    ready = threading.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def take_trust(trust_list: bytes) -> None:
        asked.append(f"trust list version {decode_trust_list(trust_list).version}")

    async def drain(draining: bool) -> None:
        await trio.lowlevel.checkpoint()
        asked.append("drain" if draining else "undrain")

    actions = AdminActions(
        status=status,
        metrics=lambda: "gossipsa_up 1\n",
        leave=lambda: asked.append("leave"),
        trust=take_trust,
        drain=drain,
        offer=None,
    )

    async def serve() -> None:
        server = AdminServer(path, AdminRequests(actions, counts=Counts()))
        token.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()
        server.close()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        assert ready.wait(10)
        yield asked
    finally:
        token[0].run_sync_soon(stop.set)
        thread.join()


def enrol(config: Path, *, name: str = "a", days: str = "365") -> None:
    """Everything from nothing to a configuration that `check` likes."""
    directory = config.parent
    key, trust = str(directory / "authority.key"), str(directory / "trust")
    unsealed = "--no-passphrase"
    if not (directory / "trust").exists():
        assert main(["authority", "init", "--mesh", "m", "--key", key, "--trust", trust, unsealed]) == 0
    if not (directory / "a.key").exists():
        assert main(["genkey", "--config", str(config)]) == 0
    request = read_request(directory / "a.key")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        arguments = ["--key", key, "--trust", trust, "--name", name, "--days", days, "--request", request]
        assert main(["authority", "issue", *arguments, "--site", "s", "--zone", "z"]) == 0
    (directory / "a.identity").write_text(printed.getvalue())


def read_request(key_file: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["request", "--key", str(key_file)]) == 0
    return printed.getvalue().strip()


def authority_files(directory: Path) -> tuple[str, ...]:
    return ("--key", str(directory / "authority.key"), "--trust", str(directory / "trust"))


def test_genkey_makes_a_key_that_only_its_owner_reads(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["genkey", "--config", str(config)]) == 0
    key_file = config.parent / "a.key"
    printed = capsys.readouterr().out.strip()

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    request = decode_request(from_text(TextKind.REQUEST, printed))
    assert request.signing_key == read_gateway_keys(key_file).signing.public
    assert main(["request", "--config", str(config)]) == 0
    assert capsys.readouterr().out.strip() == printed


def test_genkey_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_file = tmp_path / "key"
    main(["genkey", "--out", str(key_file)])
    before = key_file.read_bytes()

    assert main(["genkey", "--out", str(key_file)]) == EXIT_CONFIGURATION
    assert key_file.read_bytes() == before
    assert "never overwritten" in capsys.readouterr().err


def test_check_says_what_is_right_and_what_is_wrong(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(config)]) == EXIT_CONFIGURATION
    assert "a.key: cannot be read" in capsys.readouterr().err

    enrol(config)
    capsys.readouterr()
    assert main(["check", "--config", str(config)]) == 0
    said = capsys.readouterr()
    assert "gateway a of mesh m, 1 seeds" in said.out
    assert "in 364 days" in said.out or "in 365 days" in said.out
    assert "trust list: version 1" in said.out
    assert said.err == ""


def test_check_warns_of_an_identity_that_ends_soon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(config, days="20")
    assert main(["check", "--config", str(config)]) == 0
    assert "the identity ends soon" in capsys.readouterr().err


def test_check_refuses_a_revoked_identity(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(config)
    assert main(["authority", "revoke", *authority_files(config.parent), "--name", "a"]) == 0
    assert main(["check", "--config", str(config)]) == EXIT_CONFIGURATION
    assert "does not count here: revoked" in capsys.readouterr().err


def test_run_refuses_a_bad_configuration_with_the_status_that_ends_restarts(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + "colour = 1\n")

    assert main(["run", "--config", str(config)]) == EXIT_CONFIGURATION
    assert "admin.colour: is no setting" in capsys.readouterr().err


def test_status_shows_members_clients_and_copies(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon_answering(config.parent / "a.sock"):
        assert main(["status", "--config", str(config)]) == 0
    output = capsys.readouterr().out

    for word in (
        "b",
        "failed",
        "80.2 ms",
        "81.5 ms",
        "stream",
        "berlin",
        "60 clients, the first 50",
        "1 copies",
        "12.3 s",
        "gateway-failed",
    ):
        assert word in output


def test_status_as_json_is_what_the_daemon_says(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon_answering(config.parent / "a.sock"):
        assert main(["status", "--config", str(config), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)

    assert status["members"][0]["state"] == "failed"
    assert status["copies"] == {"1": 60}


def test_metrics_and_leave_are_passed_on(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon_answering(config.parent / "a.sock") as asked:
        assert main(["metrics", "--config", str(config)]) == 0
        assert main(["leave", "--config", str(config)]) == 0

    assert capsys.readouterr().out == "gossipsa_up 1\n"
    assert asked == ["leave"]


def test_trust_list_is_handed_to_the_daemon(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrol(config)
    trust = str(config.parent / "trust")
    with daemon_answering(config.parent / "a.sock") as asked:
        assert main(["trust", trust, "--config", str(config)]) == 0
        assert main(["trust", str(config), "--config", str(config)]) == EXIT_CONFIGURATION
    assert asked == ["trust list version 1"]
    assert "must begin with gossipsa-trust:" in capsys.readouterr().err


def test_drain_waits_until_nobody_is_left(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [({"1": 60}, 16), ({"1": 20}, 16), ({"1": 20}, 16), ({}, 2), ({}, 0)]

    def next_status() -> GatewayStatus:
        copies, moving = left.pop(0)
        return msgspec.structs.replace(STATUS, draining=True, copies=copies, moving=moving)

    monkeypatch.setattr("gossipsa.cli.DRAIN_POLL_S", 0.0)
    with daemon_answering(config.parent / "a.sock", status=next_status) as asked:
        assert main(["drain", "--wait", "--config", str(config)]) == 0

    assert asked == ["drain"]
    assert left == []
    assert capsys.readouterr().out.split("\n") == ["60 clients left", "20 clients left", "0 clients left", ""]


def test_drain_that_is_undone_by_somebody_fails(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gossipsa.cli.DRAIN_POLL_S", 0.0)
    with daemon_answering(config.parent / "a.sock") as asked:
        assert main(["drain", "--wait", "--config", str(config)]) == EXIT_FAILED
        assert main(["undrain", "--config", str(config)]) == 0

    assert asked == ["drain", "undrain"]
    assert "not being drained" in capsys.readouterr().err


def test_status_shows_that_a_gateway_is_being_drained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = msgspec.structs.replace(STATUS, draining=True, moving=16)
    with daemon_answering(config.parent / "a.sock", status=lambda: status):
        assert main(["status", "--config", str(config)]) == 0
    assert "draining: 60 clients left, 16 on the move" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "metrics", "leave"])
def test_without_daemon_the_command_fails(
    config: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--config", str(config)]) == EXIT_FAILED
    assert "no gossipsa answers" in capsys.readouterr().err


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["dance"])
    assert raised.value.code == 2
