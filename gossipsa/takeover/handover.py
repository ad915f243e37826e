"""Planned moves: the owner lives, and consents that another gateway takes a client of its over.

Rule R10. The owner goes on serving until the client has answered the target, and the target sends no ESP
before that answer. The owner keeps to its own sequence numbers and the target to the lanes that it was
granted as a replica, so that both may hold the client's SAs at one time and no number is used twice,
whichever of them dies at whatever moment; nothing has to be taken back when a move fails. The client's answer
is the commit, as in every takeover. Told of it, the owner owns the client no more and burns its lanes. Its
SAs carry what is still sent through it until the target says that it serves, or for a moment if it says
nothing. Then the owner blocks and deletes them without a DELETE, and tells the target the numbers that its
kernel had received by then: they close the target's replay windows.

A target that gives up, or falls silent, may have moved the client though it heard no answer. So the owner
tells the client to stay where the owner is, goes above the target's epoch when the client answers, and above
its numbers, which the client's replay window may have reached. Message IDs that client and target used up are
skipped in our own IKE daemon. A target that holds the client after all, cut off from us, meets the rules of
conflict (conflict.py) like any other.

What is not closed: a client that rekeys at its old gateway in the moment between the target's install and its
own answer is out of step with the target until the next rekey. It is reported as `handover-out-of-step`.
"""

from __future__ import annotations

from collections.abc import Callable

from gossipsa.effects import ActivateClient
from gossipsa.errors import CallerError
from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.message import peek_header
from gossipsa.ipsec.security_association import IkeSpis, SaCounters
from gossipsa.outbox import Outbox
from gossipsa.replication.messages import CLIENTS_A_MESSAGE_MAX, CounterUpdate
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.conflict import Conflicts, Rival
from gossipsa.takeover.handover_states import (
    AT_TARGET,
    HANDOVER_TRANSITIONS,
    HandoverEvent,
    HandoverState,
)
from gossipsa.takeover.messages import (
    AnswerOffers,
    CloseWindows,
    Offer,
    OfferClients,
    OfferOutcome,
)
from gossipsa.takeover.peers import Peers
from gossipsa.takeover.redirect import Redirect
from gossipsa.timers import Timers

_MS = 1_000_000
_OFFER_REPEAT_NS = 1_000 * _MS
_KEPT_MAX = 65_536
_PATIENCE_NS = 60_000 * _MS
"""Longer than any redirect of a target lasts, with the default settings."""
_LEAVING_NS = 2_000 * _MS
"""Longer than a target takes from the client's answer until it serves."""


class _Handover:
    """The planned move of one client."""

    __slots__ = (
        "client",
        "deadline_ns",
        "epoch",
        "next_message_id",
        "redirect",
        "serves",
        "spis",
        "state",
        "taken",
        "target",
    )

    def __init__(self, client: ClientId, target: Holder) -> None:
        self.client = client
        self.target = target
        self.state = HandoverState.WAITING
        self.epoch: Epoch | None = None
        self.deadline_ns = 0
        self.next_message_id = 0
        self.redirect: Redirect | None = None
        self.spis: IkeSpis | None = None
        self.serves = False
        """The target says that it serves the client. It may say so before it says that it owns it: of that it
        tells when there are copies."""
        self.taken: tuple[ClientRecord, Epoch] | None = None
        """The last record of ours, and the epoch of the target."""


