"""Owned clients are found by their SPIs and addresses of now, whatever happened to them before."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.ipsec.security_association import ClientState
from gossipsa.replication.lane_ledger import LaneLedger
from gossipsa.replication.replicator import Replicator
from gossipsa.settings import ReplicationSettings
from tests.client_states import make_child, make_client_state
from tests.replication.test_replicator import OWNER, client_id

CLIENTS = 3
SPIS = 8
ADDRESSES: tuple[IpAddress, ...] = (
    IPv4Address("10.99.0.1"),
    IPv4Address("10.99.0.2"),
    IPv6Address("2001:db8::1"),
)


def state_with(client: int, spis: list[int], addresses: list[IpAddress]) -> ClientState:
    """Inbound SPIs are one client's alone."""
    random = Random(client)
    state = make_client_state(random)
    ike_sa = msgspec.structs.replace(state.ike_sa, virtual_addresses=tuple(addresses))
    children = tuple(
        msgspec.structs.replace(make_child(ike_sa.spis, random), inbound_spi=client * SPIS + spi)
        for spi in spis
    )
    return msgspec.structs.replace(state, ike_sas=(ike_sa,), children=children)


steps = st.lists(
    st.tuples(
        st.sampled_from(("have", "own again", "lose")),
        st.integers(0, CLIENTS - 1),
        st.lists(st.integers(0, SPIS - 1), max_size=3, unique=True),
        st.lists(st.sampled_from(ADDRESSES), max_size=3),
    ),
    max_size=30,
)


@given(steps)
def test_index_knows_what_a_look_at_all_clients_would_find(
    history: list[tuple[str, int, list[int], list[IpAddress]]],
) -> None:
    replicator = Replicator(me=OWNER, settings=ReplicationSettings(), ledger=LaneLedger())
    for what, number, spis, addresses in history:
        client, state = client_id(number), state_with(number, spis, addresses)
        owned = replicator.get(client)
        if what == "lose":
            replicator.disown(client)
        elif owned is None:
            replicator.create(client, state)
        elif what == "have":
            replicator.change(client, state)
        else:
            replicator.own(msgspec.structs.replace(owned.record, state=state))
        records = [each.record for each in replicator.owned()]
        by_spi = {child.inbound_spi: record.client for record in records for child in record.state.children}
        for spi in range(CLIENTS * SPIS):
            assert replicator.index.with_inbound_spi(spi) == by_spi.get(spi)
        for address in ADDRESSES:
            expected: set[ClientId] = {
                record.client for record in records if address in record.virtual_addresses
            }
            found = replicator.index.with_any_address([address])
            assert set(found) == expected
            assert len(found) == len(expected)
