"""Suspects are looked at when it is time, and the queue stays as small as their number."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossipsa.identifiers import GatewayName
from gossipsa.swim.verdict_queue import OUTDATED_MAX, VerdictQueue

NAMES = st.sampled_from([GatewayName(f"gw{index}") for index in range(6)])


class VerdictQueueMachine(RuleBasedStateMachine):
    """Beside a plain table of times."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = VerdictQueue()
        self.looks: dict[GatewayName, int] = {}
        self.now_ns = 0

    @rule(name=NAMES, wait_ns=st.integers(0, 50))
    def look(self, name: GatewayName, wait_ns: int) -> None:
        self.queue.look(name, at_ns=self.now_ns + wait_ns)
        self.looks[name] = self.now_ns + wait_ns

    @rule(name=NAMES)
    def discard(self, name: GatewayName) -> None:
        self.queue.discard(name)
        self.looks.pop(name, None)

    @rule(passed_ns=st.integers(0, 30))
    def due(self, passed_ns: int) -> None:
        self.now_ns += passed_ns
        names = self.queue.due(now_ns=self.now_ns)
        times_ns = [self.looks.pop(name) for name in names]
        assert times_ns == sorted(times_ns)
        assert all(time_ns <= self.now_ns for time_ns in times_ns)
        assert all(time_ns > self.now_ns for time_ns in self.looks.values())

    @invariant()
    def next_one_is_known(self) -> None:
        assert self.queue.next_deadline_ns() == min(self.looks.values(), default=None)
        assert len(self.queue) == len(self.looks)


TestVerdictQueue = VerdictQueueMachine.TestCase


def test_outdated_times_take_no_room() -> None:
    queue = VerdictQueue()
    for at_ns in range(10_000):
        queue.look(GatewayName("gw0"), at_ns=at_ns)
        assert len(queue._heap) <= 2 * len(queue) + OUTDATED_MAX
    assert queue.due(now_ns=10_000) == ["gw0"]
