"""Lines on streams that fail or block. /dev/full refuses every write as a full disk does."""

from __future__ import annotations

import fcntl
import io
import os
import threading
from pathlib import Path

import pytest

from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.line_writer import LineWriter, Trouble

F_SETPIPE_SZ = 1031
PIPE_BYTES = 4096
WAIT_S = 20.0


def test_full_disk_is_counted_and_told_once() -> None:
    counts = Counts()
    lines = LineWriter(counts=counts)
    told: list[Trouble] = []
    first = threading.Event()

    def tell(trouble: Trouble) -> None:
        told.append(trouble)
        first.set()

    lines.tell_trouble(tell)
    with Path("/dev/full").open("w") as full:
        lines.write(full, "one")
        assert first.wait(WAIT_S)
        lines.write(full, "two")
        lines.close()
    assert [(trouble.stream, trouble.error) for trouble in told] == [(full, "No space left on device")]
    assert counts[Count.LOG_LINES_DROPPED] == 2


def test_line_that_was_torn_by_a_full_disk_spoils_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A disk with room for the beginning of a line, and later for all."""
    counts = Counts()
    lines = LineWriter(counts=counts)
    told: list[Trouble] = []
    changed = threading.Semaphore(0)

    def tell(trouble: Trouble) -> None:
        told.append(trouble)
        changed.release()

    lines.tell_trouble(tell)
    room = [6]
    write = os.write

    def write_with_room(descriptor: int, data: bytes) -> int:
        if not room:
            return write(descriptor, data)
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("gossipsa.daemon.line_writer.os.write", write_with_room)
    file = tmp_path / "events"
    with file.open("a") as stream:
        lines.write(stream, "abcdefghij")
        assert changed.acquire(timeout=WAIT_S)
        room.clear()
        lines.write(stream, "next")
        assert changed.acquire(timeout=WAIT_S)
        lines.close()
    assert file.read_text().splitlines() == ["abcdef", "next"]
    assert [(bool(trouble.error), trouble.lost) for trouble in told] == [(True, 0), (False, 1)]
    assert counts[Count.LOG_LINES_DROPPED] == 1


def test_pipe_that_nobody_reads_holds_no_other_stream_up(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
    lines = LineWriter(counts=Counts())
    file = tmp_path / "events"
    with os.fdopen(writing, "w") as pipe, file.open("a") as events:
        for _ in range(10):
            lines.write(pipe, "x" * PIPE_BYTES)
        lines.write(events, "written")
        while not file.read_text():
            threading.Event().wait(0.01)
        assert file.read_text() == "written\n"
        # Breaks the pipe, so that the thread ends.
        os.close(reading)
        lines.close()


def test_stream_without_descriptor_is_written_too() -> None:
    lines = LineWriter(counts=Counts())
    stream = io.StringIO()
    lines.write(stream, "line")
    lines.close()
    assert stream.getvalue() == "line\n"