class Handovers:
    """All planned moves away from this gateway.

    Args:
        go_above: lets a client's outbound numbers go on above all that a target can have used; takes the
            record and the time in nanoseconds.
    """

    def __init__(
        self,
        *,
        me: Holder,
        settings: TakeoverSettings,
        peers: Peers,
        replicator: Replicator,
        conflicts: Conflicts,
        outbox: Outbox,
        entropy: Callable[[int], bytes],
        go_above: Callable[[OwnedRecord, int], None],
    ) -> None:
        self._me = me
        self._settings = settings
        self._peers = peers
        self._replicator = replicator
        self._conflicts = conflicts
        self._outbox = outbox
        self._entropy = entropy
        self._go_above = go_above
        self._handovers: dict[ClientId, _Handover] = {}
        self._waiting: dict[ClientId, None] = {}
        self._timers: Timers[ClientId] = Timers()
        self._offers: dict[GatewayName, list[Offer]] = {}
        self._by_spis: dict[IkeSpis, ClientId] = {}
        self._removing: dict[ClientId, tuple[GatewayName, Epoch]] = {}
        self._kept_ns: dict[ClientId, int] = {}

    def __len__(self) -> int:
        """Clients that are to be moved, or being moved, or not quite gone."""
        return len(self._handovers) + len(self._removing)

    def __contains__(self, client: object) -> bool:
        return client in self._handovers

    def begin(self, client: ClientId, target: Holder) -> None:
        """Wants an owned client moved. Nothing happens if that is under way."""
        if client not in self._handovers:
            self._handovers[client] = _Handover(client, target)
            self._waiting[client] = None

    def may_try(self, client: ClientId, *, now_ns: int) -> bool:
        """False for a client that is being moved, or stayed not long ago when it was to be."""
        kept_ns = self._kept_ns.get(client)
        if kept_ns is not None and now_ns - kept_ns >= self._settings.hold_retry_ns:
            del self._kept_ns[client]
            kept_ns = None
        return kept_ns is None and client not in self._handovers

    def cancel_waiting(self, *, now_ns: int) -> None:
        """Those that have not begun stay. What has begun goes on: only the client can end it."""
        for client in tuple(self._waiting):
            self._fire(self._handovers[client], HandoverEvent.CANCELLED, now_ns)

    # What happens

    def gateway_lost(self, name: GatewayName, *, now_ns: int) -> None:
        """It failed, left, or began anew without what it was doing."""
        for handover in tuple(self._handovers.values()):
            if handover.target.gateway == name:
                self._fire(handover, HandoverEvent.TARGET_LOST, now_ns)

    def hear_answers(self, sender: Holder, message: AnswerOffers, *, now_ns: int) -> None:
        for answer in message.answers:
            handover = self._handovers.get(answer.client)
            if handover is None or handover.target != sender or handover.epoch != answer.epoch:
                continue
            match answer.outcome:
                case OfferOutcome.ACCEPTED:
                    self._fire(handover, HandoverEvent.ACCEPTED, now_ns)
                case OfferOutcome.REFUSED:
                    self._fire(handover, HandoverEvent.REFUSED, now_ns)
                case OfferOutcome.GAVE_UP:
                    handover.next_message_id = answer.next_message_id
                    self._fire(handover, HandoverEvent.GAVE_UP, now_ns)
                case OfferOutcome.SERVING:
                    handover.serves = True
                    self._fire(handover, HandoverEvent.SERVING, now_ns)

    def taken(self, owned: OwnedRecord, rival: Rival, *, now_ns: int) -> bool:
        """Somebody owns a client of ours under a higher epoch.

        Returns:
            True if it has our consent, and the client was given up.
        """
        client = owned.record.client
        handover = self._handovers.get(client)
        if (
            handover is None
            or handover.state not in AT_TARGET
            or (handover.target.gateway, handover.target.boot) != (rival.gateway, rival.epoch.boot)
        ):
            return False
        self._fire(handover, HandoverEvent.TAKEN, now_ns)
        if self._conflicts.disown(owned, rival.gateway, now_ns=now_ns):
            handover.taken = (owned.record, rival.epoch)
            if handover.serves:
                self._fire(handover, HandoverEvent.SERVING, now_ns)
        else:
            self._forget(handover)
        self._outbox.report("client-handed-over", client=client, gateway=rival.gateway)
        return True

    def removed(self, client: ClientId, counters: tuple[SaCounters, ...]) -> None:
        """The client's SAs are gone from here: the target learns the last numbers."""
        taker = self._removing.pop(client, None)
        if taker is not None and counters:
            name, epoch = taker
            update = CounterUpdate(client=client, epoch=epoch, counters=counters)
            self._outbox.send(name, CloseWindows(updates=(update,)))

    def ike_received(self, data: bytes, *, now_ns: int) -> None:
        """Perhaps the answer of a client that was told to stay."""
        if not self._by_spis:
            return
        try:
            header = peek_header(data)
        except IkeMessageError:
            return
        client = self._by_spis.get(IkeSpis(header.spi_i, header.spi_r))
        handover = self._handovers.get(client) if client is not None else None
        if handover is not None and handover.redirect is not None and handover.redirect.hear(data):
            self._fire(handover, HandoverEvent.ANSWERED, now_ns)

    # Time

    def tick(self, *, now_ns: int) -> None:
        for client in self._timers.pop_due(now_ns):
            handover = self._handovers.get(client)
            if handover is None:
                continue
            if handover.state is HandoverState.LEAVING:
                self._fire(handover, HandoverEvent.TARGET_LOST, now_ns)
            elif client not in self._replicator:
                self._forget(handover)
            elif handover.state is HandoverState.RECALLING:
                self._send_redirect(handover, now_ns)
            elif now_ns >= handover.deadline_ns:
                self._fire(handover, HandoverEvent.TARGET_LOST, now_ns)
            else:
                self._offer(handover, now_ns)

    def next_deadline_ns(self) -> int | None:
        return self._timers.next_deadline_ns()

    def finish(self, *, now_ns: int) -> None:
        """Ends a run of the core: begins what may begin, and sends what was collected."""
        while self._waiting and len(self._handovers) - len(self._waiting) < self._settings.moves_at_once_max:
            handover = self._handovers[next(iter(self._waiting))]
            if handover.client in self._replicator:
                self._fire(handover, HandoverEvent.SLOT_FREE, now_ns)
            else:
                self._forget(handover)
        for name, offers in self._offers.items():
            for start in range(0, len(offers), CLIENTS_A_MESSAGE_MAX):
                part = tuple(offers[start : start + CLIENTS_A_MESSAGE_MAX])
                self._outbox.send(name, OfferClients(offers=part))
        self._offers.clear()

    # The table at work

    def _fire(self, handover: _Handover, event: HandoverEvent, now_ns: int) -> None:
        after = HANDOVER_TRANSITIONS[handover.state].get(event)
        owned = self._replicator.get(handover.client)
        if handover.state is HandoverState.LEAVING:
            if after is HandoverState.MOVED:
                self._take_out(handover)
        elif owned is None:
            # Deleted, or another gateway's for another reason.
            self._forget(handover)
        elif after is not None:
            handover.state = after
            self._waiting.pop(handover.client, None)
            self._timers.cancel(handover.client)
            match after:
                case HandoverState.OFFERED:
                    handover.deadline_ns = now_ns + _PATIENCE_NS
                    self._offer(handover, now_ns)
                case HandoverState.MOVING:
                    self._timers.set(handover.client, handover.deadline_ns)
                case HandoverState.RECALLING:
                    self._recall(handover, owned, event, now_ns)
                case HandoverState.KEPT:
                    self._keep(handover, owned, event, now_ns)
                case HandoverState.LEAVING:
                    self._timers.set(handover.client, now_ns + _LEAVING_NS)

    def _offer(self, handover: _Handover, now_ns: int) -> None:
        owned = self._replicator.get(handover.client)
        assert owned is not None
        if handover.state is HandoverState.OFFERED:
            record = owned.record
            handover.epoch = record.epoch
            offer = Offer(client=record.client, epoch=record.epoch, sequence=record.sequence)
            self._offers.setdefault(handover.target.gateway, []).append(offer)
            self._timers.set(handover.client, now_ns + _OFFER_REPEAT_NS)

    def _recall(self, handover: _Handover, owned: OwnedRecord, event: HandoverEvent, now_ns: int) -> None:
        self._outbox.report(
            "handover-failed", client=handover.client, gateway=handover.target.gateway, detail=event.value
        )
        state = owned.record.state
        # The target may have used up two more than it heard answers to.
        first = max(handover.next_message_id, state.ike_sa.message_id_initiator)
        try:
            handover.redirect = Redirect(
                state,
                local=state.ike_sa.local,
                settings=self._settings,
                entropy=self._entropy,
                message_ids=(first, first + 1, first + 2),
            )
        except CallerError as error:
            self._outbox.report("record-unusable", client=handover.client, detail=str(error))
            self._fire(handover, HandoverEvent.UNANSWERED, now_ns)
            return
        handover.spis = state.ike_sa.spis
        self._by_spis[handover.spis] = handover.client
        self._send_redirect(handover, now_ns)

    def _send_redirect(self, handover: _Handover, now_ns: int) -> None:
        assert handover.redirect is not None
        sending = handover.redirect.next_sending()
        if sending is None:
            self._fire(handover, HandoverEvent.UNANSWERED, now_ns)
            return
        effect, wait_ns = handover.redirect.as_effect(sending)
        self._outbox.do(effect)
        self._timers.set(handover.client, now_ns + wait_ns)

    def _keep(self, handover: _Handover, owned: OwnedRecord, event: HandoverEvent, now_ns: int) -> None:
        record = owned.record
        if event is not HandoverEvent.CANCELLED:
            self._kept_ns[record.client] = now_ns
            if len(self._kept_ns) > _KEPT_MAX:
                del self._kept_ns[next(iter(self._kept_ns))]
        if handover.redirect is not None:
            message_id = max(handover.redirect.next_message_id, handover.next_message_id)
            if message_id > record.state.ike_sa.message_id_initiator:
                self._outbox.do(
                    ActivateClient(
                        client=record.client,
                        epoch=record.epoch,
                        state=record.state,
                        message_id_initiator=message_id,
                    )
                )
        if event is HandoverEvent.ANSWERED:
            rival = Rival(handover.target.gateway, Epoch(record.epoch.counter + 1, handover.target.boot))
            self._conflicts.overtake(owned, rival, now_ns=now_ns)
            kept = self._replicator.get(record.client)
            assert kept is not None
            self._go_above(kept, now_ns)
        self._outbox.report("client-kept", client=record.client, detail=event.value)
        self._forget(handover)

    def _take_out(self, handover: _Handover) -> None:
        assert handover.taken is not None
        record, epoch = handover.taken
        self._removing[record.client] = (handover.target.gateway, epoch)
        self._conflicts.take_out(record)
        self._forget(handover)

    def _forget(self, handover: _Handover) -> None:
        self._handovers.pop(handover.client, None)
        self._waiting.pop(handover.client, None)
        self._timers.cancel(handover.client)
        if handover.spis is not None:
            self._by_spis.pop(handover.spis, None)
        if handover.client not in self._replicator:
            self._kept_ns.pop(handover.client, None)
