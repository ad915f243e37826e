"""After a start: what an earlier boot of ours owned is found again, and adopted or released.

A gateway daemon that died alone left its clients with the IKE daemon and the kernel. Their records come back
from the replicas (`Recall`); the IKE daemon says which of the clients it still has.
"""

from __future__ import annotations

import msgspec

from gossipsa.effects import AdoptClients, RemoveClient, RouteClient
from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder
from gossipsa.inputs import ClientsAdopted
from gossipsa.outbox import Outbox
from gossipsa.replication.messages import (
    CLIENTS_A_MESSAGE_MAX,
    DropRecords,
    RecordVersion,
    ReleaseRecords,
    ReturnRecords,
)
from gossipsa.replication.recall import Recall
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.own_clients import OwnClients
from gossipsa.takeover.reconnections import Reconnections
from gossipsa.wire.keyring import Keyring


class Adoption:
    """Recalls records, has the driver look for their clients, and owns those that are there."""

    def __init__(
        self,
        *,
        me: Holder,
        keyring: Keyring,
        replicator: Replicator,
        announcer: Announcer,
        own_clients: OwnClients,
        reconnections: Reconnections,
        outbox: Outbox,
    ) -> None:
        self._me = me
        self._keyring = keyring
        self._replicator = replicator
        self._announcer = announcer
        self._own_clients = own_clients
        self._reconnections = reconnections
        self._outbox = outbox
        self._recall: Recall | None = None
        self._recalled: dict[ClientId, ClientRecord] = {}

    @property
    def has_started(self) -> bool:
        return self._recall is not None

    def start(self, *, is_alone: bool, now_ns: int) -> None:
        """The time for answers begins; with nobody to ask it ends at once."""
        self._recall = Recall(me=self._me.gateway, now_ns=now_ns)
        if is_alone:
            self._recall.joined()

    def gateway_joined(self, name: GatewayName, *, live: int) -> None:
        """It is asked, once there has been a start, if it is one of few live ones."""
        if self._recall is not None:
            self._recall.ask(name, live=live)

    def gateway_lost(self, name: GatewayName) -> None:
        """A gateway failed or left: nobody waits for its answer."""
        if self._recall is not None:
            self._recall.forget(name)

    def next_deadline_ns(self, *, now_ns: int) -> int | None:
        return None if self._recall is None else self._recall.next_deadline_ns(now_ns=now_ns)

    def finish(self, *, has_joined: bool, now_ns: int) -> None:
        """Ends a run of the core: asks whom it is time to ask, and looks whether all have answered."""
        if self._recall is None:
            return
        if has_joined:
            self._recall.joined()
        for name, question in self._recall.take_questions(now_ns=now_ns):
            self._outbox.send(name, question)
        if self._recall.is_due(now_ns=now_ns):
            self._adopt(self._recall)

    def hear_return(self, sender: Holder, message: ReturnRecords, *, now_ns: int) -> None:
        """Records of ours, from one that keeps them or took them over."""
        recall = self._recall
        assert recall is not None
        refused = recall.hear(sender.gateway, message, now_ns=now_ns)
        if refused:
            self._outbox.report("record-refused", gateway=sender.gateway, count=refused)
        if not recall.running and message.last:
            self._adopt(recall)

    def adopted(self, event: ClientsAdopted, *, now_ns: int) -> None:
        """The driver has looked: clients that are there are ours again, above the epoch that they had."""
        for client in event.clients:
            record = self._recalled.pop(client, None)
            if record is not None:
                self._own(record)
        released: dict[GatewayName, list[RecordVersion]] = {}
        for client in event.absent:
            record = self._recalled.pop(client, None)
            if record is None:
                continue
            for name in self._release(record):
                released.setdefault(name, []).append(_version(record))
        for name, versions in released.items():
            for start in range(0, len(versions), CLIENTS_A_MESSAGE_MAX):
                part = tuple(versions[start : start + CLIENTS_A_MESSAGE_MAX])
                if name in self._keyring:
                    self._outbox.send(name, ReleaseRecords(versions=part))
        self._own_clients.counters_read(event.counters, now_ns=now_ns)

    def _adopt(self, recall: Recall) -> None:
        """Asks the driver for the clients of the records that came."""
        first = recall.running
        fresh = []
        for record in recall.finish():
            if record.client in self._recalled:
                continue
            if record.client in self._replicator:
                for keeper in recall.take_keepers(record.client):
                    self._announcer.tell(keeper, record.client)
                continue
            if self._reconnections.owned_successors(record):
                # The IKE daemon told of the client before its record came, and so it became a new one.
                self._drop_everywhere(record)
            else:
                fresh.append(record)
        if not fresh and not first:
            return
        self._recalled.update((record.client, record) for record in fresh)
        self._outbox.do(AdoptClients(clients=tuple((record.client, record.state) for record in fresh)))

    def _own(self, record: ClientRecord) -> None:
        epoch = Epoch.above(record.epoch.counter, self._me.boot)
        adopted = msgspec.structs.replace(record, epoch=epoch, sequence=1)
        self._replicator.own(adopted, former=self._holders(record))
        self._outbox.report("client-adopted", client=record.client)
        self._announcer.tell_former(record.client)
        self._outbox.do(RouteClient(client=record.client, state=record.state, present=True))

    def _release(self, record: ClientRecord) -> tuple[GatewayName, ...]:
        """Ends what the kernel may have of a client that is gone; returns who has to be told."""
        self._outbox.report("client-released", client=record.client)
        self._outbox.do(RemoveClient(client=record.client, epoch=record.epoch, state=record.state))
        # Who returned a record may be no replica any more, and would wait for us for ever.
        return tuple(dict.fromkeys(self._holders(record)))

    def _holders(self, record: ClientRecord) -> tuple[GatewayName, ...]:
        """Who returned the record, and who keeps it by its own word."""
        keepers = self._recall.take_keepers(record.client) if self._recall is not None else ()
        return (*keepers, *(holder.gateway for holder in record.replicas))

    def _drop_everywhere(self, record: ClientRecord) -> None:
        for holder in record.replicas:
            if holder.gateway in self._keyring:
                self._outbox.send(holder.gateway, DropRecords(versions=(_version(record),)))


def _version(record: ClientRecord) -> RecordVersion:
    return RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)
