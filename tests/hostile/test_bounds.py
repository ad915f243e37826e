"""The table of bounds is about containers that there are."""

from __future__ import annotations

import tracemalloc
from random import Random

import msgspec
import pytest

from gossipsa.identifiers import BootId, GatewayName, Holder, Secret
from gossipsa.ipsec.security_association import (
    ADDRESSES_MAX,
    IDENTITY_BYTES_MAX,
    IKE_SAS_MAX,
    NAME_CHARACTERS_MAX,
    SELECTORS_MAX,
    WINDOW_WORDS_MAX,
    ClientState,
    Identity,
    SaCounters,
)
from gossipsa.replication.record import PART_BYTES_MAX, ClientRecord
from gossipsa.wire.codec import SECRET_BYTES_MAX, Decoder, encode
from tests.hostile.bounds import GENERAL, check_bounds, named_in_the_table_and_found_nowhere
from tests.hostile.memory import containers_of
from tests.hostile.rig import SECOND, Rig
from tests.hostile.test_misbehaving_gateway import make_record

RECORDS = 30
DECODER: Decoder[ClientRecord] = Decoder(ClientRecord)

MADE_WHEN_NEEDED = {
    "RecordStore.of_owner[]",
    "RecordStore.of_address[]",
    "Replicator.drops[]",
    "Attempt.ranges",
}


def test_every_bound_names_a_container_of_the_core() -> None:
    rig = Rig()
    rig.join()
    rig.pass_time(SECOND)
    assert named_in_the_table_and_found_nowhere(rig) <= MADE_WHEN_NEEDED
    check_bounds(rig)


def test_containers_of_a_core_are_found_however_deep_they_lie() -> None:
    rig = Rig()
    rig.join()
    found = containers_of(rig.core)
    assert {"Sessions.by_index", "Membership.members", "RecordStore.records", "Timers.heap"} <= set(found)
    assert all(length <= GENERAL for length in found.values())


def usual() -> ClientRecord:
    return make_record(Holder(GatewayName("a"), BootId(bytes(16))), 1)


def with_large_ike_sas() -> ClientRecord:
    record = usual()
    secret = Secret(SECRET_BYTES_MAX)
    identity = Identity(type=1, data=bytes(IDENTITY_BYTES_MAX))
    ike_sa = msgspec.structs.replace(
        record.state.ike_sa,
        nonce_i=secret,
        nonce_r=secret,
        shared_secret=secret,
        old_sk_d=secret,
        local_identity=identity,
        remote_identity=identity,
        remote_eap_identity=identity,
        virtual_addresses=record.virtual_addresses * ADDRESSES_MAX,
        peer_addresses=(record.state.ike_sa.remote,) * ADDRESSES_MAX,
    )
    state = ClientState(ike_sas=(ike_sa,) * IKE_SAS_MAX, children=record.state.children)
    return msgspec.structs.replace(record, state=state)


def with_many_children(*, selectors: int) -> ClientRecord:
    record = usual()
    (child,) = record.state.children
    children = tuple(
        msgspec.structs.replace(
            child,
            outbound_spi=number,
            name="x" * NAME_CHARACTERS_MAX,
            local_selectors=child.local_selectors * selectors,
        )
        for number in range(1 << 20, (1 << 20) + 60)
    )
    counters = tuple(
        SaCounters(
            outbound_spi=each.outbound_spi,
            inbound_spi=each.inbound_spi,
            sent=1 << 40,
            received=1 << 40,
            window_bitmap=tuple(Random(1).getrandbits(32) for _ in range(WINDOW_WORDS_MAX)),
        )
        for each in children
    )
    (key,) = record.keys
    return msgspec.structs.replace(
        record,
        state=msgspec.structs.replace(record.state, children=children),
        keys=tuple(msgspec.structs.replace(key, outbound_spi=each.outbound_spi) for each in children),
        counters=counters,
    )


@pytest.mark.parametrize(
    "record",
    [
        usual(),
        with_large_ike_sas(),
        with_many_children(selectors=0),
        with_many_children(selectors=50),
        with_many_children(selectors=SELECTORS_MAX),
    ],
    ids=["usual", "large IKE_SAs", "children", "selectors", "all selectors"],
)
def test_part_of_a_record_costs_no_more_than_stated(record: ClientRecord) -> None:
    data = encode(record)
    tracemalloc.start()
    try:
        kept = [DECODER.decode(data) for _ in range(RECORDS)]
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes / len(kept) <= PART_BYTES_MAX * record.parts
