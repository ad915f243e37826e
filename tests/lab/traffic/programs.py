"""Starts the traffic programs inside namespaces and reads what they wrote."""

import dataclasses
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import topology
from tests.lab.waiting import wait_until


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PingLog:
    """Every ping from one client, or to it, in the order sent.

    Attributes:
        client: its virtual address.
        sent_us, received_us: microseconds of the wall clock; received is None where no reply came.
    """

    client: str
    sent_us: tuple[int, ...]
    received_us: tuple[int | None, ...]

    @property
    def lost(self) -> int:
        return sum(received is None for received in self.received_us)

    def lost_between(self, start_ns: int, end_ns: int) -> int:
        """Count the pings sent in [start, end) that got no reply."""
        return sum(
            received is None and start_ns <= sent * 1000 < end_ns
            for sent, received in zip(self.sent_us, self.received_us, strict=True)
        )

    def silence_s(self, start_ns: int, end_ns: int) -> float:
        """Return the longest time without a reply that begins or ends in [start, end], in seconds.

        With steady pings every I seconds it is about I when nothing is lost. Ends of the log bound it.
        """
        replies = sorted(received for received in self.received_us if received is not None)
        times = [start_ns // 1000, *(t for t in replies if start_ns <= t * 1000 <= end_ns), end_ns // 1000]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0) / 1e6

    def first_reply_from_ns(self, wall_ns: int) -> int | None:
        """Return when the first reply at or after wall_ns came."""
        later = [
            received for received in self.received_us if received is not None and received * 1000 >= wall_ns
        ]
        return min(later) * 1000 if later else None


class Pings:
    """A running `pings` program: from some clients' addresses in a namespace, or to them from the server."""

    def __init__(
        self,
        namespace: str,
        clients: Sequence[str],
        *,
        interval_ms: int,
        output: Path,
        backwards: bool = False,
    ) -> None:
        self._output = output
        options = [
            "--server",
            topology.SERVER_ADDRESS,
            "--interval-ms",
            str(interval_ms),
            "--output",
            str(output),
            *(["--backwards"] if backwards else []),
        ]
        self._process = _start(namespace, "pings", [*options, *clients])

    def stop(self) -> dict[str, PingLog]:
        """End it and return its log by the client's address."""
        _end(self._process, "the pings")
        return {
            client: PingLog(
                client=client,
                sent_us=tuple(sent for sent, _ in entries),
                received_us=tuple(received for _, received in entries),
            )
            for client, entries in json.loads(self._output.read_text()).items()
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StreamResult:
    """How a TCP connection fared: messages sent, echoed in order, when, and the error that ended it."""

    sent: int
    echoed: int
    echo_times_us: tuple[int, ...]
    error: str | None


class Stream:
    """A running TCP connection from a virtual address to the server."""

    def __init__(self, namespace: str, source: str, *, interval_ms: int, output: Path) -> None:
        self._output = output
        self._server = _start(topology.SERVER, "stream", ["serve", "--address", topology.SERVER_ADDRESS])
        wait_until(_server_listens, timeout_s=20, what="the echo server to listen")
        options = ["send", "--server", topology.SERVER_ADDRESS, "--source", source]
        options += ["--interval-ms", str(interval_ms), "--output", str(output)]
        self._sender = _start(namespace, "stream", options)

    def stop(self) -> StreamResult:
        _end(self._sender, "the stream")
        self._server.kill()
        self._server.wait()
        result = json.loads(self._output.read_text())
        return StreamResult(**{**result, "echo_times_us": tuple(result["echo_times_us"])})


def lost_in_total(logs: Iterable[PingLog]) -> int:
    return sum(log.lost for log in logs)


def _start(namespace: str, program: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    module = f"tests.lab.traffic.{program}"
    return subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, "-m", module, *options])


def _end(process: subprocess.Popen[bytes], what: str) -> None:
    process.terminate()
    wait_until(lambda: process.poll() is not None, timeout_s=30, what=f"{what} to end")
    if process.returncode != 0:
        raise RuntimeError(f"{what} ended with status {process.returncode}")


def _server_listens() -> bool:
    return ":7007" in topology.in_namespace(topology.SERVER, ["ss", "--tcp", "--listening", "--numeric"])
