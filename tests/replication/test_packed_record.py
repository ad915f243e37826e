"""Records as replicas keep them: what is packed comes out as it went in, and what is beside it is true."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, ClientId, Epoch, GatewayName, Holder
from gossipsa.ipsec.security_association import SaCounters
from gossipsa.replication.interning import Interned
from gossipsa.replication.packed_record import Packer
from gossipsa.replication.record import ClientRecord, KeyNumbers
from tests.client_states import make_child, make_client_state

HOLDERS = tuple(Holder(GatewayName(name), BootId(name.encode() * 16)) for name in "bcd")
SPIS = st.integers(0, 5)


def counters(spi: int, *, sent: int, received: int) -> SaCounters:
    return SaCounters(outbound_spi=spi, inbound_spi=spi + 100, sent=sent, received=received)


@st.composite
def records(draw: st.DrawFn) -> ClientRecord:
    random = Random(draw(st.integers(0, 1 << 32)))
    state = make_client_state(random)
    spis = draw(st.sets(SPIS, max_size=3))
    children = tuple(
        msgspec.structs.replace(make_child(state.ike_sa.spis, random), outbound_spi=spi)
        for spi in sorted(spis)
    )
    owner = draw(st.sampled_from(HOLDERS))
    return ClientRecord(
        client=ClientId(random.randbytes(16)),
        owner=owner.gateway,
        epoch=Epoch(draw(st.integers(1, 9)), owner.boot),
        sequence=draw(st.integers(0, 1 << 40)),
        state=msgspec.structs.replace(state, children=children),
        keys=tuple(KeyNumbers(outbound_spi=spi, creator=owner, ceiling=5) for spi in sorted(spis)),
        replicas=tuple(draw(st.permutations(HOLDERS))[: draw(st.integers(0, 3))]),
        counters=tuple(
            counters(spi, sent=1, received=2) for spi in sorted(draw(st.sets(SPIS))) if spi in spis
        ),
        home=draw(st.sampled_from((GatewayName(""), owner.gateway))),
        former_owners=draw(st.sampled_from(((), (GatewayName("e"),)))),
    )


READINGS = st.lists(
    st.lists(st.builds(counters, SPIS, sent=st.integers(0, 9), received=st.integers(0, 9)), max_size=4).map(
        tuple
    ),
    max_size=6,
)


@given(records())
def test_what_is_packed_comes_out_as_it_went_in(record: ClientRecord) -> None:
    packed = Packer().pack(record)
    assert packed.unpack() == record
    assert (packed.version, packed.parts) == (record.version, record.parts)


@given(records(), READINGS)
def test_counters_are_counted_as_in_the_record_itself(
    record: ClientRecord, readings: list[tuple[SaCounters, ...]]
) -> None:
    packed = Packer().pack(record)
    for reading in readings:
        packed.count(reading)
        record = record.with_counters(reading)
        assert packed.unpack() == record
        assert packed.received == sum(entry.received for entry in record.counters)


@given(records())
def test_keys_are_not_shown(record: ClientRecord) -> None:
    text = repr(Packer().pack(record))
    ike_sa = record.state.ike_sa
    for secret in (ike_sa.nonce_i, ike_sa.nonce_r, ike_sa.shared_secret):
        assert repr(bytes(secret))[2:-1] not in text


def test_records_of_one_owner_share_what_is_the_same() -> None:
    packer = Packer()
    one, other = (
        packer.pack(
            ClientRecord(
                client=ClientId(bytes([number]) * 16),
                owner=GatewayName("".join(["o", "wner"])),
                epoch=Epoch(1, BootId(bytes([7]) * 16)),
                sequence=1,
                state=make_client_state(Random(number)),
                keys=(),
                replicas=(Holder(GatewayName("b"), BootId(bytes(16))),),
            )
        )
        for number in (1, 2)
    )
    assert one.epoch is other.epoch
    assert one.replicas is other.replicas


@given(st.lists(st.integers(0, 20).map(lambda number: (number,))))
def test_interned_values_are_equal_and_bounded(values: list[tuple[int]]) -> None:
    interned: Interned[tuple[int]] = Interned(4)
    for value in values:
        assert interned.one(value) == value
        assert interned.one((value[0],)) is interned.one(value)
        assert len(interned) <= 4
