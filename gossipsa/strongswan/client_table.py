"""Folds the HA messages of our own charon into the states of its clients. No IO, no clock.

A client begins with the IKE_UPDATE that establishes its first IKE_SA, and ends with the IKE_DELETE of its
current one. In between, IKE_SAs replace each other:

- A rekey's IKE_ADD is held back until its IKE_UPDATE: of two that collide, only the winner gets one, and
  charon may announce the loser last.
- Charon announces the delete of the replaced IKE_SA just before the update of the new one, so that a delete
  waits a moment if a replacement is being held back.
- CHILD_SAs stay with the client, and their keys with the IKE_SA under which they were made. That one is kept,
  though gone from charon, while such a CHILD_SA lives.
- IKE_SAs that are not established are not reported. Each probe of our peers for a sign of life makes one,
  and each is deleted without ever having been seen here: deletes of unknown IKE_SAs are nothing special.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, unique

import msgspec

from gossipsa.errors import CallerError, GossipsaError, PeerError
from gossipsa.identifiers import CLIENT_ID_BYTES, ClientId, Endpoint, IpAddress
from gossipsa.ike_daemon import ClientChanged, ClientDeleted
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa, IkeSpis
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage
from gossipsa.strongswan.sa_translation import (
    child_sa_added,
    ike_sa_added,
    ike_sa_rekeyed_in_place,
    ike_sa_updated,
    rekeyed_spis_of,
    spis_of,
)

ClientEvent = ClientChanged | ClientDeleted


@unique
class Neglected(Enum):
    """Why a message, or something known, was left aside. Counted, for metrics and logs."""

    UNKNOWN_IKE_SA = "about an IKE_SA that is not followed"
    UNUSABLE = "lacks something, or describes what cannot be carried"
    TOO_MANY_CLIENTS = "one client more than the table holds"
    TOO_MANY_CHILDREN = "one CHILD_SA more than a client may have"
    TOO_MANY_HALF_OPEN = "oldest IKE_SA that is not established gave way to a new one"
    TOO_MANY_GENERATIONS = "oldest IKE_SA of a client, and its CHILD_SAs, gave way to a new one"
    HALF_OPEN_EXPIRED = "IKE_SA was never established"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimits:
    """What a table holds at most. Reaching a limit drops something and counts it in `neglected`."""

    clients_max: int = 200_000
    """More than one charon serves; a client costs a few kilobytes."""
    children_max: int = 256
    """CHILD_SAs of one client, those just rekeyed included."""
    generations_max: int = 16
    """IKE_SAs of one client: the current one, and those whose CHILD_SAs live."""
    half_open_max: int = 16_384
    """IKE_SAs not established, and rekeys under way. Anyone on the net can make these."""
    half_open_lifetime_ns: int = 300 * 10**9
    """Charon gives them up after 30 s unless it is told otherwise."""
    replacement_wait_ns: int = 10**9
    """How long the delete of an IKE_SA waits for the replacement that is held back."""


def client_id_of(spis: IkeSpis) -> ClientId:
    """Return the id of the client whose first IKE_SA has these SPIs."""
    return ClientId(hashlib.blake2b(spis.initiator + spis.responder).digest()[:CLIENT_ID_BYTES])


@dataclass(slots=True, kw_only=True)
class _HalfOpen:
    """An IKE_SA whose keys exist, and which is not established."""

    sa: IkeSa
    replaces: IkeSpis | None
    since_ns: int
    children: list[ChildSa] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Client:
    id: ClientId
    sas: dict[IkeSpis, IkeSa]
    """In the order in which they were established."""
    current: IkeSpis
    gone: set[IkeSpis] = field(default_factory=set)
    """Those of `sas` that charon has no more."""
    children: dict[int, ChildSa] = field(default_factory=dict)
    """By inbound SPI."""
    replacements: list[IkeSpis] = field(default_factory=list)
    """IKE_SAs that were going to replace the current one; held back while they are half-open."""

    def state(self) -> ClientState:
        alive = {child.ike_spis for child in self.children.values()}
        # Nobody will send under a replaced IKE_SA again: its message IDs mean nothing.
        older = tuple(
            msgspec.structs.replace(sa, message_id_initiator=0, message_id_responder=0)
            for spis, sa in self.sas.items()
            if spis in alive and spis != self.current
        )
        return ClientState(ike_sas=(*older, self.sas[self.current]), children=tuple(self.children.values()))


class ClientTable:
    """The clients of one charon."""

    def __init__(self, *, limits: TableLimits | None = None) -> None:
        self._limits = limits or TableLimits()
        self._clients: dict[ClientId, _Client] = {}
        self._by_spis: dict[IkeSpis, _Client] = {}
        self._half_open: dict[IkeSpis, _HalfOpen] = {}
        self._waiting: dict[ClientId, int] = {}
        self.neglected: Counter[Neglected] = Counter()
        self._handlers: dict[MessageType, Callable[[IkeSpis, HaMessage, int], tuple[ClientEvent, ...]]] = {
            MessageType.IKE_ADD: self._ike_add,
            MessageType.IKE_UPDATE: self._ike_update,
            MessageType.IKE_MID_INITIATOR: self._message_id,
            MessageType.IKE_MID_RESPONDER: self._message_id,
            MessageType.IKE_DELETE: self._ike_delete,
            MessageType.CHILD_ADD: self._child_add,
            MessageType.CHILD_DELETE: self._child_delete,
        }

    @property
    def client_count(self) -> int:
        return len(self._clients)

    def clients(self) -> tuple[ClientId, ...]:
        """Return every client followed, the oldest first."""
        return tuple(self._clients)

    def state(self, client: ClientId) -> ClientState | None:
        """Return the state of a client, or None if it is not followed."""
        found = self._clients.get(client)
        return None if found is None else found.state()

    def remote_addresses(self, *, without: Collection[ClientId]) -> Iterator[IpAddress]:
        """Yield the addresses of all clients but some."""
        for client in self._clients.values():
            if client.id not in without:
                yield client.sas[client.current].remote.address

    def client_of(self, spis: IkeSpis) -> ClientId | None:
        """Return the client that an IKE_SA belongs to, be it the current one or one replaced."""
        found = self._by_spis.get(spis)
        return None if found is None else found.id

    def handle(self, message: HaMessage, *, now_ns: int) -> tuple[ClientEvent, ...]:
        """Take one message of our charon. Messages of no concern here change nothing. Never raises."""
        handler = self._handlers.get(message.type)
        if handler is None:
            return ()
        spis = spis_of(message)
        if spis is None:
            self.neglected[Neglected.UNUSABLE] += 1
            return ()
        return handler(spis, message, now_ns)

    def adopt(self, client: ClientId, state: ClientState) -> None:
        """Follow a client that charon was given, or that an earlier boot of ours followed.

        Whatever was known of its IKE_SAs is forgotten.

        Raises:
            CallerError: the state has no IKE_SA, or the table is full.
        """
        if not state.ike_sas:
            raise CallerError("a client without an IKE_SA cannot be followed")
        self.forget(client)
        for sa in state.ike_sas:
            other = self._by_spis.get(sa.spis)
            if other is not None:
                self._remove(other)
            self._half_open.pop(sa.spis, None)
        if len(self._clients) >= self._limits.clients_max:
            raise CallerError(f"more than {self._limits.clients_max} clients")
        adopted = _Client(
            id=client,
            sas={sa.spis: sa for sa in state.ike_sas},
            current=state.ike_sa.spis,
            gone={sa.spis for sa in state.ike_sas[:-1]},
            children={child.inbound_spi: child for child in state.children},
        )
        self._clients[client] = adopted
        for spis in adopted.sas:
            self._by_spis[spis] = adopted
        self._enforce_bounds(adopted)

    def forget(self, client: ClientId) -> None:
        """Stop following a client, without an event."""
        found = self._clients.get(client)
        if found is not None:
            self._remove(found)

    def endpoints_changed(
        self, spis: IkeSpis, *, local: Endpoint, remote: Endpoint
    ) -> tuple[ClientEvent, ...]:
        """Take note that an IKE_SA moved. HA messages never tell."""
        client = self._by_spis.get(spis)
        if client is None:
            half_open = self._half_open.get(spis)
            if half_open is not None:
                half_open.sa = msgspec.structs.replace(half_open.sa, local=local, remote=remote)
            return ()
        return self._replace(client, msgspec.structs.replace(client.sas[spis], local=local, remote=remote))

    def ike_sa_lost(self, spis: IkeSpis, *, now_ns: int) -> tuple[ClientEvent, ...]:
        """Take note that charon no longer has an IKE_SA, as if it had sent an IKE_DELETE."""
        if self._half_open.pop(spis, None) is not None:
            return ()
        client = self._by_spis.get(spis)
        if client is None or spis in client.gone:
            self.neglected[Neglected.UNKNOWN_IKE_SA] += 1
            return ()
        client.gone.add(spis)
        if spis != client.current:
            self._prune(client)
            return ()
        siblings = [other for other in client.sas if other not in client.gone]
        if siblings:
            client.current = siblings[-1]
            return (self._changed(client),)
        if any(replacement in self._half_open for replacement in client.replacements):
            self._waiting[client.id] = now_ns + self._limits.replacement_wait_ns
            return ()
        self._remove(client)
        return (ClientDeleted(client.id),)

    def next_deadline_ns(self) -> int | None:
        """Return when `expire` has something to do next, or None."""
        deadlines = list(self._waiting.values())
        for half_open in self._half_open.values():
            deadlines.append(half_open.since_ns + self._limits.half_open_lifetime_ns)
            break
        return min(deadlines, default=None)

    def expire(self, *, now_ns: int) -> tuple[ClientEvent, ...]:
        """Drop what waited too long: clients whose replacement never came, IKE_SAs never established."""
        while self._half_open:
            spis, oldest = next(iter(self._half_open.items()))
            if oldest.since_ns + self._limits.half_open_lifetime_ns > now_ns:
                break
            del self._half_open[spis]
            self.neglected[Neglected.HALF_OPEN_EXPIRED] += 1
        events = []
        for client in [client for client, due_ns in self._waiting.items() if due_ns <= now_ns]:
            self._remove(self._clients[client])
            events.append(ClientDeleted(client))
        return tuple(events)

    def _ike_add(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        if spis in self._by_spis:
            # Said again on RESYNC. The keys of an established IKE_SA do not change.
            return ()
        known = self._half_open.get(spis)
        try:
            if known is not None and message.number(Attribute.ALG_ENCR) is None:
                known.sa = ike_sa_rekeyed_in_place(known.sa, message)
                return ()
            sa = ike_sa_added(message)
        except GossipsaError:
            self._half_open.pop(spis, None)
            self.neglected[Neglected.UNUSABLE] += 1
            return ()
        self._half_open.pop(spis, None)
        if len(self._half_open) >= self._limits.half_open_max:
            del self._half_open[next(iter(self._half_open))]
            self.neglected[Neglected.TOO_MANY_HALF_OPEN] += 1
        replaces = rekeyed_spis_of(message)
        self._half_open[spis] = _HalfOpen(sa=sa, replaces=replaces, since_ns=now_ns)
        client = None if replaces is None else self._by_spis.get(replaces)
        if client is not None:
            client.replacements.append(spis)
            del client.replacements[: -self._limits.generations_max]
        return ()

    def _ike_update(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        client = self._by_spis.get(spis)
        if client is not None:
            return self._replace(client, ike_sa_updated(client.sas[spis], message))
        half_open = self._half_open.get(spis)
        if half_open is None:
            self.neglected[Neglected.UNKNOWN_IKE_SA] += 1
            return ()
        half_open.sa = ike_sa_updated(half_open.sa, message)
        if not half_open.sa.established:
            return ()
        del self._half_open[spis]
        return self._establish(half_open)

    def _establish(self, half_open: _HalfOpen) -> tuple[ClientEvent, ...]:
        sa = half_open.sa
        client = None if half_open.replaces is None else self._by_spis.get(half_open.replaces)
        if client is None:
            if len(self._clients) >= self._limits.clients_max:
                self.neglected[Neglected.TOO_MANY_CLIENTS] += 1
                return ()
            client = _Client(id=self._free_id(sa.spis), sas={sa.spis: sa}, current=sa.spis)
            self._clients[client.id] = client
        else:
            assert half_open.replaces is not None
            if not sa.virtual_addresses:
                # Assigned once, in IKE_AUTH; the replacement inherits them without a word.
                addresses = client.sas[half_open.replaces].virtual_addresses
                sa = msgspec.structs.replace(sa, virtual_addresses=addresses)
            client.sas[sa.spis] = sa
            client.current = sa.spis
            client.gone.add(half_open.replaces)
            client.replacements.clear()
            self._waiting.pop(client.id, None)
        self._by_spis[sa.spis] = client
        for child in half_open.children:
            client.children[child.inbound_spi] = child
        self._enforce_bounds(client)
        return (self._changed(client),)

    def _free_id(self, spis: IkeSpis) -> ClientId:
        client = client_id_of(spis)
        # SPIs are random. Should a pair come again while the client that began with it lives, both go on.
        while client in self._clients:
            client = ClientId(hashlib.blake2b(client).digest()[:CLIENT_ID_BYTES])
        return client

    def _message_id(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        number = message.number(Attribute.MID)
        client = self._by_spis.get(spis)
        half_open = self._half_open.get(spis)
        if number is None:
            self.neglected[Neglected.UNUSABLE] += 1
            return ()
        is_initiator = message.type is MessageType.IKE_MID_INITIATOR
        if client is not None:
            return self._replace(
                client, _with_message_id(client.sas[spis], number, is_initiator=is_initiator)
            )
        if half_open is not None:
            half_open.sa = _with_message_id(half_open.sa, number, is_initiator=is_initiator)
            return ()
        self.neglected[Neglected.UNKNOWN_IKE_SA] += 1
        return ()

    def _ike_delete(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        return self.ike_sa_lost(spis, now_ns=now_ns)

    def _child_add(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        try:
            child = child_sa_added(message)
        except PeerError:
            self.neglected[Neglected.UNUSABLE] += 1
            return ()
        client = self._by_spis.get(spis)
        if client is not None:
            client.children[child.inbound_spi] = child
            self._enforce_bounds(client)
            return (self._changed(client),)
        half_open = self._half_open.get(spis)
        if half_open is None:
            self.neglected[Neglected.UNKNOWN_IKE_SA] += 1
        elif len(half_open.children) >= self._limits.children_max:
            self.neglected[Neglected.TOO_MANY_CHILDREN] += 1
        else:
            half_open.children.append(child)
        return ()

    def _child_delete(self, spis: IkeSpis, message: HaMessage, now_ns: int) -> tuple[ClientEvent, ...]:
        client = self._by_spis.get(spis)
        # A rekey that failed is announced by the delete of SPI 0.
        inbound_spi = message.number(Attribute.INBOUND_SPI)
        if client is None:
            self.neglected[Neglected.UNKNOWN_IKE_SA] += 1
            return ()
        if inbound_spi is None or client.children.pop(inbound_spi, None) is None:
            return ()
        self._prune(client)
        return (self._changed(client),)

    def _replace(self, client: _Client, sa: IkeSa) -> tuple[ClientEvent, ...]:
        """Keep a new value of one of the client's IKE_SAs; an event if that shows."""
        if sa.spis in client.gone:
            return ()
        before = client.sas[sa.spis]
        client.sas[sa.spis] = sa
        return (self._changed(client),) if sa != before and sa.spis == client.current else ()

    def _changed(self, client: _Client) -> ClientChanged:
        self._prune(client)
        return ClientChanged(client.id, client.state())

    def _prune(self, client: _Client) -> None:
        """Let go of replaced IKE_SAs under which no CHILD_SA lives."""
        alive = {child.ike_spis for child in client.children.values()}
        self._drop_sas(client, [spis for spis in client.gone if spis not in alive and spis != client.current])

    def _enforce_bounds(self, client: _Client) -> None:
        self._prune(client)
        while len(client.sas) > self._limits.generations_max:
            oldest = next(spis for spis in client.sas if spis != client.current)
            for child in [child for child in client.children.values() if child.ike_spis == oldest]:
                del client.children[child.inbound_spi]
            self._drop_sas(client, [oldest])
            self.neglected[Neglected.TOO_MANY_GENERATIONS] += 1
        while len(client.children) > self._limits.children_max:
            del client.children[next(iter(client.children))]
            self.neglected[Neglected.TOO_MANY_CHILDREN] += 1

    def _drop_sas(self, client: _Client, dropped: Iterable[IkeSpis]) -> None:
        for spis in dropped:
            del client.sas[spis]
            del self._by_spis[spis]
            client.gone.discard(spis)

    def _remove(self, client: _Client) -> None:
        del self._clients[client.id]
        self._waiting.pop(client.id, None)
        for spis in client.sas:
            del self._by_spis[spis]


def _with_message_id(sa: IkeSa, number: int, *, is_initiator: bool) -> IkeSa:
    # Charon's threads may send out of order; a message ID only ever rises.
    if is_initiator:
        return msgspec.structs.replace(sa, message_id_initiator=max(sa.message_id_initiator, number))
    return msgspec.structs.replace(sa, message_id_responder=max(sa.message_id_responder, number))
