"""The ESP SAs of a client, keys derived from its record."""

from __future__ import annotations

from gossipsa.errors import CallerError
from gossipsa.ikev2.sa_keys import child_keys_of
from gossipsa.ipsec.esp import EspKeys
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa
from gossipsa.kernel.backend import NewSa, SaId


def child_sas(ike_sa: IkeSa, child: ChildSa, *, endpoints: IkeSa) -> tuple[NewSa, NewSa]:
    """Return the outbound and the inbound SA of a CHILD_SA, with sequence numbers at zero.

    Args:
        ike_sa: the IKE_SA under which the CHILD_SA was negotiated.
        endpoints: the current IKE_SA, whose addresses and ports ESP uses.

    Raises:
        CallerError: keys cannot be derived, for want of a transform.
    """
    keys = child_keys_of(ike_sa, child)
    sending, receiving = keys.responder_to_initiator, keys.initiator_to_responder
    if child.we_initiated:
        sending, receiving = receiving, sending
    local, remote = endpoints.local, endpoints.remote
    outbound_id = SaId(child.outbound_spi, remote.address)
    inbound_id = SaId(child.inbound_spi, local.address)

    def build(sa_id: SaId, keys: EspKeys, *, is_outbound: bool) -> NewSa:
        source, destination = (local, remote) if is_outbound else (remote, local)
        return NewSa(
            id=sa_id,
            source=source.address,
            mode=child.mode,
            encryption=keys.encryption,
            integrity=keys.integrity,
            encryption_key=keys.encryption_key,
            integrity_key=keys.integrity_key,
            esn=child.esn,
            encapsulation=(source.port, destination.port),
            destinations=child.remote_selectors if is_outbound else (),
            reverse=inbound_id if is_outbound else outbound_id,
        )

    return (
        build(outbound_id, sending, is_outbound=True),
        build(inbound_id, receiving, is_outbound=False),
    )


def client_sas(state: ClientState) -> tuple[NewSa, ...]:
    """Return all SAs of a client, outbound and inbound by turns.

    Raises:
        CallerError: an IKE_SA is missing, or keys cannot be derived.
    """
    ike_sas = {ike_sa.spis: ike_sa for ike_sa in state.ike_sas}
    sas: list[NewSa] = []
    for child in state.children:
        ike_sa = ike_sas.get(child.ike_spis)
        if ike_sa is None:
            raise CallerError(f"IKE_SA {child.ike_spis} of CHILD_SA {child.name} is missing")
        sas.extend(child_sas(ike_sa, child, endpoints=state.ike_sa))
    return tuple(sas)
