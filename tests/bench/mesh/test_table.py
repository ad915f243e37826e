"""What the table shows."""

from __future__ import annotations

from rich.console import Console

from tests.bench.mesh.figures import Death, Idle, Stall, SystemFigures
from tests.bench.mesh.table import ROWS, mesh_table


def _figures(system: str, *, know_s: list[float], octets_a_second: float) -> SystemFigures:
    return SystemFigures(
        system=system,
        agents=16,
        kills=[
            Death(all_know_s=know, all_told_s=know, back_s=0.2, back_from_running_s=0.1) for know in know_s
        ],
        stalls=[
            Stall(stalled_s=3.0, suspicions=1, verdicts=1, back_s=0.25),
            Stall(stalled_s=3.0, suspicions=2, verdicts=2, back_s=0.75),
            Stall(stalled_s=1.0, suspicions=1, verdicts=0, back_s=0.0),
        ],
        idle=Idle(
            lasted_s=60.0,
            cpu_ms_a_second=2.0,
            pss_bytes=7 * 2**20,
            octets_a_second=octets_a_second,
            packets_a_second=2.0,
        ),
    )


def _rows() -> dict[str, tuple[str, ...]]:
    peer = _figures("serf", know_s=[6.0, 7.0, 9.0], octets_a_second=300)
    ours = _figures("gossipsa", know_s=[0.5, 0.7, 0.6], octets_a_second=500)
    cells = [row.cells(peer, ours) for row in ROWS]
    return {line[0]: line for line in cells if line is not None}


def test_row_shows_medians_extremes_and_their_ratio() -> None:
    assert _rows()["SIGKILL until all know, s"] == (
        "SIGKILL until all know, s",
        "16",
        "7.00 (6.00 to 9.00)",
        "0.60 (0.50 to 0.70)",
        "0.09",
        "at most 1.0, worst 1.5",
    )


def test_detection_and_its_octets_are_weighed_together() -> None:
    assert _rows()["time to detect × octets a second"][2:5] == ("2100", "300", "0.14")


def test_verdicts_of_a_stall_are_summed_and_returns_are_not() -> None:
    rows = _rows()
    assert rows["stall of 3 s: verdicts in all repetitions"][3] == "3"
    assert rows["stall of 1 s: verdicts in all repetitions"][3] == "0"
    assert rows["stall of 3 s: from its end until all see all, s"][3] == "0.50 (0.25 to 0.75)"


def test_what_nobody_measured_is_not_shown() -> None:
    table = mesh_table([_figures("serf", know_s=[6.0], octets_a_second=300)])
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table)
    assert "SIGKILL until all know" in capture.get()
    assert "split" not in capture.get()
