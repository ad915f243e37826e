"""The end of a run in words: a timeline, the clients' silence, and whether all is well."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from examples.demo.analysis import Failure, FailureKind, Silence, Verdict, spread
from examples.demo.timeline import TimelineEntry

_FAILURES_SHOWN = 3
"""Of each kind."""


def summary_of(verdict: Verdict, *, killed: str) -> str:
    """The result in one line."""
    outcome = "PASS" if verdict.is_success else "FAIL"
    silence = spread(verdict.moved)
    clients = len(verdict.moved) + len(verdict.undisturbed)
    if silence is None:
        return f"{outcome}: {clients} clients; {killed} killed; nobody was moved"
    return (
        f"{outcome}: {clients} clients; {killed} killed; its {len(verdict.moved)} clients heard nothing for "
        f"{_ms(silence.median_ns)} (median), {_ms(silence.p99_ns)} (p99), {_ms(silence.max_ns)} (max)"
    )


def report(verdict: Verdict, *, timeline: Sequence[TimelineEntry], killed: str) -> RenderableType:
    """Everything that is printed at the end."""
    silences = Table(title="the longest silence of each client", title_justify="left")
    for column in ("clients", "number", "median", "p99", "max"):
        silences.add_column(column, justify="left" if column == "clients" else "right")
    _add_silences(silences, f"of {killed}, taken over", verdict.moved)
    _add_silences(silences, "of the others, undisturbed", verdict.undisturbed)
    return Group(*(Text(str(entry)) for entry in timeline), silences, *_outcome(verdict))


def _add_silences(table: Table, who: str, silences: Sequence[Silence]) -> None:
    found = spread(silences)
    lengths = ("", "", "") if found is None else map(_ms, (found.median_ns, found.p99_ns, found.max_ns))
    table.add_row(who, str(len(silences)), *lengths)


def _outcome(verdict: Verdict) -> list[Text]:
    if verdict.is_success:
        return [
            Text("PASS: every client carried on, without a new negotiation", style="bold green"),
            Text(
                f"{verdict.packets} sealed packets were received: no sequence number and no IV twice under "
                "one key, never two gateways for one client."
            ),
        ]
    lines = [Text("FAIL", style="bold red")]
    for kind in FailureKind:
        found = [failure for failure in verdict.failures if failure.kind is kind]
        if found:
            lines.append(Text(f"{len(found)} x a client {kind.value}", style="red"))
            lines += [Text(f"    {_describe(failure)}") for failure in found[:_FAILURES_SHOWN]]
            if len(found) > _FAILURES_SHOWN:
                lines.append(Text(f"    and {len(found) - _FAILURES_SHOWN} more"))
    return lines


def _describe(failure: Failure) -> str:
    return f"client {failure.client[:8]}: {failure.detail}" if failure.client else failure.detail


def _ms(length_ns: int) -> str:
    return f"{length_ns / 1e6:.0f} ms"
