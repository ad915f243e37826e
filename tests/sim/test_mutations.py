"""Every checker can fail, and every planted bug is found."""

from __future__ import annotations

import pytest

from sim.__main__ import main
from sim.checkers import CHECKERS
from sim.mutations.catalogue import MUTATIONS
from sim.mutations.mutation import Mutation, search

SEEDS_MAX = 6
"""From the seed that is known to show the bug; `python -m sim mutations` counts from the first."""


@pytest.mark.parametrize("mutation", [pytest.param(each, id=each.name) for each in MUTATIONS])
def test_planted_bug_is_found(mutation: Mutation) -> None:
    finding = search(mutation, first_seed=mutation.first_seed, seeds_max=SEEDS_MAX)
    assert finding.checker == mutation.checker, finding.violation


def test_every_checker_finds_a_bug() -> None:
    found = {mutation.checker for mutation in MUTATIONS}
    assert {checker.__name__ for checker in CHECKERS} | {"NothingRaises"} == found


def test_command_prints_a_table_of_bugs_and_what_found_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutations", "--only", "core_raises"]) == 0
    printed = capsys.readouterr().out
    assert "core_raises" in printed
    assert "NothingRaises" in printed
    assert "1 of 1 planted bugs found" in printed


def test_command_fails_for_a_bug_that_nobody_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutations", "--only", "no_fence", "--seeds", "0"]) == 1
    assert "0 of 1 planted bugs found" in capsys.readouterr().out
