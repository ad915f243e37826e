"""Two owners of one client: who hears it stays, who does not yields."""

from __future__ import annotations

from random import Random

import pytest

from gossipsa.effects import RemoveClient, Report
from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName, Holder, IpAddress
from gossipsa.ipsec.lanes import NumberRange
from gossipsa.outbox import Outbox
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.replicator import OwnedRecord, Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import GatewaySettings, ReplicationSettings
from gossipsa.swim.settings import LAN
from gossipsa.takeover.announcer import Announcer
from gossipsa.takeover.conflict import FRESH_NS, PATIENCE_NS, RECENT_NS, Conflicts, Rival
from gossipsa.takeover.coordinator import Coordinator
from gossipsa.takeover.messages import AnnounceOwnership, Ownership
from gossipsa.takeover.rekeys import PacedRekeys
from tests.client_states import make_client_state

ME = Holder(GatewayName("me"), BootId(bytes(16)))
OTHER = GatewayName("other")
CLIENT = ClientId(bytes(16))
RIVAL = Rival(OTHER, Epoch(5, BootId(bytes([9]) * 16)))
SPOKE_NS = 100 * 10**9


class AllLive:
    """A mesh in which everybody is well."""

    def is_alive(self, name: GatewayName) -> bool:
        return True

    def takes_clients(self, name: GatewayName) -> bool:
        return True

    def is_live(self, name: GatewayName) -> bool:
        return True

    def live(self) -> tuple[GatewayName, ...]:
        return (OTHER,)

    def round_trip_ns(self, name: GatewayName) -> int:
        return 0

    def ike_addresses(self, name: GatewayName) -> tuple[IpAddress, ...]:
        return ()

    def holder(self, name: GatewayName) -> Holder | None:
        return None


class Owner:
    """A gateway that owns one client which it heard at SPOKE_NS."""

    def __init__(self) -> None:
        state = make_client_state(Random(1), message_id_initiator=3)
        settings = GatewaySettings(
            ike_addresses=(state.ike_sa.local.address,),
            mesh_endpoint=state.ike_sa.local,
            swim=LAN,
        )
        self.outbox = Outbox()
        ledger = LaneLedger()
        self.replicator = Replicator(me=ME, settings=ReplicationSettings(), ledger=ledger)
        peers = AllLive()
        self.announcer = Announcer(peers=peers, replicator=self.replicator, outbox=self.outbox)
        rekeys = PacedRekeys(settings=settings.takeover, replicator=self.replicator, outbox=self.outbox)
        self.rekeys = rekeys
        self.conflicts = Conflicts(
            me=ME,
            replicator=self.replicator,
            coordinator=Coordinator(
                me=ME,
                settings=settings,
                peers=peers,
                store=RecordStore(ledger),
                replicator=self.replicator,
                ledger=ledger,
                outbox=self.outbox,
                random=Random(2),
                entropy=Random(3).randbytes,
            ),
            announcer=self.announcer,
            rekeys=rekeys,
            outbox=self.outbox,
        )
        self.replicator.create(CLIENT, state)
        self.conflicts.hear(CLIENT, now_ns=SPOKE_NS)

    def owned(self) -> OwnedRecord:
        owned = self.replicator.get(CLIENT)
        assert owned is not None
        return owned

    def meet(self, now_ns: int, rival: Rival = RIVAL) -> bool:
        return self.conflicts.meet(self.owned(), rival, now_ns=now_ns)

    def reported(self) -> list[str]:
        return [effect.event for effect in self.outbox.effects if isinstance(effect, Report)]


@pytest.fixture
def owner() -> Owner:
    return Owner()


def test_owner_that_hears_nothing_yields_at_once_and_takes_the_client_out(owner: Owner) -> None:
    record = owner.owned().record
    assert owner.meet(SPOKE_NS + RECENT_NS + 1)
    assert CLIENT not in owner.replicator
    assert owner.outbox.effects[-1] == RemoveClient(client=CLIENT, epoch=record.epoch, state=record.state)


