from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gossipsa.daemon.supervisor import inherited_sockets, notify_supervisor

_CHILD = """
import os
from gossipsa.daemon.supervisor import inherited_sockets
found = inherited_sockets(os.environ, pid=os.getpid())
print({name: each.getsockname() for name, each in found.items()})
print([os.get_inheritable(each.fileno()) for each in found.values()])
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


@pytest.mark.parametrize("names", ["", "ha"])
def test_inherited_socket_is_taken_under_its_name_and_goes_to_no_child(names: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        given = f"LISTEN_FDS=1 LISTEN_FDNAMES={names}" if names else "LISTEN_FDS=1"
        shell = f'exec 3<&{held.fileno()}; {given} LISTEN_PID=$$ exec "$0" -c "$1"'
        done = subprocess.run(
            ["bash", "-c", shell, sys.executable, _CHILD],
            pass_fds=(held.fileno(),),
            capture_output=True,
            text=True,
            check=True,
        )
        wanted = {"ha": held.getsockname()}

    assert done.stdout.splitlines() == [str(wanted), "[False]", "[]"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "many", "LISTEN_PID": "4711"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": "4711"},
    ],
)
def test_what_is_meant_for_another_process_is_not_taken(variables: dict[str, str]) -> None:
    assert inherited_sockets(variables, pid=4711) == {}


def test_supervisor_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(path))
        assert notify_supervisor({"NOTIFY_SOCKET": str(path)}, "READY=1")
        assert supervisor.recv(100) == b"READY=1"


def test_supervisor_in_the_abstract_namespace_is_told() -> None:
    name = f"gossipsa-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + name)
        assert notify_supervisor({"NOTIFY_SOCKET": "@" + name}, "READY=1")
        assert supervisor.recv(100) == b"READY=1"


@pytest.mark.parametrize("variables", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_supervisor_nobody_is_told(variables: dict[str, str]) -> None:
    assert not notify_supervisor(variables, "READY=1")
