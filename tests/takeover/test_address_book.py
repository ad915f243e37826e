"""The home of clients that moved knows their addresses, and sees when its pool leases one again."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.effects import Report
from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName, Holder
from gossipsa.ipsec.security_association import Identity
from gossipsa.outbox import Outbox
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.messages import RecordCopy
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.store import RecordStore
from gossipsa.settings import ReplicationSettings
from gossipsa.takeover.address_book import ADDRESSES_A_MESSAGE_MAX, AddressBook
from gossipsa.takeover.messages import HoldAddresses
from gossipsa.wire.codec import Decoder, encode
from tests.client_states import make_client_state
from tests.takeover.test_conflict import AllLive

HOME, TAKER = (Holder(GatewayName(name), BootId(name.encode() * 16)) for name in "ht")


class Side:
    """The address book of one gateway."""

    def __init__(self, me: Holder) -> None:
        ledger = LaneLedger()
        self.me = me
        self.outbox = Outbox()
        self.store = RecordStore(ledger)
        self.replicator = Replicator(me=me, settings=ReplicationSettings(), ledger=ledger)
        self.book = AddressBook(
            me=me, peers=AllLive(), replicator=self.replicator, store=self.store, outbox=self.outbox
        )

    def told(self) -> list[HoldAddresses]:
        self.book.tell()
        messages, self.outbox.messages = self.outbox.messages, []
        assert {to for to, _ in messages} <= {HOME.gateway}
        return [message for _, message in messages if isinstance(message, HoldAddresses)]

    def clashes(self) -> list[tuple[str | None, str]]:
        return [
            (effect.gateway, effect.detail)
            for effect in self.outbox.effects
            if isinstance(effect, Report) and effect.event == "address-clash"
        ]


def record(number: int, *, owner: Holder, address: int, peer: bytes) -> ClientRecord:
    state = make_client_state(Random(number))
    ike_sa = msgspec.structs.replace(
        state.ike_sa,
        virtual_addresses=(IPv4Address("10.9.0.0") + address,),
        remote_identity=Identity(2, peer),
        remote_eap_identity=None,
    )
    return ClientRecord(
        client=ClientId(number.to_bytes(16, "big")),
        owner=owner.gateway,
        epoch=Epoch(1, owner.boot),
        sequence=1,
        state=msgspec.structs.replace(state, ike_sas=(ike_sa,)),
        keys=(),
        replicas=(),
        home=HOME.gateway,
    )


def test_address_of_a_moved_client_that_is_leased_again_is_reported() -> None:
    home, taker = Side(HOME), Side(TAKER)
    taker.replicator.own(record(1, owner=TAKER, address=7, peer=b"carol"))
    for message in taker.told():
        home.book.hear(TAKER.gateway, Decoder[HoldAddresses](HoldAddresses).decode(encode(message)))

    home.book.check(record(2, owner=HOME, address=7, peer=b"dave"))
    assert home.clashes() == [(TAKER.gateway, "10.9.0.7")]


def test_the_client_itself_may_have_its_address_again() -> None:
    home, taker = Side(HOME), Side(TAKER)
    taker.replicator.own(record(1, owner=TAKER, address=7, peer=b"carol"))
    for message in taker.told():
        home.book.hear(TAKER.gateway, message)

    home.book.check(record(2, owner=HOME, address=7, peer=b"carol"))
    home.book.check(record(3, owner=HOME, address=8, peer=b"dave"))
    assert home.clashes() == []


def test_copies_tell_of_addresses_as_well() -> None:
    home = Side(HOME)
    home.store.put(RecordCopy(record=record(1, owner=TAKER, address=7, peer=b"carol")))
    home.book.check(record(2, owner=HOME, address=7, peer=b"dave"))
    assert home.clashes() == [(TAKER.gateway, "10.9.0.7")]


def test_own_clients_and_those_that_ended_are_nobodys_business() -> None:
    home, taker = Side(HOME), Side(TAKER)
    home.replicator.own(record(1, owner=HOME, address=7, peer=b"carol"))
    assert home.told() == []
    moved = record(2, owner=TAKER, address=8, peer=b"dave")
    taker.replicator.own(moved)
    (message,) = taker.told()
    home.book.hear(TAKER.gateway, message)
    taker.replicator.disown(moved.client)
    (message,) = taker.told()
    assert message == HoldAddresses(held=(), first=True)
    home.book.hear(TAKER.gateway, message)
    home.book.check(record(3, owner=HOME, address=8, peer=b"erin"))
    assert home.clashes() == []


def test_nothing_is_told_twice_unless_the_home_came_back() -> None:
    taker = Side(TAKER)
    taker.replicator.own(record(1, owner=TAKER, address=7, peer=b"carol"))
    first = taker.told()
    assert taker.told() == []
    taker.book.gateway_alive(HOME.gateway)
    assert taker.told() == first != []


@given(st.integers(1, 3 * ADDRESSES_A_MESSAGE_MAX))
def test_long_lists_arrive_whole(count: int) -> None:
    home, taker = Side(HOME), Side(TAKER)
    template = record(1, owner=TAKER, address=0, peer=b"carol")
    ike_sa = msgspec.structs.replace(
        template.state.ike_sa,
        virtual_addresses=tuple(IPv4Address("10.9.0.0") + number for number in range(count)),
    )
    state = msgspec.structs.replace(template.state, ike_sas=(ike_sa,))
    taker.replicator.own(msgspec.structs.replace(template, state=state))
    messages = taker.told()
    assert [message.first for message in messages] == [True] + [False] * (len(messages) - 1)
    for message in messages:
        assert len(message.held) <= ADDRESSES_A_MESSAGE_MAX
        home.book.hear(TAKER.gateway, message)
    home.book.check(record(2, owner=HOME, address=count - 1, peer=b"dave"))
    assert len(home.clashes()) == 1
