"""The figures of both systems side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from tests.bench.mesh.figures import Spread, SystemFigures, spread

_PEER, _OURS = "serf", "gossipsa"
_HEADINGS = ("what", "agents", "Serf lan", "gossipsa", "of Serf's", "wanted")


class Row:
    """One line, of systems that may lack the figure.

    Args:
        values: all values of a system's figures.
        digits: after the decimal point.
    """

    def __init__(
        self, what: str, values: Callable[[SystemFigures], list[float]], *, digits: int = 2, wanted: str = ""
    ) -> None:
        self._what = what
        self._values = values
        self._digits = digits
        self._wanted = wanted

    def cells(self, peer: SystemFigures | None, ours: SystemFigures | None) -> tuple[str, ...] | None:
        """The line's text, or None if nobody has the figure."""
        found = [None if figures is None else spread(self._values(figures)) for figures in (peer, ours)]
        present = next((figures for figures in (peer, ours) if figures is not None), None)
        if present is None or found == [None, None]:
            return None
        texts = ["" if values is None else self._text(values) for values in found]
        return (self._what, str(present.agents), *texts, _ratio(*found), self._wanted)

    def _text(self, values: Spread) -> str:
        middle, least, greatest = (f"{value:.{self._digits}f}" for value in values)
        return middle if least == greatest else f"{middle} ({least} to {greatest})"


def _stalls(stall_s: float) -> tuple[Row, ...]:
    may_be_seen = stall_s >= 3
    return (
        Row(
            f"stall of {stall_s:g} s: verdicts in all repetitions",
            lambda f: [
                float(sum(stall.verdicts for stall in stalls))
                for stalls in [[stall for stall in f.stalls if stall.stalled_s == stall_s]]
                if stalls
            ],
            digits=0,
            wanted="may be" if may_be_seen else "0",
        ),
        Row(
            f"stall of {stall_s:g} s: from its end until all see all, s",
            lambda f: [stall.back_s for stall in f.stalls if stall.stalled_s == stall_s],
            wanted="at most 0.5" if may_be_seen else "0",
        ),
    )


def _cost_of_detection(figures: SystemFigures) -> list[float]:
    """Octets an agent sends in the time that it takes to detect a death."""
    known = spread([death.all_know_s for death in figures.kills])
    return [] if known is None or figures.idle is None else [known.median * figures.idle.octets_a_second]


ROWS = (
    Row(
        "SIGKILL until all know, s",
        lambda f: [death.all_know_s for death in f.kills],
        wanted="at most 1.0, worst 1.5",
    ),
    Row("SIGKILL until every application is told, s", lambda f: [death.all_told_s for death in f.kills]),
    Row(
        "SIGSTOP until all know, s",
        lambda f: [death.all_know_s for death in f.stops],
        wanted="at most 1.0, worst 1.5",
    ),
    Row("SIGCONT until all see all, s", lambda f: [death.back_s for death in f.stops]),
    Row(
        "restart: process start until all see all, s",
        lambda f: [death.back_s for death in f.kills],
        wanted="at most 0.5",
    ),
    Row(
        "restart: first report until all see all, s",
        lambda f: [death.back_from_running_s for death in f.kills],
        wanted="at most 0.5",
    ),
    Row(
        "boot in turn: last start until all see all, s",
        lambda f: [boot.all_seen_s for boot in f.boots_in_turn],
        wanted="at most 1, always",
    ),
    Row(
        "boot in turn: last one runs until all see all, s",
        lambda f: [boot.all_seen_s - boot.running_s for boot in f.boots_in_turn],
    ),
    Row("boot at once: start until all see all, s", lambda f: [boot.all_seen_s for boot in f.boots_at_once]),
    Row(
        "boot at once: last one runs until all see all, s",
        lambda f: [boot.all_seen_s - boot.running_s for boot in f.boots_at_once],
    ),
    Row(
        "split in halves until all know, s",
        lambda f: [split.detected_s for split in f.splits],
        wanted="at most 3",
    ),
    Row(
        "halves together until all see all, s",
        lambda f: [split.healed_s for split in f.splits],
        wanted="at most 2",
    ),
    *_stalls(1.0),
    *_stalls(3.0),
    *_stalls(6.0),
    Row(
        "loss: false suspicions",
        lambda f: [f.loss.suspicions] if f.loss else [],
        digits=0,
        wanted="at most 10",
    ),
    Row("loss: false failures", lambda f: [f.loss.verdicts] if f.loss else [], digits=0, wanted="0"),
    Row("loss: octets a second an agent", lambda f: [f.loss.octets_a_second] if f.loss else [], digits=0),
    Row("idle: CPU ms a second an agent", lambda f: [f.idle.cpu_ms_a_second] if f.idle else []),
    Row("idle: PSS an agent, MiB", lambda f: [f.idle.pss_bytes / 2**20] if f.idle else [], digits=1),
    Row(
        "idle: octets a second an agent (IP)", lambda f: [f.idle.octets_a_second] if f.idle else [], digits=0
    ),
    Row("idle: packets a second an agent", lambda f: [f.idle.packets_a_second] if f.idle else [], digits=1),
    Row("time to detect × octets a second", _cost_of_detection, digits=0, wanted="no more than Serf's"),
)


def mesh_table(figures: Sequence[SystemFigures]) -> Table:
    """Median (least to greatest) of each measurement; the ratio is of the medians."""
    table = Table(title="Real processes, a network namespace each: Serf and gossipsa in one run")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("what", "wanted") else "right")
    sizes = sorted({found.agents for found in figures})
    for row in ROWS:
        for agents in sizes:
            of_size = {found.system: found for found in figures if found.agents == agents}
            cells = row.cells(of_size.get(_PEER), of_size.get(_OURS))
            if cells is not None:
                table.add_row(*cells)
        if len(sizes) > 1:
            table.add_section()
    return table


def _ratio(peer: Spread | None, ours: Spread | None) -> str:
    if peer is None or ours is None or peer.median == 0:
        return ""
    return f"{ours.median / peer.median:.2f}"
