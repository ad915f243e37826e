from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from gossipsa.config import LogConfiguration
from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.event_log import EventLog, EventLogHandler
from gossipsa.daemon.line_writer import LineWriter
from gossipsa.effects import Report
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import ClientId, GatewayName

OWN = GatewayName("a")
FAILED = Report(event="gateway-failed", gateway=GatewayName("b"), detail='says "bye" twice\nand more')


def _lines_of(configuration: LogConfiguration, *reports: Report) -> list[str]:
    lines = LineWriter(counts=Counts())
    stream = io.StringIO()
    log = EventLog(configuration, own=OWN, lines=lines, stream=stream)
    for report in reports:
        log.report(report)
    lines.close()
    log.close()
    return stream.getvalue().splitlines()


def test_text_line_is_one_line_of_pairs() -> None:
    (line,) = _lines_of(LogConfiguration(), FAILED)
    moment, rest = line.split(" ", 1)

    assert moment.startswith("time=2")
    assert rest == r'level=warning event=gateway-failed gateway=b detail="says \"bye\" twice\nand more"'


def test_json_line_holds_what_the_event_says() -> None:
    report = Report(event="client-moved", client=ClientId(b"\xab" * 16), count=3)
    (line,) = _lines_of(LogConfiguration(format="json"), report)
    values = json.loads(line)

    assert values.pop("time") > 1_600_000_000
    assert values.pop("monotonic_ns") > 0
    assert values == {"level": "info", "event": "client-moved", "own": "a", "client": "ab" * 16, "count": 3}


def test_quiet_log_keeps_only_warnings_and_the_events_file_everything(tmp_path: Path) -> None:
    events_file = tmp_path / "events"
    configuration = LogConfiguration(level="warning", events_file=events_file)
    lines = _lines_of(configuration, Report(event="gateway-alive"), FAILED)

    assert len(lines) == 1
    events = [json.loads(line)["event"] for line in events_file.read_text().splitlines()]
    assert events == ["gateway-alive", "gateway-failed"]


def test_events_are_counted_even_when_they_are_too_many_to_write() -> None:
    lines = LineWriter(counts=Counts())
    stream = io.StringIO()
    log = EventLog(LogConfiguration(), own=OWN, lines=lines, stream=stream)
    for _ in range(5000):
        log.report(Report(event="message-refused", count=2))
    lines.close()

    assert log.counts["message-refused"] == 10_000
    assert len(stream.getvalue().splitlines()) < 5000


def test_loggers_of_all_modules_lead_here() -> None:
    lines = LineWriter(counts=Counts())
    stream = io.StringIO()
    logger = logging.getLogger("gossipsa.somewhere")
    handler = EventLogHandler(EventLog(LogConfiguration(), own=OWN, lines=lines, stream=stream))
    logger.addHandler(handler)
    logger.warning("charon %s is gone", "5.9.8")
    logger.removeHandler(handler)
    lines.close()

    assert 'event=log logger=gossipsa.somewhere detail="charon 5.9.8 is gone"' in stream.getvalue()


def test_reader_that_never_reads_stops_nobody() -> None:
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("broken pipe")

    counts = Counts()
    lines = LineWriter(counts=counts)
    for _ in range(3):
        lines.write(Stuck(), "line")
    lines.close()

    assert counts[Count.LOG_LINES_DROPPED] == 3


def test_events_file_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"log\.events_file"):
        _lines_of(LogConfiguration(events_file=tmp_path / "nowhere" / "events"))
