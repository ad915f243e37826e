"""The owner's side of a planned move: it serves until the target is answered, and asks when nobody knows."""

from __future__ import annotations

from random import Random

import pytest

from gossipsa.effects import ActivateClient, RemoveClient, SendIke
from gossipsa.identifiers import BootId, Epoch, GatewayName, Holder
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.replication.messages import CounterUpdate
from gossipsa.replication.replicator import OwnedRecord
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.conflict import Rival
from gossipsa.takeover.handover import Handovers
from gossipsa.takeover.messages import (
    AnswerOffers,
    CloseWindows,
    Offer,
    OfferAnswer,
    OfferClients,
    OfferOutcome,
)
from gossipsa.takeover.redirect import Redirect
from tests.takeover.test_conflict import CLIENT, ME, OTHER, SPOKE_NS, AllLive, Owner
from tests.takeover.test_redirect import Client

TARGET = Holder(OTHER, BootId(bytes([9]) * 16))
SETTINGS = TakeoverSettings()
SECOND = 10**9


class Move:
    """One client on its way to TARGET, seen from its owner."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.outbox = self.owner.outbox
        self.raised: list[Epoch] = []
        self.now_ns = SPOKE_NS
        self.handovers = Handovers(
            me=ME,
            settings=SETTINGS,
            peers=AllLive(),
            replicator=self.owner.replicator,
            conflicts=self.owner.conflicts,
            outbox=self.outbox,
            entropy=Random(4).randbytes,
            go_above=self._go_above,
        )
        self.handovers.begin(CLIENT, TARGET)
        self.handovers.finish(now_ns=self.now_ns)
        self.outbox.effects.clear()

    def _go_above(self, owned: OwnedRecord, now_ns: int) -> None:
        assert now_ns == self.now_ns
        self.raised.append(owned.record.epoch)

    def sent(self) -> list[object]:
        self.handovers.finish(now_ns=self.now_ns)
        messages, self.outbox.messages = self.outbox.messages, []
        assert {to for to, _ in messages} <= {OTHER}
        return [message for _, message in messages]

    def hear(self, outcome: OfferOutcome, *, sender: Holder = TARGET, message_id: int = 0) -> None:
        answer = OfferAnswer(
            client=CLIENT, epoch=Epoch(1, ME.boot), outcome=outcome, next_message_id=message_id
        )
        self.handovers.hear_answers(sender, AnswerOffers(answers=(answer,)), now_ns=self.now_ns)

    def taken(self, rival: Rival | None = None) -> bool:
        rival = rival or Rival(OTHER, Epoch(2, TARGET.boot))
        return self.handovers.taken(self.owner.owned(), rival, now_ns=self.now_ns)

    def pass_time(self) -> None:
        due_ns = self.handovers.next_deadline_ns()
        assert due_ns is not None
        self.now_ns = due_ns
        self.handovers.tick(now_ns=self.now_ns)

    def removals(self) -> list[RemoveClient]:
        return [effect for effect in self.outbox.effects if isinstance(effect, RemoveClient)]

    def redirects(self) -> list[bytes]:
        return [effect.data for effect in self.outbox.effects if isinstance(effect, SendIke)]


@pytest.fixture
def move() -> Move:
    return Move()


def test_an_offer_is_repeated_until_it_is_answered(move: Move) -> None:
    offer = OfferClients(offers=(Offer(client=CLIENT, epoch=Epoch(1, ME.boot), sequence=1),))
    assert move.sent() == [offer]
    move.pass_time()
    assert move.sent() == [offer]
    move.hear(OfferOutcome.ACCEPTED)
    move.pass_time()
    assert move.sent() == []


def test_the_owner_changes_nothing_until_the_target_owns_the_client(move: Move) -> None:
    move.hear(OfferOutcome.ACCEPTED)
    assert move.outbox.effects == []
    assert CLIENT in move.owner.replicator


def test_a_client_that_was_taken_is_removed_and_its_last_numbers_are_told(move: Move) -> None:
    record = move.owner.owned().record
    move.sent()
    move.hear(OfferOutcome.ACCEPTED)
    assert move.taken()
    move.hear(OfferOutcome.SERVING)
    assert CLIENT not in move.owner.replicator
    assert move.removals() == [RemoveClient(client=CLIENT, epoch=record.epoch, state=record.state)]
    (child,) = record.state.children
    counters = (
        SaCounters(outbound_spi=child.outbound_spi, inbound_spi=child.inbound_spi, sent=5, received=99),
    )
    move.handovers.removed(CLIENT, counters)
    update = CounterUpdate(client=CLIENT, epoch=Epoch(2, TARGET.boot), counters=counters)
    assert move.sent() == [CloseWindows(updates=(update,))]
    move.handovers.removed(CLIENT, counters)
    assert move.sent() == []


def test_the_owners_sas_stay_until_the_target_serves(move: Move) -> None:
    """Found with strongSwan: what the server sent until the target's route and policies stood was lost."""
    move.hear(OfferOutcome.ACCEPTED)
    assert move.taken()
    assert move.removals() == []
    assert move.owner.conflicts.is_leaving(CLIENT)
    assert len(move.handovers) == 1
    move.hear(OfferOutcome.SERVING)
    assert len(move.removals()) == 1
    assert len(move.handovers) == 1
    move.handovers.removed(CLIENT, ())
    assert len(move.handovers) == 0


