"""The standard campaign: seeds are drawn, run on several processes, judged, and made short if they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossipsa.replication.store import RecordStore
from sim.__main__ import main
from sim.campaign import run_seed, run_seeds
from sim.schedule import parse_schedule
from sim.standard import draw_schedule, run_schedule

SEEDS = range(16)
FOUND = Path(__file__).parent / "found"
"""Schedules that once broke a promise, one a file, each named after what it found: `SEED: SCHEDULE`."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_seed_breaks_a_promise(seed: int) -> None:
    result = run_seed(seed)
    assert result.checker is None, f"{result.violation}\n{result.reproduction}"


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in sorted(FOUND.glob("*.schedule"))]
)
def test_schedule_that_found_something_stays_clean(path: Path) -> None:
    seed, text = path.read_text().split(":", 1)
    outcome = run_schedule(parse_schedule(text.strip()), int(seed))
    assert outcome.violation is None, f"{outcome.violation}\n{outcome.reproduction}"


def test_processes_change_nothing_of_what_a_seed_finds() -> None:
    alone = [run_seed(seed) for seed in range(2)]
    together = sorted(run_seeds(range(2), jobs=2), key=lambda result: result.seed)
    assert alone == together


def test_reproduction_of_a_seed_is_the_same_run() -> None:
    schedule = draw_schedule(3)
    first = run_schedule(schedule, 3)
    again = run_schedule(parse_schedule(str(schedule)), 3)
    assert first.cluster.trace.digest() == again.cluster.trace.digest()


def test_failing_seed_is_made_short_drawn_and_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object) -> tuple[()]:
        raise AssertionError("planted")

    monkeypatch.setattr(RecordStore, "clients_of", fails)
    assert main(["campaign", "--seeds", "5..5", "--keep", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    (kept,) = tmp_path.iterdir()
    assert kept.stem == "nothing_raises_5"
    seed, text = kept.read_text().split(":", 1)
    assert len(parse_schedule(text.strip()).faults) <= 1 < len(draw_schedule(5).faults)
    assert f"python -m sim replay '{text.strip()}' --seed {seed}" in printed
    assert "msgs" in printed
    assert "failing seeds: 5:NothingRaises" in printed


def test_command_draws_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "is owner, epoch 1." in printed
    assert "nothing violated" in printed


def test_command_replays_a_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "g3 c2; 500 crash g1 +4000", "--seed", "4"]) == 0
    printed = capsys.readouterr().out
    assert "moved from g1" in printed
    assert "again: python -m sim replay 'g3 c2; 500 crash g1 +4000' --seed 4" in printed
