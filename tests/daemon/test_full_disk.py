"""A real daemon whose disk, or whose log, takes no more: it goes on, counts and says it, and recovers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo.mesh_files import GatewayFiles, LoopbackAddresses, write_mesh
from gossipsa.cli import EXIT_CONFIGURATION
from gossipsa.daemon.admin_client import DaemonUnreachableError, ask_daemon

F_SETPIPE_SZ = 1031
PIPE_BYTES = 4096
WAIT_S = 60.0
ROOM_BYTES = 64 << 10

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")

_IN_A_SMALL_FILE_SYSTEM = """
mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"
"""


@pytest.fixture
def files(tmp_path: Path) -> GatewayFiles:
    (tmp_path / "small").mkdir()
    (gateway,) = write_mesh(tmp_path, count=1, addresses=LoopbackAddresses(os.urandom), draw=os.urandom)
    return gateway


def put_on_small_disk(files: GatewayFiles, path: Path) -> Path:
    """Changes a path in the configuration to one in the small file system."""
    small = files.configuration.parent / "small" / path.name
    text = files.configuration.read_text()
    assert str(path) in text
    files.configuration.write_text(text.replace(str(path), str(small)))
    return small


def command(files: GatewayFiles) -> list[str]:
    return [sys.executable, "-m", "gossipsa", "run", "--config", str(files.configuration)]


def on_a_small_disk(files: GatewayFiles, options: str) -> list[str]:
    """The daemon in a mount namespace of its own, with a small file system in it."""
    small = str(files.configuration.parent / "small")
    shell = ["bash", "-c", _IN_A_SMALL_FILE_SYSTEM, "bash", options, small, *command(files)]
    return ["unshare", "--mount", "--propagation", "private", *shell]


@contextlib.contextmanager
def running(arguments: list[str], stderr: Any) -> Iterator[subprocess.Popen[bytes]]:
    daemon = subprocess.Popen(arguments, stderr=stderr)
    try:
        yield daemon
    finally:
        daemon.kill()
        daemon.wait()


def until(condition: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("not within the time")


def answer(files: GatewayFiles, op: str) -> dict[str, Any] | None:
    try:
        return ask_daemon(files.admin_socket, {"op": op})
    except DaemonUnreachableError:
        return None


def metric(files: GatewayFiles, name: str) -> int:
    text = (answer(files, "metrics") or {"text": ""})["text"]
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)


def annoy(files: GatewayFiles, count: int = 20) -> bool:
    """Each datagram is an event. Returns False, to stand before the condition that is awaited."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(count):
            stranger.sendto(b"\1\3" + bytes(40), (str(files.mesh.address), files.mesh.port))
    return False


def fill(file: Path) -> None:
    chunk = bytes(ROOM_BYTES)
    with file.open("ab", buffering=0) as opened:
        while chunk:
            try:
                opened.write(chunk)
            except OSError:
                chunk = chunk[: len(chunk) // 2]


@needs_root
def test_full_disk_stops_nothing_and_is_over_when_there_is_room(files: GatewayFiles, tmp_path: Path) -> None:
    events = put_on_small_disk(files, files.events)
    log = tmp_path / "log"
    with log.open("wb") as stderr, running(on_a_small_disk(files, f"size={ROOM_BYTES}"), stderr) as daemon:
        until(lambda: answer(files, "status"))
        seen = Path(f"/proc/{daemon.pid}/root")
        events = seen / events.relative_to("/")
        filler = events.with_name("filler")
        fill(filler)

        until(lambda: annoy(files) or "event=lines-dropped" in log.read_text())
        assert "events file: No space left on device" in log.read_text()
        assert metric(files, "gossipsa_log_lines_dropped_total") > 0
        assert answer(files, "status") is not None

        filler.unlink()
        until(lambda: annoy(files) or "event=lines-written-again" in log.read_text())
        until(lambda: "lines-written-again" in events.read_text())
        assert_whole_lines(events)

        fill(filler)
        until(lambda: annoy(files) or log.read_text().count("event=lines-dropped") == 2)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(WAIT_S) == 0
    assert "Traceback" not in log.read_text()


def assert_whole_lines(events: Path) -> None:
    """All lines but the one that the full disk cut are whole."""
    broken = []
    for line in events.read_text().splitlines():
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken.append(line)
    assert len(broken) <= 1


@needs_root
def test_full_disk_keeps_no_state_over_restarts_until_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    # Seeds need not be remembered.
    full, *_, second, third = write_mesh(
        tmp_path, count=6, addresses=LoopbackAddresses(os.urandom), draw=os.urandom
    )
    text = full.configuration.read_text()
    directory = f"{full.name}.state"
    assert directory in text
    full.configuration.write_text(text.replace(directory, f"small/{directory}"))
    log = tmp_path / "log"
    with log.open("wb") as stderr, running(on_a_small_disk(full, f"size={ROOM_BYTES}"), stderr) as daemon:
        until(lambda: answer(full, "status"))
        small = Path(f"/proc/{daemon.pid}/root") / (tmp_path / "small").relative_to("/")
        filler = small / "filler"
        fill(filler)
        with running(command(second), subprocess.DEVNULL):
            until(lambda: "event=state-write-failed" in log.read_text())
            assert "No space left on device" in log.read_text()
            filler.unlink()
            with running(command(third), subprocess.DEVNULL):
                until(lambda: kept_members(small / directory) == {str(second.mesh), str(third.mesh)})
        assert answer(full, "status") is not None
    assert "Traceback" not in log.read_text()


def kept_members(directory: Path) -> set[str]:
    members = directory / "members"
    return set(members.read_text().split()) if members.exists() else set()


@needs_root
def test_no_room_for_the_admin_socket_is_said_so(files: GatewayFiles) -> None:
    small = put_on_small_disk(files, files.admin_socket)
    done = subprocess.run(
        on_a_small_disk(files, "size=4k,nr_inodes=1"), capture_output=True, text=True, timeout=WAIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == EXIT_CONFIGURATION
    assert f"cannot listen on {small}: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@needs_root
def test_no_room_for_the_events_file_is_said_so(files: GatewayFiles) -> None:
    put_on_small_disk(files, files.events)
    done = subprocess.run(
        on_a_small_disk(files, "size=4k,nr_inodes=1"), capture_output=True, text=True, timeout=WAIT_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == EXIT_CONFIGURATION
    assert "cannot be opened: No space left on device" in done.stderr


def test_log_that_nobody_reads_stops_neither_daemon_nor_events_file(files: GatewayFiles) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
    with running(command(files), writing) as daemon:
        os.close(writing)
        until(lambda: answer(files, "status"))
        # More lines than the pipe holds.
        until(lambda: annoy(files) or files.events.stat().st_size > 10 * PIPE_BYTES)
        assert answer(files, "status") is not None
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(WAIT_S) == 0
    os.close(reading)


def test_log_whose_reader_is_gone_stops_nothing(files: GatewayFiles) -> None:
    reading, writing = os.pipe()
    with running(command(files), writing) as daemon:
        os.close(writing)
        os.close(reading)
        until(lambda: answer(files, "status"))
        until(lambda: annoy(files) or metric(files, "gossipsa_log_lines_dropped_total"))
        until(lambda: "log: Broken pipe" in files.events.read_text())
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(WAIT_S) == 0
