"""Serf agents: how they are started, and what their log lines mean."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.bench.mesh.network import Host
from tests.bench.mesh.sighting import News, Sighting

MESH_PORT = 7946

_ABOUT_MEMBER = {
    "serf: EventMemberJoin: ": News.ALIVE,
    "serf: EventMemberFailed: ": News.FAILED,
    "serf: EventMemberLeave: ": News.LEFT,
    "memberlist: Suspect ": News.SUSPECTED,
}
_LINE = re.compile(
    r"\s*\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[A-Z]+\] "
    r"(?:(?P<about>serf: EventMember(?:Join|Failed|Leave): |memberlist: Suspect )(?P<subject>\S+)"
    r"|(?P<told>agent: Received event: member-failed))"
)


class SerfMesh:
    """Agents of the `lan` profile, unencrypted, each joining by the first one."""

    name = "serf"

    def __init__(self, hosts: Sequence[Host], directory: Path) -> None:
        self._hosts = hosts
        self._logs = directory

    @staticmethod
    def why_unavailable() -> str | None:
        """What is missing on this machine, or None."""
        return None if shutil.which("serf") else "no `serf`: apt-get install serf"

    def command(self, index: int) -> list[str]:
        host = self._hosts[index]
        seed = self._hosts[0 if index else 1]
        joins = (
            [f"-join={seed.address}:{MESH_PORT}"] if index else [f"-retry-join={seed.address}:{MESH_PORT}"]
        )
        return ["serf", "agent", f"-node={host.name}", f"-bind={host.address}:{MESH_PORT}", *joins]

    def log(self, index: int) -> Path:
        return self._logs / f"{self._hosts[index].name}.log"

    @staticmethod
    def read(line: str, *, observer: str, read_ns: int) -> tuple[Sighting, ...]:
        """What a line of an agent's log says.

        Its timestamps are of whole seconds: so the time of reading counts, which is never earlier.
        """
        found = _LINE.match(line)
        if found is None:
            return ()
        if found["told"]:
            return (Sighting(at_ns=read_ns, observer=observer, subject="", news=News.FAILURE_TOLD),)
        news, subject = _ABOUT_MEMBER[found["about"]], found["subject"]
        if subject == observer and news is News.ALIVE:
            news = News.RUNNING
        return (Sighting(at_ns=read_ns, observer=observer, subject=subject, news=news),)
