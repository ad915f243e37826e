"""What is printed at the end, and what the screen shows meanwhile."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, RenderableType

from examples.demo.analysis import Failure, FailureKind, Silence, Verdict
from examples.demo.report import report, summary_of
from examples.demo.screen import ClientCell, GatewayRow, ScreenState, render
from examples.demo.timeline import TimelineEntry

MS = 1_000_000
TIMELINE = (TimelineEntry(after_kill_ns=0, text="alpha is killed with SIGKILL"),)


def printed(renderable: RenderableType) -> str:
    output = StringIO()
    Console(file=output, width=120).print(renderable)
    return output.getvalue()


def verdict(*failures: Failure) -> Verdict:
    return Verdict(
        failures=failures,
        moved=tuple(Silence(client="a", begins_at_ns=0, ends_at_ns=ms * MS) for ms in (700, 800, 900)),
        undisturbed=(Silence(client="b", begins_at_ns=0, ends_at_ns=101 * MS),),
        packets=1234,
    )


def test_a_good_run_is_reported_with_its_silences() -> None:
    text = printed(report(verdict(), timeline=TIMELINE, killed="alpha"))

    assert "+0.000 s  alpha is killed with SIGKILL" in text
    assert [word for word in ("800 ms", "900 ms", "101 ms", "PASS", "1234") if word not in text] == []
    assert "FAIL" not in text
    assert summary_of(verdict(), killed="alpha") == (
        "PASS: 4 clients; alpha killed; its 3 clients heard nothing for "
        "800 ms (median), 900 ms (p99), 900 ms (max)"
    )


def test_a_bad_run_says_who_and_what() -> None:
    failure = Failure(kind=FailureKind.NUMBER_REUSED, client="c0ffee11" * 4, detail="number 7")
    text = printed(report(verdict(failure), timeline=TIMELINE, killed="alpha"))

    assert "FAIL" in text
    assert "1 x a client received a sequence number twice under one key" in text
    assert "client c0ffee11: number 7" in text
    assert "PASS" not in text
    assert summary_of(verdict(failure), killed="alpha").startswith("FAIL")


def test_many_failures_are_counted_and_some_shown() -> None:
    failures = [Failure(kind=FailureKind.CUT_OFF, client=f"{index:032x}", detail="") for index in range(25)]
    text = printed(report(verdict(*failures), timeline=TIMELINE, killed="alpha"))

    assert "25 x a client did not carry on" in text
    assert "and 22 more" in text


def test_the_screen_shows_every_client_where_it_is_served() -> None:
    row = GatewayRow(
        name="alpha",
        colour="#0072B2",
        process="running",
        seen_as="alive (4)",
        clients=[
            ClientCell(colour="#0072B2", is_silent=False),
            ClientCell(colour="#E69F00", is_silent=True),
        ]
        * 100,
        packets_a_second=10,
    )
    text = printed(render(ScreenState(phase="packets flow", rows=[row], happenings=["+0.1 s  something"])))

    assert text.count("■") == text.count("□") == 100
    assert [
        words for words in ("packets flow", "alpha", "200", "+0.1 s  something") if words not in text
    ] == []