def test_a_target_that_serves_before_it_says_that_it_owns_the_client_is_not_awaited(move: Move) -> None:
    """It owns up when there are copies, and may serve for long by then."""
    move.hear(OfferOutcome.ACCEPTED)
    move.hear(OfferOutcome.SERVING)
    assert move.removals() == []
    assert CLIENT in move.owner.replicator
    assert move.taken()
    assert len(move.removals()) == 1
    move.handovers.removed(CLIENT, ())
    assert len(move.handovers) == 0


def test_a_target_that_never_says_that_it_serves_is_not_awaited_for_long(move: Move) -> None:
    assert move.taken()
    began_ns = move.now_ns
    move.pass_time()
    assert len(move.removals()) == 1
    assert move.now_ns - began_ns <= 2 * SECOND
    assert move.handovers.next_deadline_ns() is None


def test_a_client_whose_target_dies_while_it_leaves_is_removed_at_once(move: Move) -> None:
    """We may have to take it over next: our old SAs must not be in the way."""
    assert move.taken()
    move.handovers.gateway_lost(OTHER, now_ns=move.now_ns)
    assert len(move.removals()) == 1


def test_a_target_that_owns_the_client_before_its_answer_came_is_believed(move: Move) -> None:
    assert move.taken()


@pytest.mark.parametrize(
    "rival",
    [
        Rival(GatewayName("third"), Epoch(2, TARGET.boot)),
        Rival(OTHER, Epoch(2, BootId(bytes([8]) * 16))),
    ],
)
def test_nobody_else_has_the_consent(move: Move, rival: Rival) -> None:
    assert not move.taken(rival)
    assert CLIENT in move.owner.replicator


def test_a_refusal_leaves_everything_as_it_was(move: Move) -> None:
    move.hear(OfferOutcome.REFUSED)
    assert move.redirects() == []
    assert len(move.handovers) == 0
    assert not move.handovers.may_try(CLIENT, now_ns=move.now_ns)
    assert move.handovers.may_try(CLIENT, now_ns=move.now_ns + SETTINGS.hold_retry_ns)


def test_an_answer_of_another_boot_counts_for_nothing(move: Move) -> None:
    move.hear(OfferOutcome.REFUSED, sender=Holder(OTHER, BootId(bytes([8]) * 16)))
    assert len(move.handovers) == 1


@pytest.mark.parametrize("used_up", [0, 1, 2])
def test_a_client_whose_target_died_is_told_to_stay_whatever_message_id_it_expects(
    move: Move, used_up: int
) -> None:
    state = move.owner.owned().record.state
    client = Client(state, expects=state.ike_sa.message_id_initiator)
    for message_id in range(client.expects, client.expects + used_up):
        by_target = Redirect(
            state,
            local=state.ike_sa.local,
            settings=SETTINGS,
            entropy=Random(message_id).randbytes,
            message_ids=(message_id,),
        ).next_sending()
        assert by_target is not None
        assert client.hear(by_target[0]) is not None
    move.hear(OfferOutcome.ACCEPTED)
    move.handovers.gateway_lost(OTHER, now_ns=move.now_ns)
    seen = 0
    while CLIENT in move.handovers:
        for data in move.redirects()[seen:]:
            seen += 1
            answer = client.hear(data)
            if answer is not None:
                move.handovers.ike_received(answer, now_ns=move.now_ns)
        if CLIENT in move.handovers:
            move.pass_time()
    owned = move.owner.owned()
    assert owned.record.epoch > Epoch(2, TARGET.boot)
    assert move.raised == [owned.record.epoch]
    (activation,) = [effect for effect in move.outbox.effects if isinstance(effect, ActivateClient)]
    assert activation.message_id_initiator == client.expects
    assert move.now_ns - SPOKE_NS < 6 * SECOND


def test_message_ids_that_the_target_saw_answered_are_not_used_again(move: Move) -> None:
    state = move.owner.owned().record.state
    expected = state.ike_sa.message_id_initiator + 2
    client = Client(state, expects=expected)
    move.hear(OfferOutcome.GAVE_UP, message_id=expected)
    (data,) = move.redirects()
    answer = client.hear(data)
    assert answer is not None
    move.handovers.ike_received(answer, now_ns=move.now_ns)
    assert "client-kept" in move.owner.reported()


def test_a_client_that_answers_nobody_stays_and_is_not_tried_again_at_once(move: Move) -> None:
    move.hear(OfferOutcome.GAVE_UP)
    while CLIENT in move.handovers:
        move.pass_time()
    assert CLIENT in move.owner.replicator
    assert len(move.redirects()) == len(SETTINGS.redirect_retransmit_ns)
    assert not move.handovers.may_try(CLIENT, now_ns=move.now_ns)


def test_only_what_has_not_begun_can_be_cancelled(move: Move) -> None:
    move.handovers.cancel_waiting(now_ns=move.now_ns)
    assert CLIENT in move.handovers
    waiting = Move()
    waiting.hear(OfferOutcome.REFUSED)
    waiting.handovers.begin(CLIENT, TARGET)
    waiting.handovers.cancel_waiting(now_ns=waiting.now_ns)
    assert CLIENT not in waiting.handovers


def test_a_client_that_is_deleted_meanwhile_is_forgotten(move: Move) -> None:
    move.owner.replicator.disown(CLIENT)
    move.hear(OfferOutcome.GAVE_UP)
    assert len(move.handovers) == 0
    assert move.handovers.next_deadline_ns() is None
    assert move.redirects() == []
