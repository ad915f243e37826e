"""What a supervisor hands down and wants to hear: the protocols of sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

HA_SOCKET_NAME = "ha"
_FIRST_DESCRIPTOR = 3
_DESCRIPTORS_MAX = 16


def inherited_sockets(environment: MutableMapping[str, str], *, pid: int) -> dict[str, socket.socket]:
    """Takes the sockets passed to this process, by name, and the variables out of the environment.

    Without names a single socket is the HA socket.
    """
    count_text = environment.pop("LISTEN_FDS", "")
    pid_text = environment.pop("LISTEN_PID", "")
    names_text = environment.pop("LISTEN_FDNAMES", "")
    if pid_text != str(pid) or not count_text.isascii() or not count_text.isdigit():
        return {}
    count = min(int(count_text), _DESCRIPTORS_MAX)
    names = names_text.split(":") if names_text else [HA_SOCKET_NAME]
    taken: dict[str, socket.socket] = {}
    for index in range(count):
        descriptor = _FIRST_DESCRIPTOR + index
        name = names[index] if index < len(names) else f"unnamed-{index}"
        os.set_inheritable(descriptor, False)
        taken.setdefault(name, socket.socket(fileno=descriptor))
    return taken


def notify_supervisor(environment: MutableMapping[str, str], state: str) -> bool:
    """Says `READY=1` or `STOPPING=1`. False if nobody listens."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.setblocking(False)
            notify.sendto(state.encode(), address)
    except OSError:
        return False
    return True
