"""A record names those from whom it was taken over, the latest first, and not too many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, Epoch, GatewayName
from gossipsa.replication.record import FORMER_OWNERS_MAX, ClientRecord
from gossipsa.wire.codec import Decoder, encode
from tests.replication.test_predecessors import make_record

_takers = st.lists(st.sampled_from([GatewayName(f"g{number}") for number in range(12)]), max_size=30)


@given(_takers)
def test_chain_of_takers_is_remembered_without_repetition_and_within_its_bound(
    takers: list[GatewayName],
) -> None:
    record = make_record(1)
    owners = [record.owner]
    for counter, taker in enumerate(takers, start=2):
        record = record.succeeded_by(taker, Epoch(counter, BootId(bytes(16))))
        owners.append(taker)
    latest_first = list(dict.fromkeys(reversed(owners)))
    assert record.owner == latest_first[0]
    assert list(record.former_owners) == latest_first[1:][:FORMER_OWNERS_MAX]
    assert Decoder[ClientRecord](ClientRecord).decode(encode(record)) == record