def test_client_that_is_being_taken_out_is_leaving_until_it_is_gone(owner: Owner) -> None:
    owner.meet(SPOKE_NS + RECENT_NS + 1)
    assert owner.conflicts.is_leaving(CLIENT)
    owner.conflicts.removed(CLIENT)
    assert not owner.conflicts.is_leaving(CLIENT)


def test_owner_that_hears_the_client_waits_and_asserts_itself_above_the_rival(owner: Owner) -> None:
    owner.owned().in_use = {7: NumberRange(1 << 30, 2 << 30)}
    assert not owner.meet(SPOKE_NS)
    owner.conflicts.hear(CLIENT, now_ns=SPOKE_NS + FRESH_NS)
    assert owner.owned().record.epoch == Epoch(RIVAL.epoch.counter + 1, ME.boot)
    assert owner.owned().in_use == {7: NumberRange(1 << 30, 2 << 30)}
    assert owner.reported() == ["owner-contested", "owner-asserted"]
    assert owner.conflicts.next_deadline_ns() is None
    assert owner.rekeys.next_deadline_ns() is not None


def test_rival_that_dies_before_it_is_told_is_told_when_it_starts_anew(owner: Owner) -> None:
    """It may have taken the client, and its IKE daemon may have it still: it gets the record back."""
    owner.meet(SPOKE_NS)
    owner.conflicts.hear(CLIENT, now_ns=SPOKE_NS + FRESH_NS)
    assert owner.owned().record.former_owners == (OTHER,)


def test_rival_is_told_of_the_assertion(owner: Owner) -> None:
    owner.meet(SPOKE_NS)
    owner.conflicts.hear(CLIENT, now_ns=SPOKE_NS + FRESH_NS)
    owner.announcer.flush(now_ns=SPOKE_NS + FRESH_NS)
    ownership = Ownership(client=CLIENT, owner=ME.gateway, epoch=owner.owned().record.epoch)
    assert owner.outbox.messages == [(OTHER, AnnounceOwnership(ownerships=(ownership,)))]


def test_word_that_may_be_older_than_the_conflict_settles_nothing(owner: Owner) -> None:
    owner.meet(SPOKE_NS)
    owner.conflicts.hear(CLIENT, now_ns=SPOKE_NS + FRESH_NS - 1)
    assert owner.reported() == ["owner-contested"]


def test_client_that_keeps_silent_in_a_conflict_is_yielded(owner: Owner) -> None:
    owner.meet(SPOKE_NS)
    deadline_ns = owner.conflicts.next_deadline_ns()
    assert deadline_ns == SPOKE_NS + PATIENCE_NS
    owner.conflicts.tick(now_ns=deadline_ns - 1)
    assert CLIENT in owner.replicator
    owner.conflicts.tick(now_ns=deadline_ns)
    assert CLIENT not in owner.replicator
    assert owner.conflicts.next_deadline_ns() is None


def test_repeated_news_of_a_rival_do_not_prolong_the_wait_and_the_highest_epoch_counts(owner: Owner) -> None:
    higher = Rival(OTHER, Epoch(8, RIVAL.epoch.boot))
    for rival, now_ns in ((RIVAL, SPOKE_NS), (higher, SPOKE_NS + 10), (RIVAL, SPOKE_NS + 20)):
        assert not owner.meet(now_ns, rival)
    assert owner.conflicts.next_deadline_ns() == SPOKE_NS + PATIENCE_NS
    owner.conflicts.hear(CLIENT, now_ns=SPOKE_NS + FRESH_NS)
    assert owner.owned().record.epoch.counter == 9


@pytest.mark.parametrize(
    ("claimed", "heard", "counter"), [(5, True, 6), (5, False, 1), (1, True, 1)], ids=str
)
def test_claim_of_a_client_that_is_heard_is_answered_with_a_higher_epoch(
    owner: Owner, claimed: int, heard: bool, counter: int
) -> None:
    now_ns = SPOKE_NS + (0 if heard else RECENT_NS + 1)
    claim = Rival(OTHER, Epoch(claimed, ME.boot))
    owner.conflicts.hear_claim(owner.owned(), claim, now_ns=now_ns)
    assert owner.owned().record.epoch.counter == counter
    owner.announcer.flush(now_ns=now_ns)
    assert [to for to, _ in owner.outbox.messages] == [OTHER]
