"""Timers against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.timers import Timers

steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("pop"), st.just(0), st.integers(0, 50)),
    ),
    max_size=200,
)


@given(steps)
def test_timers_fire_once_at_their_last_deadline(history: list[tuple[str, int, int]]) -> None:
    timers: Timers[int] = Timers()
    model: dict[int, int] = {}
    for what, key, when in history:
        if what == "set":
            timers.set(key, when)
            model[key] = when
        elif what == "cancel":
            timers.cancel(key)
            model.pop(key, None)
        else:
            due = timers.pop_due(when)
            assert sorted(due) == sorted(key for key, deadline in model.items() if deadline <= when)
            assert [model[key] for key in due] == sorted(model[key] for key in due)
            for fired in due:
                del model[fired]
        assert timers.next_deadline_ns() == min(model.values(), default=None)
        assert len(timers) == len(model)
