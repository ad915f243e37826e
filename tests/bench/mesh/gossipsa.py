"""gossipsa daemons: how they are started, and what the lines of their events files mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from examples.demo.mesh_files import write_mesh
from gossipsa.daemon.event_log import EventLine
from gossipsa.identifiers import GatewayName
from tests.bench.mesh.network import Host
from tests.bench.mesh.sighting import News, Sighting

_DECODER = msgspec.json.Decoder(EventLine)
_NEWS = {
    "gateway-alive": News.ALIVE,
    "gateway-restarted": News.ALIVE,
    "gateway-suspected": News.SUSPECTED,
    "gateway-failed": News.FAILED,
    "gateway-left": News.LEFT,
}

_BYTECODE = Path(__file__).resolve().parents[3] / "out" / "bench" / "bytecode"
_AS_INSTALLED = ("env", "--unset=PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={_BYTECODE}")
"""An installed package is compiled once, not at every start; the first daemon started here does that."""


class GossipsaMesh:
    """Daemons of the default profile, over the in-memory kernel and without IKE daemons.

    Their events files are their standard output: a line is read when it is written.
    """

    name = "gossipsa"

    def __init__(self, hosts: Sequence[Host], directory: Path) -> None:
        self._files = write_mesh(directory, count=len(hosts), addresses=_Addresses(hosts), draw=os.urandom)
        self._hosts = {files.name: host.name for files, host in zip(self._files, hosts, strict=True)}
        for files in self._files:
            files.events.symlink_to("/dev/stdout")

    def command(self, index: int) -> list[str]:
        configuration = str(self._files[index].configuration)
        return [*_AS_INSTALLED, sys.executable, "-m", "gossipsa", "run", "--config", configuration]

    def log(self, index: int) -> Path:
        return self._files[index].log

    def read(self, line: str, *, observer: str, read_ns: int) -> tuple[Sighting, ...]:
        """What a line of an events file says. The daemon's own time counts."""
        del read_ns
        event = _DECODER.decode(line)
        at_ns = event.monotonic_ns
        if event.event == "daemon-started":
            return (Sighting(at_ns=at_ns, observer=observer, subject=observer, news=News.RUNNING),)
        news = _NEWS.get(event.event)
        if news is None:
            return ()
        said = Sighting(
            at_ns=at_ns, observer=observer, subject=self._hosts[GatewayName(event.gateway)], news=news
        )
        if news is not News.FAILED:
            return (said,)
        # The events file is the application's: nothing is held back.
        return said, Sighting(at_ns=at_ns, observer=observer, subject="", news=News.FAILURE_TOLD)


class _Addresses:
    """The namespaces' addresses, as the files' writer asks for them."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts

    def gateway(self, index: int) -> IPv4Address:
        return self._hosts[index].address
