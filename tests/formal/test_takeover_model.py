"""The model of takeover holds in every state, and would not without any one of its rules."""

from __future__ import annotations

import os

import pytest

from formal.spin import RULES, missing_programs, search

_TIMEOUT_S = 240.0


@pytest.fixture(autouse=True)
def _spin() -> None:
    missing = missing_programs()
    if missing and os.environ.get("GOSSIPSA_LAB") == "required":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_no_number_is_used_twice_in_any_state() -> None:
    found = search(timeout_s=_TIMEOUT_S)
    assert found.violation is None
    # A guard left closed by mistake would make the model small, and true.
    assert found.states > 2_000_000


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str) -> None:
    assert search(without=rule, timeout_s=_TIMEOUT_S).violation is not None
