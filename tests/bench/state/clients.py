"""Clients of a gateway: their first states, and the small changes that follow."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec

from examples.demo.client_states import Draw, invent_client
from gossipsa.identifiers import ClientId, Endpoint
from gossipsa.ipsec.security_association import ClientState

_NETWORK = IPv4Address("10.128.0.0")


def make_client(index: int, *, gateway: Endpoint, draw: Draw) -> tuple[ClientId, ClientState]:
    """One IKE_SA and one CHILD_SA."""
    return invent_client(index=index, client=Endpoint(_NETWORK + 1 + index, 4500), gateway=gateway, draw=draw)


def after_a_request(state: ClientState) -> ClientState:
    """The state after the client sent one more request."""
    ike_sa = state.ike_sa
    changed = msgspec.structs.replace(ike_sa, message_id_responder=ike_sa.message_id_responder + 1)
    return msgspec.structs.replace(state, ike_sas=(*state.ike_sas[:-1], changed))
