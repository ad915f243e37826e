"""Takes the core's effects on clients, and has them carried out: in order for each client, in batches across.

Each part of each kind of effect has a worker of its own, so that deleting the SAs of a client that another
gateway owns now never waits for an import. An effect waits for those of the same client before it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from gossipsa.daemon.client_installer import ClientInstaller
from gossipsa.daemon.client_keeper import ClientKeeper
from gossipsa.daemon.number_keeper import NumberKeeper
from gossipsa.effects import (
    ActivateClient,
    AdoptClients,
    CloseWindow,
    Effect,
    FenceCreator,
    InstallClient,
    MoveNumbers,
    RekeyChild,
    RemoveClient,
    Report,
    RestoreClient,
    RouteClient,
)
from gossipsa.identifiers import ClientId
from gossipsa.inputs import ClientFailed, Input
from gossipsa.ipsec.security_association import ClientState

ClientEffect = (
    InstallClient
    | ActivateClient
    | RemoveClient
    | RestoreClient
    | FenceCreator
    | MoveNumbers
    | CloseWindow
    | RouteClient
    | RekeyChild
)
CLIENT_EFFECTS = (
    InstallClient,
    ActivateClient,
    RemoveClient,
    RestoreClient,
    FenceCreator,
    MoveNumbers,
    CloseWindow,
    RouteClient,
    RekeyChild,
)

WAITING_MAX = 131_072
"""Effects that wait. One more fails at once."""

# A batch has a cost of its own, the import's most of all. A restored client is silent as long as its batch.
BATCH_MAX: Mapping[type[Effect], int] = {
    InstallClient: 64,
    ActivateClient: 64,
    RestoreClient: 10,
    RemoveClient: 256,
    FenceCreator: 1024,
    MoveNumbers: 256,
    CloseWindow: 256,
    RouteClient: 1024,
    RekeyChild: 8,
}

Procedure = Callable[[Sequence[Any]], Awaitable[tuple[Input, ...]]]


Part = tuple[type[Effect], int]
"""One of the parts that an effect of a kind has, counted from 0."""


class ClientOrder:
    """Which effects may begin: the oldest of each client, in the order in which they came. Pure."""

    def __init__(self) -> None:
        self._of_client: dict[ClientId, deque[ClientEffect]] = {}
        self._ready: defaultdict[Part, deque[ClientEffect]] = defaultdict(deque)
        self._count = 0

    def __len__(self) -> int:
        """Effects that are not finished."""
        return self._count

    def add(self, effect: ClientEffect) -> None:
        waiting = self._of_client.setdefault(effect.client, deque())
        waiting.append(effect)
        self._count += 1
        if len(waiting) == 1:
            self._ready[type(effect), 0].append(effect)

    def has_ready(self, part: Part) -> bool:
        return bool(self._ready[part])

    def begin(self, part: Part, batch_max: int) -> tuple[ClientEffect, ...]:
        """Effects for one part, all of different clients."""
        ready = self._ready[part]
        return tuple(ready.popleft() for _ in range(min(batch_max, len(ready))))

    def go_on(self, batch: Sequence[ClientEffect], part: Part) -> None:
        """These are ready for a further part of theirs."""
        self._ready[part].extend(batch)

    def finish(self, batch: Sequence[ClientEffect]) -> None:
        """These are done: what waited for them may begin."""
        for effect in batch:
            waiting = self._of_client[effect.client]
            waiting.popleft()
            self._count -= 1
            if waiting:
                self._ready[type(waiting[0]), 0].append(waiting[0])
            else:
                del self._of_client[effect.client]


class Installer:
    """The queue before kernel and IKE daemon, and the workers behind it.

    Args:
        answer: takes what came of effects; may wait.
        ike_daemon_seen: set once the IKE daemon was heard of. Adoption waits for it, for `adoption_wait_s` at
            most: a daemon that cannot be asked yet must not count as one that holds nobody.
    """

    def __init__(
        self,
        *,
        clients: ClientInstaller,
        keeper: ClientKeeper,
        numbers: NumberKeeper,
        answer: Callable[[Input], Awaitable[None]],
        ike_daemon_seen: trio.Event,
        report: Callable[[Report], None],
        adoption_wait_s: float = 20.0,
    ) -> None:
        self._parts: Mapping[type[Effect], tuple[Procedure, ...]] = {
            InstallClient: (clients.install,),
            ActivateClient: (clients.let_through, clients.activate),
            RemoveClient: (clients.cut_off, clients.remove),
            RestoreClient: (keeper.restore,),
            RouteClient: (clients.route,),
            FenceCreator: (numbers.fence,),
            MoveNumbers: (numbers.move,),
            CloseWindow: (numbers.close_windows,),
            RekeyChild: (numbers.rekey,),
        }
        self._keeper = keeper
        self._answer = answer
        self._ike_daemon_seen = ike_daemon_seen
        self._report = report
        self._adoption_wait_s = adoption_wait_s
        self._order = ClientOrder()
        self._changed = trio.Event()
        self._to_adopt: dict[ClientId, ClientState] | None = None

    def waiting(self) -> int:
        """Effects that are not finished."""
        return len(self._order)

    def submit(self, effect: ClientEffect | AdoptClients) -> Input | None:
        """Queues an effect. Never blocks. Returns the failure if there is no room."""
        if isinstance(effect, AdoptClients):
            # One comes at the start, and one more for each copy of records that came late.
            self._to_adopt = (self._to_adopt or {}) | dict(effect.clients)
            self._notify()
            return None
        if len(self._order) >= WAITING_MAX:
            self._report(Report(event="effect-refused", client=effect.client, detail=type(effect).__name__))
            if isinstance(effect, InstallClient | ActivateClient | RemoveClient | RestoreClient):
                return ClientFailed(client=effect.client, epoch=effect.epoch, reason="too many effects wait")
            return None
        self._order.add(effect)
        self._notify()
        return None

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            for kind, procedures in self._parts.items():
                for index in range(len(procedures)):
                    nursery.start_soon(self._work, kind, index)
            nursery.start_soon(self._adopt)

    async def idle(self) -> None:
        """Wait until nothing waits or is under way."""
        while len(self._order):
            await self._changed.wait()

    async def _work(self, kind: type[Effect], index: int) -> None:
        procedures = self._parts[kind]
        while True:
            while not self._order.has_ready((kind, index)):
                await self._changed.wait()
            batch = self._order.begin((kind, index), BATCH_MAX[kind])
            # What has begun is finished or undone, also when we are told to stop: each step is bounded.
            with trio.CancelScope(shield=True):
                answers = await procedures[index](batch)
            if index + 1 < len(procedures):
                self._order.go_on(batch, (kind, index + 1))
            else:
                self._order.finish(batch)
            self._notify()
            for answer in answers:
                await self._answer(answer)

    async def _adopt(self) -> None:
        while True:
            while self._to_adopt is None:
                await self._changed.wait()
            with trio.move_on_after(self._adoption_wait_s):
                await self._ike_daemon_seen.wait()
            clients, self._to_adopt = tuple(self._to_adopt.items()), None
            for answer in await self._keeper.adopt(AdoptClients(clients=clients)):
                await self._answer(answer)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
