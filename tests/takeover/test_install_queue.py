"""Who was active last is installed first, whoever comes and goes meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossipsa.identifiers import ClientId
from gossipsa.takeover.install_queue import InstallQueue

CLIENTS = [ClientId(bytes([number]) * 16) for number in range(8)]
_clients = st.sampled_from(CLIENTS)


@given(st.lists(st.integers(0, 9), max_size=8))
def test_most_recently_active_comes_first_and_equals_as_they_came(activities: list[int]) -> None:
    queue = InstallQueue()
    for client, activity in zip(CLIENTS, activities, strict=False):
        queue.add(client, activity=activity)
    taken = []
    while (first := queue.first()) is not None:
        queue.discard(first)
        taken.append(first)
    assert taken == sorted(CLIENTS[: len(activities)], key=lambda one: -activities[CLIENTS.index(one)])


class InstallQueueMachine(RuleBasedStateMachine):
    """Against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = InstallQueue()
        self.waiting: dict[ClientId, int] = {}

    @rule(client=_clients, activity=st.integers(0, 5))
    def add(self, client: ClientId, activity: int) -> None:
        self.queue.add(client, activity=activity)
        self.waiting.pop(client, None)
        self.waiting[client] = activity

    @rule(client=_clients)
    def discard(self, client: ClientId) -> None:
        self.queue.discard(client)
        self.waiting.pop(client, None)

    @invariant()
    def first_is_the_most_active(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.first() == max(self.waiting, key=lambda one: self.waiting[one], default=None)


TestInstallQueue = InstallQueueMachine.TestCase
