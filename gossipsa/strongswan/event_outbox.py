"""Events on their way to their reader: the latest of each client.

A slow reader costs no memory, and sees no stale state.
"""

from __future__ import annotations

from itertools import count

import trio

from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import ClientChanged, ClientDeleted, IkeDaemonEvent


class EventOutbox:
    """A queue with at most one event a client. Events about charon itself keep their place and are few."""

    def __init__(self) -> None:
        self._send, self.receive = trio.open_memory_channel[IkeDaemonEvent](0)
        self._pending: dict[ClientId | int, IkeDaemonEvent] = {}
        self._numbers = count()
        self._wake = trio.Event()

    def put(self, event: IkeDaemonEvent) -> None:
        """Queue an event behind all others; an older one of the same client is dropped."""
        key = event.client if isinstance(event, ClientChanged | ClientDeleted) else next(self._numbers)
        self._pending.pop(key, None)
        self._pending[key] = event
        self._wake.set()

    async def pump(self) -> None:
        """Hand events over until cancelled."""
        while True:
            while self._pending:
                key = next(iter(self._pending))
                # Taken out first: what is put meanwhile is newer.
                await self._send.send(self._pending.pop(key))
            self._wake = trio.Event()
            await self._wake.wait()
