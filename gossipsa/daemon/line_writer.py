"""Writes lines from a thread of its own, so that a log that nobody reads never stops a takeover."""

from __future__ import annotations

import threading
from collections import deque
from typing import TextIO

from gossipsa.daemon.counts import Count, Counts

_LINES_MAX = 16_384
_GATHER_S = 0.02
"""A thread woken for every line would fight with the core for the interpreter when both are busiest."""
_CLOSE_WAIT_S = 1.0


class LineWriter:
    """A bounded queue of lines and the thread that writes them. Lines that find it full are counted."""

    def __init__(self, *, counts: Counts) -> None:
        self._counts = counts
        self._lines: deque[tuple[TextIO, str]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, stream: TextIO, line: str) -> None:
        """Queues a line, without its end. Never blocks."""
        if len(self._lines) >= _LINES_MAX:
            self._counts.add(Count.LOG_LINES_DROPPED)
            return
        self._lines.append((stream, line))
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Wait a moment for what is queued."""
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
        texts: dict[TextIO, list[str]] = {}
        while self._lines:
            stream, line = self._lines.popleft()
            texts.setdefault(stream, []).append(line + "\n")
        for stream, lines in texts.items():
            try:
                stream.write("".join(lines))
                stream.flush()
            except (OSError, ValueError):
                # A full disk, a closed pipe: the daemon goes on without.
                self._counts.add(Count.LOG_LINES_DROPPED, len(lines))
