"""What operators read: one line an event, and one a message of any module's logger."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from gossipsa.config import LogConfiguration
from gossipsa.daemon.clock import NS_PER_S, monotonic_ns
from gossipsa.daemon.line_writer import LineWriter, Trouble
from gossipsa.effects import Report
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import GatewayName

LineFormat = Literal["text", "json"]

_WARNING_ENDINGS = (
    "failed",
    "refused",
    "dropped",
    "incomplete",
    "stopped",
    "late",
    "hit",
    "unusable",
    "unread",
)
_WARNING_EVENTS = frozenset({"no-lane", "message-too-long", "client-silent"})
_LINES_A_SECOND_MAX = 200
"""Of one event that names no client: strangers can cause some of them at will."""
_CLIENT_LINES_A_SECOND_MAX = 20_000


class EventLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the events file, and of the log in JSON format."""

    time: float
    """Seconds since the epoch."""
    monotonic_ns: int
    level: str
    event: str
    """Name of the event; `log` for a message of a logger."""
    own: str = ""
    """Name of this gateway."""
    gateway: str = ""
    """The gateway that the event is about."""
    client: str = ""
    """Client id in hexadecimal."""
    detail: str = ""
    count: int = 1
    logger: str = ""


def format_text(line: EventLine) -> str:
    """`key=value` pairs; values with blanks or quotes in them are quoted."""
    moment = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="milliseconds")
    pairs = [("time", moment), ("level", line.level), ("event", line.event)]
    pairs += [
        (name, str(value))
        for name, value in (
            ("gateway", line.gateway),
            ("client", line.client),
            ("logger", line.logger),
            ("detail", line.detail),
            ("count", line.count if line.count != 1 else ""),
        )
        if value
    ]
    return " ".join(f"{name}={_quoted(value)}" for name, value in pairs)


class EventLog:
    """Counts events and writes lines about them.

    Args:
        own: name of this gateway.
        stream: where the log goes.

    Attributes:
        counts: how often each event happened, here and in the core.

    Raises:
        ConfigurationError: the events file cannot be opened.
    """

    def __init__(
        self, configuration: LogConfiguration, *, own: GatewayName, lines: LineWriter, stream: TextIO
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._own = own
        self._lines = lines
        self._stream = stream
        self._format: LineFormat = configuration.format
        self._level = logging.getLevelNamesMapping()[configuration.level.upper()]
        self._events_file = _open_events_file(configuration.events_file)
        self._encoder = msgspec.json.Encoder()
        self._second = 0
        self._lines_this_second: Counter[str] = Counter()
        # Trouble is told from the threads that write.
        self._lock = threading.Lock()
        lines.tell_trouble(self._say_trouble)

    def close(self) -> None:
        if self._events_file is not None:
            self._events_file.close()

    def report(self, report: Report) -> None:
        """Count an event and write its line. Never blocks."""
        with self._lock:
            self._report(report)

    def _report(self, report: Report) -> None:
        self.counts[report.event] += report.count
        limit = _LINES_A_SECOND_MAX if report.client is None else _CLIENT_LINES_A_SECOND_MAX
        if not self._may_write(report.event, limit):
            return
        is_warning = report.event.endswith(_WARNING_ENDINGS) or report.event in _WARNING_EVENTS
        level = logging.WARNING if is_warning else logging.INFO
        line = EventLine(
            time=time.time(),
            monotonic_ns=monotonic_ns(),
            level=logging.getLevelName(level).lower(),
            event=report.event,
            own=self._own,
            gateway=report.gateway or "",
            client=report.client.hex() if report.client else "",
            detail=report.detail,
            count=report.count,
        )
        if level >= self._level:
            self._write(line)
        if self._events_file is not None:
            self._lines.write(self._events_file, self._encode(line))

    def log(self, record: logging.LogRecord, message: str) -> None:
        """Write a message of a logger."""
        if record.levelno < self._level or not self._may_write("log", _LINES_A_SECOND_MAX):
            return
        self._write(
            EventLine(
                time=record.created,
                monotonic_ns=monotonic_ns(),
                level=record.levelname.lower(),
                event="log",
                own=self._own,
                logger=record.name,
                detail=message,
            )
        )

    def _say_trouble(self, trouble: Trouble) -> None:
        """In whatever can still be written."""
        what = "events file" if trouble.stream is self._events_file else "log"
        if trouble.error:
            self.report(Report(event="lines-dropped", detail=f"{what}: {trouble.error}"))
        else:
            self.report(Report(event="lines-written-again", detail=f"{what}: {trouble.lost} lines were lost"))

    def _write(self, line: EventLine) -> None:
        self._lines.write(self._stream, self._encode(line) if self._format == "json" else format_text(line))

    def _encode(self, line: EventLine) -> str:
        return self._encoder.encode(line).decode()

    def _may_write(self, event: str, limit: int) -> bool:
        second = monotonic_ns() // NS_PER_S
        if second != self._second:
            self._second = second
            self._lines_this_second.clear()
        self._lines_this_second[event] += 1
        return self._lines_this_second[event] <= limit


class EventLogHandler(logging.Handler):
    """Leads the loggers of all modules into the event log."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record, self.format(record))


def _open_events_file(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"log.events_file: {path} cannot be opened: {error.strerror}") from None


def _quoted(value: str) -> str:
    if value and not any(character in ' "=\\' or not character.isprintable() for character in value):
        return value
    # JSON's escapes keep a line one line.
    return msgspec.json.encode(value).decode()
