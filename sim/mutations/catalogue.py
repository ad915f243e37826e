"""The planted bugs: one or more for every promise, in core, wire, driver and client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gossipsa.effects import Effect
from gossipsa.gateway import Gateway
from gossipsa.identifiers import Epoch
from gossipsa.ikev2.message import seal_message
from gossipsa.ipsec.lanes import ALL_LANES, LaneBook
from gossipsa.kernel.memory_sad import InboundDrop
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.takeover import redirect
from gossipsa.takeover.conflict import Conflicts
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.states import Event, State
from gossipsa.takeover.turns import Turns
from sim.host import Host
from sim.mutations import drivers
from sim.mutations.mutation import Mutation, both, patched, planted
from sim.observations import EspAccepted

_REPLICAS = 2
_KILL_UNHEARD = "g3 c3; 400 oneway g2,g3 c1 all +5000; 500 crash g1 +8000"
_KILL_AND_REPLAY = "g3 c3; 500 crash g1 +9000; 2600 replay c1; 3200 replay c1"


@contextmanager
def _receives_what_was_changed() -> Iterator[Mapping[str, Any]]:
    """A kernel that passes on what does not authenticate."""
    receive = Host.receive_esp

    def receive_esp(host: Host, packet: bytes, source: Any) -> None:
        if host.is_up and not host.is_paused:
            opened = host.kernel.open_inbound(packet, destination=host.ike_address, source=source)
            if opened is InboundDrop.PROTOCOL_ERROR:
                host._world.observe(EspAccepted(gateway=host.name, client="c1", packet=packet))
                return
        receive(host, packet, source)

    with patched(Host, "receive_esp", receive_esp) as arguments:
        yield arguments


class _Leaking(Gateway):
    """Remembers every input for ever."""

    def handle(self, event: Any, *, now_ns: int) -> tuple[Effect, ...]:
        self.__dict__.setdefault("history", []).append(event)
        return super().handle(event, now_ns=now_ns)


def _give_and_keep(book: LaneBook, *, keep: int = 0) -> tuple[LaneBook, int]:
    return book, _GIVE(book, keep=keep)[1]


def _accept_all(book: LaneBook, _: int) -> LaneBook:
    return LaneBook(held=ALL_LANES, seen=book.seen)


def _acknowledge_only(store: RecordStore, copy: Any) -> ClientRecord | None:
    known = store.get(copy.record.client)
    return known if known is not None and known.version > copy.record.version else None


def _claim_without_asking(taker: Coordinator, attempt: Any, now_ns: int) -> None:
    record = taker._store.get(attempt.client)
    assert record is not None
    attempt.epoch = Epoch(record.epoch.counter + 1, taker._me.boot)
    attempt.ranges = taker._free_ranges(record) or {}
    taker._fire(attempt, Event.CLAIM_WON if attempt.ranges else Event.FAILED, now_ns)


def _redirect_and_take(taker: Coordinator, attempt: Any, now_ns: int) -> None:
    _SEND_REDIRECT(taker, attempt, now_ns)
    if attempt.state is State.REDIRECTING and attempt.redirect is not None:
        attempt.redirect.answered_message_id = attempt.redirect._message_id
        taker._fire(attempt, Event.ANSWERED, now_ns)


def _place_once(replicator: Replicator, shards: Any, *, alive: Any) -> int:
    chosen = all(len(holders) == _REPLICAS for holders in replicator._shards)
    alive = set(alive) | (set(replicator._dirty) if chosen else set())
    return _PLACE(replicator, replicator._shards if chosen else shards, alive=alive)


def _any_acknowledgement_will_do(replicator: Replicator, sender: Any, message: Any) -> Any:
    for version in message.versions:
        owned = replicator.get(version.client)
        if owned is not None and sender in owned.copies:
            # Of whatever version: nothing is ever sent again.
            owned.copies[sender].acknowledged = 10**9
            replicator._dirty.get(sender, {}).pop(version.client, None)
            replicator._under_way.get(sender, {}).pop(version.client, None)
    return []


def _seal_with_zeros(message: Any, keys: Any, *, iv: bytes) -> bytes:
    return seal_message(message, keys, iv=bytes(len(iv)))


_GIVE = LaneBook.give
_SEND_REDIRECT = Coordinator._send_redirect
_PLACE = Replicator.place

MUTATIONS = (
    Mutation(
        name="numbers_from_zero",
        summary="a taker installs SAs with their numbers at zero",
        where="kill",
        checker="NumbersAreUsedOnce",
        plant=lambda: planted(make_driver=drivers.FromZero),
    ),
    Mutation(
        name="no_fence",
        summary="a taker sets no packet limit",
        where="busy_kill",
        checker="NumbersAreUsedOnce",
        plant=lambda: planted(make_driver=drivers.NoFence),
        first_seed=4,
    ),
    Mutation(
        name="lanes_granted_twice",
        summary="lanes given to one replica are given to the next one too",
        where="torn",
        checker="NumbersAreUsedOnce",
        plant=lambda: patched(LaneBook, "give", _give_and_keep),
        first_seed=1,
    ),
    Mutation(
        name="all_lanes_taken",
        summary="a replica takes a grant of some lanes for one of all",
        where="torn",
        checker="NumbersAreUsedOnce",
        plant=lambda: patched(LaneBook, "accept", _accept_all),
        first_seed=1,
    ),
    Mutation(
        name="iv_repeated",
        summary="redirects are sealed with one IV",
        where="partition_and_heal",
        checker="VectorsAreUsedOnce",
        plant=lambda: patched(redirect, "seal_message", _seal_with_zeros),
    ),
    Mutation(
        name="no_block",
        summary="a taker blocks nothing while the client has not answered",
        where=_KILL_UNHEARD,
        checker="NoSendingBeforeAnswer",
        plant=lambda: planted(make_driver=drivers.NoBlock),
    ),
    Mutation(
        name="answer_not_awaited",
        summary="a taker activates a client as soon as it has sent the redirect",
        where=_KILL_UNHEARD,
        checker="NoSendingBeforeAnswer",
        plant=lambda: patched(Coordinator, "_send_redirect", _redirect_and_take),
    ),
    Mutation(
        name="client_without_window",
        summary="a client's kernel takes a packet as often as it comes",
        where="lossy_kill",
        checker="NoDoubleDelivery",
        plant=lambda: planted(make_client=drivers.WithoutWindow),
    ),
    Mutation(
        name="no_window_at_taker",
        summary="a taker installs inbound SAs as if nothing had arrived yet",
        where=_KILL_AND_REPLAY,
        checker="NoReplayBeyondBound",
        plant=lambda: planted(make_driver=drivers.NoWindow),
    ),
    Mutation(
        name="counters_not_noted",
        summary="owners never take note of sequence numbers",
        where=_KILL_AND_REPLAY,
        checker="NoReplayBeyondBound",
        plant=lambda: patched(Replicator, "update_counters", lambda *_: None),
    ),
    Mutation(
        name="forgeries_accepted",
        summary="a gateway's kernel passes on what does not authenticate",
        where="g3 c3; 0 weather corrupt=5 +6000",
        checker="CorruptionIsRefused",
        plant=_receives_what_was_changed,
    ),
    Mutation(
        name="veto_ignored",
        summary="nobody asks the IKE daemon of a gateway whose gossipsa died",
        where="gossipsa_killed",
        checker="BystandersStay",
        plant=lambda: planted(make_driver=drivers.NoQuestions),
    ),
    Mutation(
        name="every_replica_takes",
        summary="takers ask nobody, wait for nobody, and go on though another gateway owns the client",
        where="kill",
        checker="MovedOncePerFailure",
        plant=lambda: both(
            both(
                patched(Coordinator, "_claim", _claim_without_asking),
                patched(Turns, "wait_ns", lambda *_: 0),
            ),
            patched(Coordinator, "superseded", lambda *_, **__: False),
        ),
    ),
    Mutation(
        name="taken_client_deleted",
        summary="a taker ends the IKE_SA of a client that it has taken over",
        where="kill",
        checker="NoDismissal",
        plant=lambda: planted(make_driver=drivers.Rude),
    ),
    Mutation(
        name="no_redirect",
        summary="a taker never speaks to the client",
        where="kill",
        checker="ClientsAreServed",
        plant=lambda: planted(make_driver=drivers.Speechless),
    ),
    Mutation(
        name="former_owner_keeps_sas",
        summary="a gateway that yields leaves the client's SAs where they are",
        where="cut_off",
        checker="SingleOwner",
        plant=lambda: planted(make_driver=drivers.Greedy),
    ),
    Mutation(
        name="never_yields",
        summary="an owner that learns of a higher epoch waits for the client's word for ever",
        where="stalled_host",
        checker="SingleOwner",
        plant=lambda: both(
            patched(Conflicts, "meet", lambda *_, **__: False),
            patched(Conflicts, "tick", lambda *_, **__: None),
        ),
    ),
    Mutation(
        name="routes_stay",
        summary="the route of a client that went elsewhere is never withdrawn",
        where="stalled_host",
        checker="SingleOwner",
        plant=lambda: planted(make_driver=drivers.KeepsRoutes),
    ),
    Mutation(
        name="acknowledged_before_stored",
        summary="replicas acknowledge records and do not keep them",
        where="kill",
        checker="RecordsSurvive",
        plant=lambda: patched(RecordStore, "put", _acknowledge_only),
    ),
    Mutation(
        name="stale_copies",
        summary="owners take an acknowledgement of any version for one of the latest",
        where="lossy_kill",
        checker="Convergence",
        plant=lambda: patched(Replicator, "hear_acknowledgement", _any_acknowledgement_will_do),
    ),
    Mutation(
        name="copies_never_dropped",
        summary="replicas that are replaced keep the keys",
        where="gossipsa_stalled",
        checker="KeyHoldersAreFew",
        plant=lambda: patched(RecordStore, "drop", lambda *_: False),
    ),
    Mutation(
        name="replica_not_replaced",
        summary="a replica that died is not replaced",
        where="g4 c4; 500 crash g1 +60000",
        checker="Convergence",
        plant=lambda: patched(Replicator, "place", _place_once),
    ),
    Mutation(
        name="nothing_replicated",
        summary="nothing is ever sent over streams",
        where="mesh_filtered",
        checker="Convergence",
        plant=lambda: planted(make_driver=drivers.Mute),
    ),
    Mutation(
        name="inputs_remembered",
        summary="the core keeps every input for ever",
        where="kill",
        checker="MemoryIsBounded",
        plant=lambda: planted(make_core=_Leaking),
    ),
    Mutation(
        name="core_raises",
        summary="an exception leaves the core",
        where="kill",
        checker="NothingRaises",
        plant=lambda: patched(RecordStore, "clients_of", lambda *_: 1 // 0),
    ),
)
