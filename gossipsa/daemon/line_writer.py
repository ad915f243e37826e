"""Writes lines from a thread of its own, so that a log that nobody reads never stops a takeover."""

from __future__ import annotations

import queue
import threading
from typing import TextIO

from gossipsa.daemon.counts import Count, Counts

_LINES_MAX = 16_384
_CLOSE_WAIT_S = 1.0


class LineWriter:
    """A bounded queue of lines and the thread that writes them. Lines that find it full are counted."""

    def __init__(self, *, counts: Counts) -> None:
        self._counts = counts
        self._lines: queue.Queue[tuple[TextIO, str] | None] = queue.Queue(_LINES_MAX)
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def write(self, stream: TextIO, line: str) -> None:
        """Queues a line, without its end. Never blocks."""
        try:
            self._lines.put_nowait((stream, line))
        except queue.Full:
            self._counts.add(Count.LOG_LINES_DROPPED)

    def close(self) -> None:
        """Wait a moment for what is queued."""
        try:
            self._lines.put(None, timeout=_CLOSE_WAIT_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_WAIT_S)

    def _write(self) -> None:
        while (entry := self._lines.get()) is not None:
            stream, line = entry
            try:
                stream.write(line + "\n")
                if self._lines.empty():
                    stream.flush()
            except (OSError, ValueError):
                # A full disk, a closed pipe: the daemon goes on without.
                self._counts.add(Count.LOG_LINES_DROPPED)
