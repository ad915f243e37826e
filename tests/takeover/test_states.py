"""The table of a takeover: every pair of state and event, and the paths that must not exist."""

from __future__ import annotations

import pytest

from gossipsa.takeover.states import COMMITTED, PAST_CLAIM, TRANSITIONS, Event, State

ENDS = {State.OURS, State.OVER}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_pair_leads_to_a_state_or_changes_nothing(state: State, event: Event) -> None:
    after = TRANSITIONS[state].get(event)
    assert after is None or after in TRANSITIONS


@pytest.mark.parametrize("state", [state for state in State if state not in ENDS])
def test_every_state_is_left_again(state: State) -> None:
    reached, waiting = set(), [state]
    while waiting:
        for after in TRANSITIONS[waiting.pop()].values():
            if after not in reached:
                reached.add(after)
                waiting.append(after)
    assert reached & ENDS


def test_only_the_clients_answer_commits() -> None:
    into = {
        (state, event)
        for state, row in TRANSITIONS.items()
        for event, after in row.items()
        if after is State.ACTIVATING
    }
    assert into == {(State.REDIRECTING, Event.ANSWERED)}
    assert State.ACTIVATING in COMMITTED


def test_nothing_is_installed_without_a_claim_that_was_won_or_the_owners_consent() -> None:
    for state, row in TRANSITIONS.items():
        for event, after in row.items():
            if after is State.QUEUED:
                assert (state, event) in {
                    (State.CLAIMING, Event.CLAIM_WON),
                    (State.WAITING, Event.OWNER_CONSENTED),
                }
            if after is State.INSTALLING:
                assert (state, event) == (State.QUEUED, Event.SLOT_FREE)


def test_what_was_installed_is_removed_before_a_takeover_is_over() -> None:
    for state in (State.INSTALLING, State.REDIRECTING, State.ACTIVATING):
        assert State.OVER not in TRANSITIONS[state].values()


def test_an_owner_that_lives_does_not_stop_a_redirect_that_was_sent() -> None:
    """The client may have obeyed: its answer or its silence decides."""
    assert Event.OWNER_ALIVE not in TRANSITIONS[State.REDIRECTING]
    assert Event.OWNER_ALIVE not in TRANSITIONS[State.ACTIVATING]


def test_a_claim_that_was_won_is_not_outbid() -> None:
    for state in PAST_CLAIM:
        assert Event.OUTBID not in TRANSITIONS[state]
