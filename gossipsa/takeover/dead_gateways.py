"""Gateways that are suspected or taken for dead, and whose clients may have to be taken over.

The verdict of the mesh is one on gossipsa. The IKE daemon beside it may live and serve its clients, so it is
asked for a sign of life before any of them is touched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gossipsa.identifiers import ClientId, GatewayName, Holder
from gossipsa.outbox import Outbox
from gossipsa.replication.messages import CLIENTS_A_MESSAGE_MAX
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.store import RecordStore
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.liveness import IkeLiveness, IkeVerdict
from gossipsa.takeover.peers import Peers
from gossipsa.takeover.turns import Turns

_FIRST_PART = 64
"""With so many clients is begun first: the sooner they are claimed, the sooner the first is installed."""


class _DeadGateway:
    __slots__ = ("backlog", "begun", "clients", "failed", "liveness", "part", "vetoed")

    def __init__(self, liveness: IkeLiveness) -> None:
        self.liveness = liveness
        self.failed = False
        self.begun = False
        self.vetoed = False
        self.clients = 0
        self.backlog: deque[ClientId] = deque()
        """Clients that are yet to be begun with."""
        self.part = _FIRST_PART
        """With how many of them next."""


class DeadGateways:
    """Asks their IKE daemons, and says with which clients to begin, in which order."""

    def __init__(
        self,
        *,
        settings: TakeoverSettings,
        peers: Peers,
        store: RecordStore,
        turns: Turns,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._store = store
        self._turns = turns
        self._outbox = outbox
        self._gateways: dict[GatewayName, _DeadGateway] = {}

    @property
    def has_backlog(self) -> bool:
        """True while there are clients to begin with."""
        return any(dead.backlog for dead in self._gateways.values())

    def suspected(self, name: GatewayName) -> bool:
        """Asks its IKE daemon ahead of the verdict. Returns False if that is under way, or has no purpose."""
        if name in self._gateways or not self._store.has_any_of(name):
            return False
        self._watch(name)
        return True

    def failed(self, name: GatewayName) -> None:
        """The verdict of the mesh."""
        if name not in self._gateways:
            self._watch(name)
        self._gateways[name].failed = True

    def alive(self, name: GatewayName) -> None:
        """It was neither dead nor to be suspected, or is back."""
        self._gateways.pop(name, None)

    def ike_answered(self, name: GatewayName, *, now_ns: int) -> bool:
        """Its IKE daemon gave a sign of life. Returns False if nobody waits for one."""
        dead = self._gateways.get(name)
        if dead is not None:
            dead.liveness.hear_answer(now_ns=now_ns)
        return dead is not None

    def tick(self, *, now_ns: int) -> Iterator[tuple[ClientRecord, int]]:
        """Asks and judges. Yields clients to begin with, and how many their gateway had."""
        for name, dead in tuple(self._gateways.items()):
            if not dead.begun:
                for probe in dead.liveness.tick(now_ns=now_ns):
                    self._outbox.do(probe)
                if dead.failed:
                    self._judge(name, dead, now_ns)
            if dead.backlog:
                yield from self._work_off(name, dead)

    def next_deadline_ns(self, *, now_ns: int) -> int | None:
        if not self._gateways:
            return None
        deadlines = [
            dead.liveness.next_deadline_ns(round_trip_ns=self._peers.round_trip_ns(name), now_ns=now_ns)
            for name, dead in self._gateways.items()
            if not dead.begun
        ]
        if self.has_backlog:
            deadlines.append(now_ns)
        return min(deadlines, default=None)

    def _watch(self, name: GatewayName) -> None:
        liveness = IkeLiveness(name, self._peers.ike_addresses(name), settings=self._settings)
        self._gateways[name] = _DeadGateway(liveness)

    def _judge(self, name: GatewayName, dead: _DeadGateway, now_ns: int) -> None:
        if not self._store.has_any_of(name):
            # Nothing to take over: not remembered, for there may be many that were never anything but a name.
            del self._gateways[name]
            return
        verdict = dead.liveness.verdict(round_trip_ns=self._peers.round_trip_ns(name), now_ns=now_ns)
        if verdict is IkeVerdict.ANSWERS and not dead.vetoed:
            dead.vetoed = True
            self._outbox.report("takeover-vetoed", gateway=name, detail="its IKE daemon answers")
        elif verdict is IkeVerdict.SILENT:
            dead.begun = True
            clients = sorted(self._store.clients_of(name), key=self._store.activity, reverse=True)
            dead.clients = len(clients)
            self._outbox.report("takeover-begun", gateway=name, count=dead.clients)
            # Those whose turn is ours go before those for whom we only wait, the most active ones first.
            is_ours: dict[tuple[Holder, ...], bool] = {}
            later: list[ClientId] = []
            for client in clients:
                kept = self._store.peek(client)
                assert kept is not None
                if kept.replicas not in is_ours:
                    is_ours[kept.replicas] = self._turns.is_ours(kept.replicas)
                (dead.backlog if is_ours[kept.replicas] else later).append(client)
            dead.backlog.extend(later)

    def _work_off(self, name: GatewayName, dead: _DeadGateway) -> Iterator[tuple[ClientRecord, int]]:
        """Some clients at a time: others have their turn in between, and the first are soon installed."""
        part, dead.part = dead.part, CLIENTS_A_MESSAGE_MAX
        for _ in range(min(part, len(dead.backlog))):
            record = self._store.get(dead.backlog.popleft())
            if record is not None and record.owner == name:
                yield record, dead.clients
