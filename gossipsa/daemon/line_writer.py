"""Writes lines from threads of their own, so that a log that nobody reads never stops a takeover."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TextIO

from gossipsa.daemon.counts import Count, Counts

_LINES_MAX = 16_384
_GATHER_S = 0.02
"""A thread woken for every line would fight with the core for the interpreter when both are busiest."""
_CLOSE_WAIT_S = 1.0


class Trouble(NamedTuple):
    """A stream cannot be written, or can be again."""

    stream: TextIO
    error: str
    """Empty if it can be written again."""
    lost: int
    """Lines that were lost until then."""


class LineWriter:
    """For each stream a bounded queue of lines and the thread that writes them.

    Lines that find a queue full, or cannot be written, are counted. One stream that blocks, such as a pipe
    that nobody reads, holds no other up.
    """

    def __init__(self, *, counts: Counts) -> None:
        self._counts = counts
        self._sinks: dict[TextIO, _Sink] = {}
        self._tell: Callable[[Trouble], None] | None = None

    def tell_trouble(self, tell: Callable[[Trouble], None]) -> None:
        """Have `tell` called, from some thread, when a stream fails and when it works again."""
        self._tell = tell

    def write(self, stream: TextIO, line: str) -> None:
        """Queues a line, without its end. Never blocks."""
        sink = self._sinks.get(stream)
        if sink is None:
            sink = self._sinks[stream] = _Sink(stream, counts=self._counts, tell=self._told)
        sink.write(line)

    def close(self) -> None:
        """Wait a moment for what is queued. Nothing may be written afterwards."""
        self._tell = None
        for sink in tuple(self._sinks.values()):
            sink.close()

    def _told(self, trouble: Trouble) -> None:
        if self._tell is not None:
            self._tell(trouble)


class _Sink:
    """One stream."""

    def __init__(self, stream: TextIO, *, counts: Counts, tell: Callable[[Trouble], None]) -> None:
        self._stream = stream
        self._counts = counts
        self._tell = tell
        self._lines: deque[str] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._descriptor = _descriptor_of(stream)
        self._is_torn = False
        """The last line that was written has no end."""
        self._error = ""
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        if len(self._lines) >= _LINES_MAX:
            self._counts.add(Count.LOG_LINES_DROPPED)
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_WAIT_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(_GATHER_S)
            # Before the lines are taken: one that comes meanwhile wakes us again.
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft() + "\n")
        if not lines:
            return
        try:
            self._write_all(lines)
        except (OSError, ValueError) as error:
            # A full disk, a closed pipe: the daemon goes on without.
            self._say(getattr(error, "strerror", None) or str(error))
        else:
            self._say("")

    def _write_all(self, lines: list[str]) -> None:
        if self._descriptor is None:
            try:
                self._stream.write("".join(lines))
                self._stream.flush()
            except (OSError, ValueError):
                self._lose(len(lines))
                raise
            return
        # Past the stream's own buffer: what a full disk refused would stay there, and come out torn.
        encoded = [line.encode(errors="backslashreplace") for line in lines]
        data = (b"\n" if self._is_torn else b"") + b"".join(encoded)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            if written:
                self._is_torn = data[written - 1 : written] != b"\n"
            self._lose(data.count(b"\n", written))
            raise
        self._is_torn = False

    def _lose(self, count: int) -> None:
        self._lost += count
        self._counts.add(Count.LOG_LINES_DROPPED, count)

    def _say(self, error: str) -> None:
        """Tells of a change, once."""
        if bool(error) == bool(self._error):
            return
        self._error = error
        lost, self._lost = (0, self._lost) if error else (self._lost, 0)
        self._tell(Trouble(self._stream, error, lost))


def _descriptor_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
