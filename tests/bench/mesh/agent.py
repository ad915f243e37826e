"""One agent as a process in a host of its own: started, killed, stopped and resumed, and listened to."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

import trio

from tests.bench.mesh.network import Host
from tests.bench.mesh.observation import Observation
from tests.bench.mesh.sighting import Sighting

_CHUNK_BYTES = 65_536
_LOG_CHARACTERS_SHOWN = 1_500


class Mesh(Protocol):
    """What differs between the systems."""

    @property
    def name(self) -> str:
        """Of the system."""

    def command(self, index: int) -> list[str]:
        """Starts the agent of that host, in the foreground, and has it join the others."""

    def log(self, index: int) -> Path:
        """Where standard error goes."""

    def read(self, line: str, *, observer: str, read_ns: int) -> tuple[Sighting, ...]:
        """What a line of standard output says."""


class AgentDiedError(Exception):
    """An agent that nobody killed is gone."""


class Agent:
    """The agent of one host.

    Attributes:
        name: of the host, under which the observation knows it.
        started_ns: when its process was last started.
    """

    def __init__(
        self, host: Host, index: int, mesh: Mesh, observation: Observation, nursery: trio.Nursery
    ) -> None:
        self.name = host.name
        self.started_ns = 0
        self._host = host
        self._index = index
        self._mesh = mesh
        self._observation = observation
        self._nursery = nursery
        self._process: trio.Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    async def start(self) -> None:
        """Start the process, and go on listening to it."""
        self._observation.forget(self.name)
        self.started_ns = time.monotonic_ns()
        with self._mesh.log(self._index).open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                self._host.command(self._mesh.command(self._index)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._nursery.start_soon(self._listen, self._process)

    async def kill(self) -> int:
        """SIGKILL: no farewell. Returns when, after the process is gone."""
        process = self._running()
        # Before the signal: its output ends with it.
        self._process = None
        killed_ns = time.monotonic_ns()
        process.kill()
        await process.wait()
        return killed_ns

    async def end(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            await self.kill()

    def stop(self) -> int:
        """SIGSTOP: silence, while the host answers for the process. Returns when."""
        stopped_ns = time.monotonic_ns()
        self._running().send_signal(signal.SIGSTOP)
        return stopped_ns

    def resume(self) -> int:
        """SIGCONT. Returns when."""
        resumed_ns = time.monotonic_ns()
        self._running().send_signal(signal.SIGCONT)
        return resumed_ns

    def _running(self) -> trio.Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process

    async def _listen(self, process: trio.Process) -> None:
        assert process.stdout is not None
        unread = b""
        async with process.stdout as stream:
            while chunk := await stream.receive_some(_CHUNK_BYTES):
                read_ns = time.monotonic_ns()
                *lines, unread = (unread + chunk).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace")
                    for sighting in self._mesh.read(text, observer=self.name, read_ns=read_ns):
                        self._observation.note(sighting)
        if process is self._process:
            status = await process.wait()
            log = self._mesh.log(self._index).read_text(errors="replace")
            raise AgentDiedError(
                f"{self.name} ({self._mesh.name}) ended with status {status}: {log[-_LOG_CHARACTERS_SHOWN:]}"
            )
