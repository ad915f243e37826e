"""Who could serve a client. What no gateway can mend is no broken promise."""

from __future__ import annotations

from gossipsa.status import ClientStatus
from sim.client import Client
from sim.cluster import Cluster
from sim.host import Host


def able_gateways(cluster: Cluster, client: Client, holders: dict[str, ClientStatus]) -> list[str]:
    """Gateways that could serve the client: its own alone, if that has its SAs.

    Args:
        holders: what running gateways hold of the client.
    """
    own = cluster.gateway_of(client)
    if cluster.serves(own, client) and not own.is_paused:
        return [own.name] if _share_sas(own, client) and cluster.reaches(own, client) else []
    if client.session.is_stuck or client.gave_up:
        # Its key may be used up, and there is no way to another one. A stock client begins anew then.
        return []
    return [
        name
        for name, record in holders.items()
        if _is_in_step(client, record)
        and (record.role == "owner" or not _has_stale_session(cluster.hosts[name], client))
        and cluster.reaches(cluster.hosts[name], client)
    ]


def _share_sas(own: Host, client: Client) -> bool:
    """True if each side has the inbound SA for what the other sends."""
    downwards = own.kernel.outbound_sas(client.endpoint.address)[-1].id
    upwards = [sa.id for sa in client.kernel.sas() if sa.id.destination == own.ike_address][-1:]
    gateway_sas = {sa.id for sa in own.kernel.sas()}
    return downwards in {sa.id for sa in client.kernel.sas()} and gateway_sas.issuperset(upwards)


def _is_in_step(client: Client, record: ClientStatus) -> bool:
    """True if client and record agree on IKE_SA and address, and know each other's newest CHILD_SA.

    They do not if the gateway died before it told its replicas of a rekey, or before its answer to one
    reached the client.
    """
    if record.remote != str(client.endpoint):
        # It roamed, and the gateway that it told died before it told its replicas.
        return False
    state = client.session.state
    known = [f"{child.outbound_spi:08x}" for child in state.children]
    return (
        record.ike_spis == str(state.ike_sa.spis)
        and bool(record.inbound_spis)
        and record.inbound_spis[-1] in known
        and known[-1] in record.inbound_spis
    )


def _has_stale_session(host: Host, client: Client) -> bool:
    """True if the gateway's IKE daemon is down, or still believes that it serves the client.

    That happens to a gateway whose gossipsa was restarted before it could hear that the client moved; its IKE
    daemon finds out by itself, later.
    """
    return host.ike_daemon is None or any(
        known.name == client.name and not known.session.is_passive for known in host.ike_daemon
    )
