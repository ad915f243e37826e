"""Things in the kernel that two clients may need at once, such as a block towards one address."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from gossipsa.identifiers import ClientId

Thing = TypeVar("Thing", bound=Hashable)


class SharedUse(Generic[Thing]):
    """Remembers who needs what: a thing may go when the last of them lets go."""

    def __init__(self) -> None:
        self._users: dict[Thing, dict[ClientId, None]] = {}
        self._used: dict[ClientId, dict[Thing, None]] = {}

    def take(self, client: ClientId, things: Iterable[Thing]) -> None:
        """The client needs these, along with what it needs already."""
        for thing in things:
            self._users.setdefault(thing, {})[client] = None
            self._used.setdefault(client, {})[thing] = None

    def release(self, client: ClientId) -> tuple[Thing, ...]:
        """The client needs nothing any more. Returns what nobody needs now."""
        unused = []
        for thing in self._used.pop(client, {}):
            users = self._users[thing]
            del users[client]
            if not users:
                del self._users[thing]
                unused.append(thing)
        return tuple(unused)

    def __len__(self) -> int:
        return len(self._users)
