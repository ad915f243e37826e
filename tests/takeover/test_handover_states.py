"""The table of a planned move: every pair of state and event, and the paths that must not exist."""

from __future__ import annotations

import pytest

from gossipsa.takeover.handover_states import (
    AT_TARGET,
    HANDOVER_TRANSITIONS,
    HandoverEvent,
    HandoverState,
)

ENDS = {HandoverState.MOVED, HandoverState.KEPT}


@pytest.mark.parametrize("state", HandoverState)
@pytest.mark.parametrize("event", HandoverEvent)
def test_every_pair_leads_to_a_state_or_changes_nothing(state: HandoverState, event: HandoverEvent) -> None:
    after = HANDOVER_TRANSITIONS[state].get(event)
    assert after is None or after in HANDOVER_TRANSITIONS


@pytest.mark.parametrize("state", [state for state in HandoverState if state not in ENDS])
def test_every_state_is_left_again(state: HandoverState) -> None:
    reached, waiting = set(), [state]
    while waiting:
        for after in HANDOVER_TRANSITIONS[waiting.pop()].values():
            if after not in reached:
                reached.add(after)
                waiting.append(after)
    assert reached & ENDS


def _ways_into(wanted: HandoverState) -> set[tuple[HandoverState, HandoverEvent]]:
    return {
        (state, event)
        for state, row in HANDOVER_TRANSITIONS.items()
        for event, after in row.items()
        if after is wanted
    }


def test_a_client_is_given_up_only_to_a_target_that_was_asked() -> None:
    assert _ways_into(HandoverState.LEAVING) == {(state, HandoverEvent.TAKEN) for state in AT_TARGET}
    assert {state for state, _ in _ways_into(HandoverState.MOVED)} == {HandoverState.LEAVING}


def test_a_client_that_was_taken_is_never_kept() -> None:
    assert set(HANDOVER_TRANSITIONS[HandoverState.LEAVING].values()) == {HandoverState.MOVED}


def test_a_client_that_the_target_may_have_told_is_told_to_stay() -> None:
    """Nobody knows whether it obeyed: it is never just kept."""
    for state in AT_TARGET:
        for event, after in HANDOVER_TRANSITIONS[state].items():
            if after is HandoverState.KEPT:
                assert (state, event) == (HandoverState.OFFERED, HandoverEvent.REFUSED)


def test_what_has_begun_cannot_be_cancelled() -> None:
    assert [state for state, row in HANDOVER_TRANSITIONS.items() if HandoverEvent.CANCELLED in row] == [
        HandoverState.WAITING
    ]
