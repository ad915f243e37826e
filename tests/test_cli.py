from __future__ import annotations

import base64
import contextlib
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gossipsa.cli import EXIT_CONFIGURATION, EXIT_FAILED, main
from gossipsa.config import read_private_key
from gossipsa.daemon.admin import AdminActions, AdminRequests, AdminServer
from gossipsa.daemon.counts import Counts
from gossipsa.status import ClientStatus, GatewayStatus, MemberStatus

STATUS = GatewayStatus(
    name="a",
    boot="0011223344",
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
        name = "a"
        listen = "127.0.0.1:17946"
        private_key_file = "a.key"
        [admin]
        socket = "a.sock"
        """
    )
    return file


@contextlib.contextmanager
def daemon_answering(path: Path) -> Iterator[list[str]]:
    """A daemon's admin socket, served from a thread; gives what was asked of it."""
    asked: list[str] = []
    stop = trio.Event()
    ready = threading.Event()
    token: list[trio.lowlevel.TrioToken] = []
    actions = AdminActions(
        status=lambda: STATUS,
        metrics=lambda: "gossipsa_up 1\n",
        leave=lambda: asked.append("leave"),
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


def test_genkey_makes_a_key_that_only_its_owner_reads(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["genkey", "--config", str(config)]) == 0
    key_file = config.parent / "a.key"
    public = capsys.readouterr().out.strip()

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert base64.b64decode(public) == read_private_key(key_file).public
    assert main(["pubkey", "--key", str(key_file)]) == 0
    assert capsys.readouterr().out.strip() == public


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

    main(["genkey", "--config", str(config)])
    public = capsys.readouterr().out.strip()
    assert main(["check", "--config", str(config)]) == 0
    output = capsys.readouterr().out
    assert "gateway a, 0 peers" in output
    assert f"public key: {public}" in output


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
