"""Three gateways in three processes: copies made, changed, and made again after a replica's loss."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from examples.demo.mesh_files import GatewayFiles, LoopbackAddresses, write_mesh
from tests.bench.state.figures import Replication

_GATEWAYS = 3
_POLL_S = 0.1
_START_TIMEOUT_S = 30.0
_SETTLE_S = 2.0
_MEMORY_LIMITS = {"MALLOC_ARENA_MAX": "1"}


class _Process:
    """One gateway, and what is asked of it."""

    def __init__(self, files: GatewayFiles) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.state.gateway_process", str(files.configuration)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_MEMORY_LIMITS},
        )

    def ask(self, command: str) -> float:
        """Returns its answer. Raises RuntimeError if it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a gateway ended with status {self._process.wait()}")
        return msgspec.json.decode(line, type=float)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def measure_replication(*, records: int, updates: int) -> Replication:
    """The first gateway has all clients, the others their copies."""
    with tempfile.TemporaryDirectory(prefix="gossipsa-bench-") as directory, ExitStack() as stack:
        places = write_mesh(
            Path(directory), count=_GATEWAYS, addresses=LoopbackAddresses(os.urandom), draw=os.urandom
        )
        processes = [stack.enter_context(_running(files)) for files in places]
        for process in processes:
            _until_live(process, _GATEWAYS - 1)
        owner, *replicas = processes
        time.sleep(_SETTLE_S)
        before = _memories(processes)
        first_copies_s = owner.ask(f"have {records}")
        owner_bytes, *replica_bytes = (
            (after - then) / records for after, then in zip(_memories(processes), before, strict=True)
        )
        idle_s = _cpu_s(processes)
        updates_s = owner.ask(f"change {updates}")
        updates_cpu_s = _cpu_s(processes) - idle_s
        replicas[-1].kill()
        _until_live(owner, _GATEWAYS - 2)
        stack.enter_context(_running(places[-1]))
        return Replication(
            records=records,
            owner_bytes_a_record=owner_bytes,
            replica_bytes_a_record=sum(replica_bytes) / len(replica_bytes),
            first_copies_s=first_copies_s,
            updates=updates,
            updates_a_second=updates / updates_s,
            updates_a_cpu_second=updates / updates_cpu_s,
            again_s=owner.ask("recover"),
        )


@contextmanager
def _running(files: GatewayFiles) -> Iterator[_Process]:
    process = _Process(files)
    try:
        yield process
    finally:
        process.kill()


def _until_live(process: _Process, members: int) -> None:
    end_s = time.monotonic() + _START_TIMEOUT_S
    while process.ask("live") != members:
        if time.monotonic() > end_s:
            raise RuntimeError(f"waited in vain for {members} live members")
        time.sleep(_POLL_S)


def _cpu_s(processes: Sequence[_Process]) -> float:
    return sum(process.ask("cpu") for process in processes)


def _memories(processes: Sequence[_Process]) -> list[float]:
    return [process.ask("memory") for process in processes]
