"""How full charon's HA socket is: what paces our sending, since UDP on loopback has no flow control.

Source: Linux, Documentation/networking/proc_net_tcp.rst and net/ipv4/udp.c (udp4_format_sock).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from gossipsa.identifiers import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """One look at a UDP socket's receive queue."""

    bytes: int
    """Memory that waiting datagrams take; 0 if every one was read."""
    drops: int
    """Datagrams dropped since the socket exists, for want of room."""


class ReceiveQueue:
    """Of the socket bound to `local` and connected to `remote`, in our network namespace."""

    def __init__(self, *, local: Endpoint, remote: Endpoint, proc: Path = Path("/proc/self/net")) -> None:
        self._path = proc / ("udp" if local.address.version == 4 else "udp6")
        self._ends = (_hex(local), _hex(remote))

    def look(self) -> QueueState | None:
        """Return the state of the queue, or None if there is no such socket, or none that can be seen."""
        try:
            lines = self._path.read_text().splitlines()
        except OSError:
            return None
        for line in lines[1:]:
            # sl local remote st tx:rx tr:when retransmits uid timeout inode ref pointer drops
            fields = line.split()
            if len(fields) >= 13 and (fields[1], fields[2]) == self._ends:
                try:
                    return QueueState(bytes=int(fields[4].partition(":")[2], 16), drops=int(fields[12]))
                except ValueError:
                    return None
        return None


def _hex(endpoint: Endpoint) -> str:
    """An endpoint as the kernel prints it: 32-bit words of the address as host integers."""
    packed = endpoint.address.packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{endpoint.port:04X}"
