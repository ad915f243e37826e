"""Takes over the clients of dead gateways: drives the table of `states.py` for each of them.

The client is the witness that decides: until it answers under its own keys, nothing of ours serves it, and
the record stays a copy of the dead owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import msgspec

from gossipsa.effects import ActivateClient, InstallClient, OutboundNumbers, RemoveClient
from gossipsa.errors import CallerError
from gossipsa.identifiers import ClientId, Endpoint, Epoch, GatewayName, Holder, IpAddress
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.message import peek_header
from gossipsa.ipsec.lanes import NumberRange
from gossipsa.ipsec.security_association import ClientState, IkeSpis
from gossipsa.outbox import Outbox
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import CLIENTS_A_MESSAGE_MAX, RecordVersion, ReturnRecords
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings
from gossipsa.takeover.attempt import Attempt
from gossipsa.takeover.dead_gateways import DeadGateways
from gossipsa.takeover.install_queue import InstallQueue
from gossipsa.takeover.messages import (
    AnswerClaims,
    AnswerOffers,
    CeilingClaim,
    Claim,
    ClaimAnswer,
    ClientClaim,
    EndClaims,
    Offer,
    OfferAnswer,
    OfferClients,
    OfferOutcome,
    Verdict,
)
from gossipsa.takeover.peers import Peers
from gossipsa.takeover.redirect import Redirect, local_endpoint
from gossipsa.takeover.states import PAST_CLAIM, TRANSITIONS, Event, State
from gossipsa.takeover.turns import Turns
from gossipsa.timers import Timers, earliest

_BEGIN_NS = 100_000
"""So long, and less, a gateway takes to begin with one client of many: it is not passed over meanwhile."""
_CONSENTED_MAX = 65_536
"""Clients taken with consent, whose former owners have yet to tell their last numbers."""


class Coordinator:
    """All takeovers of this gateway, and its part in those of others."""

    def __init__(
        self,
        *,
        me: Holder,
        settings: GatewaySettings,
        peers: Peers,
        store: RecordStore,
        replicator: Replicator,
        ledger: LaneLedger,
        outbox: Outbox,
        random: Random,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._me = me
        self._gateway_settings = settings
        self._settings = settings.takeover
        self._peers = peers
        self._store = store
        self._replicator = replicator
        self._ledger = ledger
        self._outbox = outbox
        self._entropy = entropy
        self._attempts: dict[ClientId, Attempt] = {}
        self._by_spis: dict[IkeSpis, ClientId] = {}
        self._queue = InstallQueue()
        self._slots = 0
        self._timers: Timers[ClientId] = Timers()
        self._turns = Turns(me=me, peers=peers, random=random)
        self._dead_gateways = DeadGateways(
            settings=settings.takeover, peers=peers, store=store, turns=self._turns, outbox=outbox
        )
        self._claims: dict[tuple[GatewayName, GatewayName], list[ClientClaim]] = {}
        self._ended: dict[GatewayName, list[RecordVersion]] = {}
        self._moved: list[ClientId] = []
        self._consented: dict[ClientId, Holder] = {}
        self._offer_answers: dict[GatewayName, list[OfferAnswer]] = {}

    # What the composition asks

    def state_of(self, client: ClientId) -> State | None:
        attempt = self._attempts.get(client)
        return attempt.state if attempt else None

    def states(self) -> Iterator[tuple[ClientId, State]]:
        """All clients with which something is being done."""
        return ((client, attempt.state) for client, attempt in self._attempts.items())

    @property
    def is_busy(self) -> bool:
        """True while clients are being moved."""
        return self._slots > 0 or bool(self._queue) or self._dead_gateways.has_backlog

    def take_moved(self) -> list[ClientId]:
        """The clients that became ours since the last call."""
        moved, self._moved = self._moved, []
        return moved

    def take_consent(self, client: ClientId, sender: Holder) -> bool:
        """True, once, if a client was taken with the consent of `sender`."""
        if self._consented.get(client) != sender:
            return False
        del self._consented[client]
        return True

    def next_deadline_ns(self, *, now_ns: int) -> int | None:
        return earliest(self._dead_gateways.next_deadline_ns(now_ns=now_ns), self._timers.next_deadline_ns())

    # Membership

    def gateway_suspected(self, name: GatewayName, *, now_ns: int) -> None:
        """Asks its IKE daemon, if any client may have to be taken over."""
        if self._dead_gateways.suspected(name):
            self.tick(now_ns=now_ns)

    def gateway_failed(self, name: GatewayName, *, now_ns: int) -> None:
        for attempt in self._with(rival=name):
            self._fire(attempt, Event.RIVAL_ENDED, now_ns)
        for attempt in tuple(self._attempts.values()):
            self._stop_waiting_for(attempt, name, now_ns)
        self._dead_gateways.failed(name)
        self.tick(now_ns=now_ns)

    def gateway_alive(self, name: GatewayName, *, now_ns: int) -> None:
        self._dead_gateways.alive(name)
        for attempt in tuple(self._attempts.values()):
            if attempt.owner == name and not attempt.released and not attempt.consented:
                self._fire(attempt, Event.OWNER_ALIVE, now_ns)

    def gateway_restarted(self, name: GatewayName, *, now_ns: int) -> None:
        """A new boot: whatever it was taking over, it forgot."""
        for attempt in self._with(rival=name):
            self._fire(attempt, Event.RIVAL_ENDED, now_ns)

    def ike_answered(self, name: GatewayName, *, now_ns: int) -> None:
        if self._dead_gateways.ike_answered(name, now_ns=now_ns):
            self.tick(now_ns=now_ns)

    # Time

    def tick(self, *, now_ns: int) -> None:
        """Whatever is due. Never fails for being called early."""
        for record, behind in self._dead_gateways.tick(now_ns=now_ns):
            if record.client not in self._attempts:
                self._begin(record, now_ns, behind=behind)
        for client in self._timers.pop_due(now_ns):
            attempt = self._attempts.get(client)
            if attempt is not None:
                self._deadline(attempt, now_ns)

    def finish(self, *, now_ns: int) -> None:
        """Ends a run of the core: hands out slots, and sends what was collected."""
        while (
            self._slots < self._settings.installs_at_once_max and (client := self._queue.first()) is not None
        ):
            self._fire(self._attempts[client], Event.SLOT_FREE, now_ns)
        for (to, owner), claims in self._claims.items():
            for start in range(0, len(claims), CLIENTS_A_MESSAGE_MAX):
                part = tuple(claims[start : start + CLIENTS_A_MESSAGE_MAX])
                self._outbox.send(to, Claim(owner=owner, claims=part))
        self._claims.clear()
        for to, versions in self._ended.items():
            for start in range(0, len(versions), CLIENTS_A_MESSAGE_MAX):
                self._outbox.send(
                    to, EndClaims(versions=tuple(versions[start : start + CLIENTS_A_MESSAGE_MAX]))
                )
        self._ended.clear()
        for to, answers in self._offer_answers.items():
            self._outbox.send(to, AnswerOffers(answers=tuple(answers)))
        self._offer_answers.clear()

    # Messages of other gateways

    def hear_claim(self, sender: Holder, message: Claim, *, now_ns: int) -> None:
        answers = tuple(self._answer(sender, claim, now_ns) for claim in message.claims)
        self._outbox.send(sender.gateway, AnswerClaims(answers=answers))

    def hear_answers(self, sender: Holder, message: AnswerClaims, *, now_ns: int) -> None:
        for answer in message.answers:
            attempt = self._attempts.get(answer.client)
            if attempt is None or attempt.state is not State.CLAIMING or attempt.epoch != answer.claimed:
                continue
            if answer.verdict is Verdict.GRANTED:
                self._stop_waiting_for(attempt, sender.gateway, now_ns)
            elif answer.verdict is Verdict.OWNER_ALIVE:
                self._fire(attempt, Event.CLAIM_DEFERRED, now_ns)
            else:
                attempt.promised = max(attempt.promised, answer.known)
                attempt.rival = sender.gateway
                self._fire(attempt, Event.OUTBID, now_ns)

    def hear_end(self, sender: Holder, message: EndClaims, *, now_ns: int) -> None:
        for version in message.versions:
            attempt = self._attempts.get(version.client)
            if attempt is not None and attempt.rival == sender.gateway:
                self._fire(attempt, Event.RIVAL_ENDED, now_ns)

    def hear_release(self, sender: Holder, versions: tuple[RecordVersion, ...], *, now_ns: int) -> None:
        """A gateway that started anew holds nothing of these clients: no verdict of death is needed."""
        for version in versions:
            record = self._store.get(version.client)
            if record is None or record.owner != sender.gateway or record.epoch > version.epoch:
                continue
            attempt = self._attempts.get(version.client)
            if attempt is None:
                attempt = self._begin(record, now_ns)
            attempt.released = True

    def hear_offers(self, sender: Holder, message: OfferClients, *, willing: bool, now_ns: int) -> None:
        """A living owner wants clients moved to us, if we are willing."""
        for offer in message.offers:
            accepted = willing and self._accept(sender, offer, now_ns)
            outcome = OfferOutcome.ACCEPTED if accepted else OfferOutcome.REFUSED
            self._answer_offer(sender.gateway, offer.client, offer.epoch, outcome)

    def superseded(self, client: ClientId, epoch: Epoch | None, *, now_ns: int) -> bool:
        """Somebody owns the client under `epoch`, or (None) it is gone: a takeover under way ends.

        Returns:
            True if there was one.
        """
        attempt = self._attempts.get(client)
        if attempt is None or (epoch is not None and epoch <= attempt.base):
            return False
        attempt.over = True
        self._fire(attempt, Event.SUPERSEDED, now_ns)
        return True

    # Results of effects

    def installed(self, client: ClientId, epoch: Epoch, *, now_ns: int) -> None:
        self._result(client, epoch, Event.INSTALLED, now_ns)

    def activated(self, client: ClientId, epoch: Epoch, *, now_ns: int) -> None:
        self._result(client, epoch, Event.ACTIVATED, now_ns)

    def removed(self, client: ClientId, epoch: Epoch, *, now_ns: int) -> None:
        self._result(client, epoch, Event.REMOVED, now_ns)

    def failed(self, client: ClientId, epoch: Epoch, *, now_ns: int) -> bool:
        """True if a takeover of ours failed."""
        return self._result(client, epoch, Event.FAILED, now_ns)

    def ike_received(self, source: Endpoint, data: bytes, *, now_ns: int) -> None:
        """Perhaps a client's answer, or a word of a client that is held."""
        try:
            header = peek_header(data)
        except IkeMessageError:
            return
        client = self._by_spis.get(IkeSpis(header.spi_i, header.spi_r))
        attempt = self._attempts.get(client) if client is not None else None
        if attempt is None:
            return
        if attempt.state in (State.HELD, State.YIELDED):
            record = self._store.get(attempt.client)
            if not header.is_response and record is not None:
                self._fire(attempt, Event.CLIENT_SPOKE, now_ns)
        elif attempt.redirect is not None and attempt.redirect.hear(data):
            self._fire(attempt, Event.ANSWERED, now_ns)

    # The table at work

    def _fire(self, attempt: Attempt, event: Event, now_ns: int) -> None:
        before = attempt.state
        after = TRANSITIONS[before].get(event)
        if after is None:
            return
        had_slot = attempt.has_slot
        attempt.state = after
        self._slots += attempt.has_slot - had_slot
        self._timers.cancel(attempt.client)
        self._queue.discard(attempt.client)
        match after:
            case State.WAITING:
                self._wait(attempt, event, now_ns)
            case State.CLAIMING:
                self._claim(attempt, now_ns)
            case State.QUEUED:
                self._queue.add(attempt.client, activity=self._store.activity(attempt.client))
            case State.INSTALLING:
                self._install(attempt, now_ns)
            case State.REDIRECTING:
                self._redirect(attempt, now_ns)
            case State.ACTIVATING:
                self._commit(attempt, now_ns)
            case State.YIELDED:
                self._timers.set(attempt.client, now_ns + self._settings.hold_retry_ns)
            case State.REMOVING:
                self._remove(attempt, before, event)
            case State.HELD:
                self._hold(attempt, event, now_ns)
            case State.OURS:
                self._forget(attempt)
                if event is Event.FAILED:
                    self._outbox.report("activation-failed", client=attempt.client)
                else:
                    self._outbox.report("client-activated", client=attempt.client, gateway=attempt.owner)
                if attempt.consented:
                    # Refused by the IKE daemon or not: traffic passes.
                    self._answer_offer(attempt.owner, attempt.client, attempt.base, OfferOutcome.SERVING)
            case State.OVER:
                self._forget(attempt)

    def _deadline(self, attempt: Attempt, now_ns: int) -> None:
        match attempt.state:
            case State.WAITING:
                self._fire(attempt, Event.TURN_CAME, now_ns)
            case State.CLAIMING:
                # Holders that do not answer are dropped, not awaited (rule R3).
                self._outbox.report("claim-unanswered", client=attempt.client, count=len(attempt.asked))
                self._fire(attempt, Event.CLAIM_WON, now_ns)
            case State.REDIRECTING:
                self._send_redirect(attempt, now_ns)
            case State.YIELDED:
                self._retry(attempt, now_ns)
            case State.HELD:
                if attempt.held_until_ns is not None and now_ns >= attempt.held_until_ns:
                    self._outbox.report("client-given-up", client=attempt.client, gateway=attempt.owner)
                    record = self._store.get(attempt.client)
                    if record is not None:
                        self._store.drop(record.client, record.epoch)
                    self._forget(attempt)
                else:
                    self._retry(attempt, now_ns)
            case _:
                raise AssertionError(f"no deadline belongs to {attempt.state}")

    def _wait(self, attempt: Attempt, event: Event, now_ns: int) -> None:
        attempt.rival = None
        record = self._store.get(attempt.client)
        if record is None:
            self._forget(attempt)
        elif self._leave_to_owner(attempt, now_ns):
            pass
        elif event is Event.CLAIM_DEFERRED:
            self._timers.set(attempt.client, now_ns + self._settings.claim_retry_ns)
        else:
            self._timers.set(attempt.client, now_ns + self._turns.wait_ns(record))

    def _retry(self, attempt: Attempt, now_ns: int) -> None:
        if not self._leave_to_owner(attempt, now_ns):
            self._fire(attempt, Event.RETRY_DUE, now_ns)

    def _leave_to_owner(self, attempt: Attempt, now_ns: int) -> bool:
        """True if the owner is alive after all, and has not given the client up.

        If it was restarted meanwhile it may not know of the client, and is asked.
        """
        record = self._store.get(attempt.client)
        if attempt.released or record is None or not self._peers.is_alive(attempt.owner):
            return False
        if self._is_restarted(record):
            self._outbox.send(attempt.owner, ReturnRecords(records=(record,), last=True))
            self._timers.set(attempt.client, now_ns + self._settings.hold_retry_ns)
        else:
            self._fire(attempt, Event.OWNER_ALIVE, now_ns)
        return True

    def _is_restarted(self, record: ClientRecord) -> bool:
        """True if the owner is not the boot that owns the client."""
        owner = self._peers.holder(record.owner)
        return owner is None or owner.boot != record.epoch.boot

    def _accept(self, sender: Holder, offer: Offer, now_ns: int) -> bool:
        """Begins, or goes on with, a planned move; False if we lack what it needs."""
        attempt = self._attempts.get(offer.client)
        if attempt is not None:
            return attempt.consented and attempt.base == offer.epoch
        record = self._store.get(offer.client)
        if (
            record is None
            or (record.owner, record.epoch) != (sender.gateway, offer.epoch)
            or record.epoch.boot != sender.boot
            or record.sequence < offer.sequence
        ):
            return False
        attempt = Attempt(record, state=State.WAITING)
        attempt.consented = True
        if not self._choose_numbers(attempt, record):
            return False
        self._attempts[offer.client] = attempt
        self._fire(attempt, Event.OWNER_CONSENTED, now_ns)
        return True

    def _answer_offer(
        self, to: GatewayName, client: ClientId, epoch: Epoch, outcome: OfferOutcome, message_id: int = 0
    ) -> None:
        answer = OfferAnswer(client=client, epoch=epoch, outcome=outcome, next_message_id=message_id)
        self._offer_answers.setdefault(to, []).append(answer)

    def _choose_numbers(self, attempt: Attempt, record: ClientRecord) -> bool:
        """An epoch, and sequence numbers for every key; False if a key has none."""
        counter = max(record.epoch.counter, attempt.promised.counter, attempt.epoch.counter)
        attempt.epoch = Epoch.above(counter, self._me.boot)
        ranges = self._free_ranges(record)
        if ranges is None:
            self._outbox.report("no-lane", client=attempt.client, gateway=attempt.owner)
            return False
        attempt.ranges = ranges
        return True

    def _claim(self, attempt: Attempt, now_ns: int) -> None:
        record = self._store.get(attempt.client)
        assert record is not None
        if not self._choose_numbers(attempt, record):
            self._fire(attempt, Event.FAILED, now_ns)
            return
        attempt.asked = self._whom_to_ask(attempt, record)
        if not attempt.asked:
            self._fire(attempt, Event.CLAIM_WON, now_ns)
            return
        claim = ClientClaim(
            client=attempt.client,
            epoch=attempt.epoch,
            ceilings=tuple(
                CeilingClaim(outbound_spi=spi, ceiling=numbers.last)
                for spi, numbers in attempt.ranges.items()
            ),
        )
        longest_ns = 0
        for name in attempt.asked:
            self._claims.setdefault((name, attempt.owner), []).append(claim)
            longest_ns = max(longest_ns, self._peers.round_trip_ns(name))
        self._timers.set(attempt.client, now_ns + 2 * longest_ns + self._settings.claim_wait_ns)

    def _whom_to_ask(self, attempt: Attempt, record: ClientRecord) -> dict[GatewayName, None]:
        """The other holders that are live; all gateways that are, once the record may have been overtaken."""
        if _may_be_overtaken(attempt):
            names = self._peers.live()
        else:
            names = tuple(holder.gateway for holder in record.replicas if self._peers.is_live(holder.gateway))
        return {name: None for name in names if name != self._me.gateway}

    def _free_ranges(self, record: ClientRecord) -> dict[int, NumberRange] | None:
        """Numbers for every key, in our lanes, above all that anybody sent; None if a key has none."""
        ranges = {}
        for key in record.keys:
            counters = record.counters_of(key.outbound_spi)
            above = max(key.ceiling, counters.sent if counters else 0)
            book = self._ledger.book((record.client, key.outbound_spi, key.creator))
            numbers = book.first_range(above)
            if numbers is None:
                return None
            ranges[key.outbound_spi] = numbers
        return ranges

    def _stop_waiting_for(self, attempt: Attempt, name: GatewayName, now_ns: int) -> None:
        if attempt.state is State.CLAIMING and name in attempt.asked:
            del attempt.asked[name]
            if not attempt.asked:
                self._fire(attempt, Event.CLAIM_WON, now_ns)

    def _own_address(self, state: ClientState) -> IpAddress | None:
        version = state.ike_sa.remote.address.version
        return next((own for own in self._gateway_settings.ike_addresses if own.version == version), None)

    def _install(self, attempt: Attempt, now_ns: int) -> None:
        record = self._store.get(attempt.client)
        assert record is not None
        own = self._own_address(record.state)
        try:
            if own is None:
                raise CallerError("no IKE address of the client's family here")
            local = local_endpoint(record.state.ike_sa.remote, own, ike_port=self._gateway_settings.ike_port)
            state = with_local(record.state, local)
            attempt.redirect = Redirect(
                state,
                local=local,
                settings=self._settings,
                entropy=self._entropy,
                message_ids=_message_ids_of_living(state) if attempt.consented else None,
                earlier=attempt.redirect,
            )
        except CallerError as error:
            self._outbox.report("record-unusable", client=attempt.client, detail=str(error))
            self._fire(attempt, Event.FAILED, now_ns)
            return
        numbers = []
        for child in state.children:
            counters = record.counters_of(child.outbound_spi)
            mine = attempt.ranges[child.outbound_spi]
            numbers.append(
                OutboundNumbers(
                    outbound_spi=child.outbound_spi,
                    inbound_spi=child.inbound_spi,
                    sent=mine.first - 1,
                    packet_limit=mine.last,
                    received=counters.received if counters else 0,
                    window_bitmap=counters.window_bitmap if counters else (),
                )
            )
        attempt.installed = state
        attempt.record = record
        attempt.sendings = 0
        self._listen(attempt, state)
        self._outbox.do(
            InstallClient(client=attempt.client, epoch=attempt.epoch, state=state, numbers=tuple(numbers))
        )

    def _redirect(self, attempt: Attempt, now_ns: int) -> None:
        self._outbox.report("redirect-sent", client=attempt.client, gateway=attempt.owner)
        self._send_redirect(attempt, now_ns)

    def _send_redirect(self, attempt: Attempt, now_ns: int) -> None:
        redirect = attempt.redirect
        assert redirect is not None
        sending = redirect.next_sending()
        # A client that has a living owner is not kept in doubt for long.
        is_enough = attempt.consented and attempt.sendings > self._settings.redirect_sendings_a_message_id
        if sending is None or is_enough:
            self._fire(attempt, Event.UNANSWERED, now_ns)
            return
        effect, wait_ns = redirect.as_effect(sending)
        had_slot = attempt.has_slot
        attempt.sendings += 1
        self._slots += attempt.has_slot - had_slot
        self._outbox.do(effect)
        self._timers.set(attempt.client, now_ns + wait_ns)

    def _commit(self, attempt: Attempt, now_ns: int) -> None:
        """The client answered: it is ours from here on, whatever comes."""
        newest = self._store.take(attempt.client)
        redirect = attempt.redirect
        record = attempt.record
        assert newest is not None
        assert record is not None
        assert redirect is not None
        assert redirect.answered_message_id is not None
        if attempt.consented and newest.state.children != record.state.children:
            # It rekeyed at its living owner while we told it to come: see handover.py.
            self._outbox.report("handover-out-of-step", client=attempt.client, gateway=attempt.owner)
        # What was installed counts: an owner that was not dead may have sent a newer record meanwhile.
        record = record.with_ceilings({key.outbound_spi: key.ceiling for key in newest.keys})
        record = record.with_counters(newest.counters)
        message_id = redirect.answered_message_id + 1
        state = with_local(record.state, redirect.local, message_id_initiator=message_id)
        taken = (
            msgspec.structs.replace(record, state=state)
            .succeeded_by(self._me.gateway, attempt.epoch)
            .with_ceilings({spi: numbers.last for spi, numbers in attempt.ranges.items()})
        )
        former = (record.owner, *(holder.gateway for holder in (*record.replicas, *newest.replicas)))
        if _may_be_overtaken(attempt):
            former += self._peers.live()
        owned = self._replicator.own(taken, former=former)
        owned.in_use = dict(attempt.ranges)
        owned.taken = record
        self._moved.append(attempt.client)
        if attempt.consented:
            self._consented[attempt.client] = Holder(record.owner, record.epoch.boot)
            if len(self._consented) > _CONSENTED_MAX:
                del self._consented[next(iter(self._consented))]
        self._outbox.report("client-moved", client=attempt.client, gateway=attempt.owner)
        self._outbox.do(
            ActivateClient(
                client=attempt.client,
                epoch=attempt.epoch,
                state=state,
                message_id_initiator=message_id,
            )
        )

    def _remove(self, attempt: Attempt, before: State, event: Event) -> None:
        if event in (Event.UNANSWERED, Event.FAILED):
            self._outbox.report("client-silent", client=attempt.client, gateway=attempt.owner)
        if event is Event.OWNER_ALIVE:
            attempt.over = True
        if before is State.ACTIVATING:
            self._replicator.disown(attempt.client)
        assert attempt.installed is not None
        self._outbox.do(RemoveClient(client=attempt.client, epoch=attempt.epoch, state=attempt.installed))

    def _hold(self, attempt: Attempt, event: Event, now_ns: int) -> None:
        record = self._store.get(attempt.client)
        if attempt.consented and self._peers.is_live(attempt.owner):
            # Its owner serves it: there is nothing to hold.
            message_id = attempt.redirect.next_message_id if attempt.redirect is not None else 0
            self._answer_offer(attempt.owner, attempt.client, attempt.base, OfferOutcome.GAVE_UP, message_id)
            self._forget(attempt)
            return
        attempt.consented = False
        if attempt.over or record is None:
            self._forget(attempt)
            return
        if attempt.held_until_ns is None:
            attempt.held_until_ns = now_ns + self._settings.hold_ns
        self._timers.set(attempt.client, min(now_ns + self._settings.hold_retry_ns, attempt.held_until_ns))
        self._listen(attempt, record.state)
        for holder in record.replicas:
            if holder.gateway != self._me.gateway and self._peers.is_live(holder.gateway):
                self._ended.setdefault(holder.gateway, []).append(
                    RecordVersion(client=attempt.client, epoch=attempt.epoch, sequence=0)
                )
        if event is Event.REMOVED:
            self._outbox.report("client-held", client=attempt.client, gateway=attempt.owner)

    def _answer(self, sender: Holder, claim: ClientClaim, now_ns: int) -> ClaimAnswer:
        verdict, known = self._judge_claim(sender, claim, now_ns)
        return ClaimAnswer(client=claim.client, claimed=claim.epoch, verdict=verdict, known=known)

    def _judge_claim(self, sender: Holder, claim: ClientClaim, now_ns: int) -> tuple[Verdict, Epoch]:
        owned = self._replicator.get(claim.client)
        if owned is not None:
            return Verdict.OWNER_ALIVE, owned.record.epoch
        record = self._store.get(claim.client)
        if claim.epoch.boot != sender.boot:
            self._outbox.report("claim-refused", gateway=sender.gateway, detail="epoch of another boot")
            return Verdict.OUTBID, claim.epoch
        if record is None:
            return Verdict.GRANTED, claim.epoch
        if record.epoch >= claim.epoch:
            return Verdict.OUTBID, record.epoch
        attempt = self._attempts.get(claim.client)
        released = attempt is not None and attempt.released
        if not released and self._peers.is_alive(record.owner) and record.owner != sender.gateway:
            if self._is_restarted(record):
                # It told the claimer that it has nothing of the client, and may not know that we wait too.
                self._outbox.send(record.owner, ReturnRecords(records=(record,), last=True))
            return Verdict.OWNER_ALIVE, record.epoch
        if attempt is None:
            attempt = self._attempts[claim.client] = Attempt(record, state=State.WAITING)
        elif attempt.state in PAST_CLAIM or (attempt.state is State.CLAIMING and attempt.epoch > claim.epoch):
            return Verdict.OUTBID, attempt.epoch
        elif attempt.promised > claim.epoch and attempt.rival not in (None, sender.gateway):
            return Verdict.OUTBID, attempt.promised
        attempt.promised = max(attempt.promised, claim.epoch)
        attempt.rival = sender.gateway
        self._store.raise_ceilings(
            claim.client, {entry.outbound_spi: entry.ceiling for entry in claim.ceilings}
        )
        self._fire(attempt, Event.OUTBID, now_ns)
        return Verdict.GRANTED, claim.epoch

    def _begin(self, record: ClientRecord, now_ns: int, *, behind: int = 0) -> Attempt:
        """Begins with a client. `behind`: clients that a nearer replica may have to begin with before it."""
        attempt = self._attempts[record.client] = Attempt(record, state=State.WAITING)
        turn_ns = self._turns.wait_ns(record)
        if turn_ns:
            self._timers.set(record.client, now_ns + turn_ns + behind * _BEGIN_NS)
        else:
            self._fire(attempt, Event.TURN_CAME, now_ns)
        return attempt

    def _result(self, client: ClientId, epoch: Epoch, event: Event, now_ns: int) -> bool:
        attempt = self._attempts.get(client)
        if attempt is None or attempt.epoch != epoch:
            return False
        self._fire(attempt, event, now_ns)
        return True

    def _with(self, *, rival: GatewayName) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self._attempts.values() if attempt.rival == rival)

    def _forget(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt.client, None)
        self._timers.cancel(attempt.client)
        self._queue.discard(attempt.client)
        if attempt.spis is not None:
            self._by_spis.pop(attempt.spis, None)

    def _listen(self, attempt: Attempt, state: ClientState) -> None:
        """Lets what the client says on IKE find its way to the attempt."""
        if attempt.spis is not None:
            self._by_spis.pop(attempt.spis, None)
        attempt.spis = state.ike_sa.spis
        self._by_spis[attempt.spis] = attempt.client


def _may_be_overtaken(attempt: Attempt) -> bool:
    """True if the attempt is so old that others may hold the record in versions that were never seen here."""
    return attempt.released or attempt.held_until_ns is not None


def _message_ids_of_living(state: ClientState) -> tuple[int, int]:
    """What a client expects whose owner lives: the next one, or one more if the owner asked it meanwhile."""
    known = state.ike_sa.message_id_initiator
    return known, known + 1


def with_local(
    state: ClientState, local: Endpoint, *, message_id_initiator: int | None = None
) -> ClientState:
    """The state of a client as served from another address."""
    ike_sas = tuple(msgspec.structs.replace(ike_sa, local=local) for ike_sa in state.ike_sas)
    if message_id_initiator is not None:
        current = msgspec.structs.replace(ike_sas[-1], message_id_initiator=message_id_initiator)
        ike_sas = (*ike_sas[:-1], current)
    return msgspec.structs.replace(state, ike_sas=ike_sas)
