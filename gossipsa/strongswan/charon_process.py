"""Which process is behind a Unix socket: tells a charon that was restarted from a connection that broke."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import trio

# struct ucred: pid, uid, gid (unix(7)).
_UCRED = struct.Struct("=iII")
# proc(5): starttime is field 22, and the first that is counted here, after the name, is field 3.
_START_TIME_FIELD = 22 - 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CharonProcess:
    """One life of a process."""

    pid: int
    start_ticks: int
    """Clock ticks from boot to its start: tells it from an earlier one with the same pid."""


def process_behind(connection: trio.socket.SocketType, *, proc: Path = Path("/proc")) -> CharonProcess | None:
    """Return the process that listens on the socket a connection goes to.

    None if it cannot be seen: it is gone, or in another pid namespace.
    """
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, _, _ = _UCRED.unpack(credentials)
    if pid <= 0:
        return None
    try:
        status = (proc / str(pid) / "stat").read_text()
        # The name stands in parentheses, and may hold anything.
        start_ticks = int(status.rpartition(")")[2].split()[_START_TIME_FIELD])
    except (OSError, ValueError, IndexError):
        return None
    return CharonProcess(pid=pid, start_ticks=start_ticks)
