"""Settings of the core, as frozen values. `config.py` reads them from the operator's file."""

from __future__ import annotations

import msgspec

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.swim.settings import SwimSettings

_MS = 1_000_000


def _check(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ConfigurationError(f"{name} is {value}, but must be {lowest} to {highest}")


SEEDS_MAX = 1_024


class ReplicationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How records are kept.

    Raises:
        ConfigurationError: a value out of its bounds.
    """

    replicas: int = 2
    """Copies of each record on other gateways; 1 to 4. More copies survive more deaths and cost traffic."""
    resend_interval_ns: int = 500 * _MS
    """After this long an unacknowledged record is sent again; 50 ms to 60 s."""
    unacknowledged_records_max: int = 1024
    """Records under way to one replica; 1 to 65536. The others wait."""
    audit_interval_ns: int = 60_000 * _MS
    """In which everything at every replica is compared once with what should be there; 1 s to 24 h. Shorter
    finds sooner what went wrong unnoticed, and costs hashing."""
    candidates: int = 6
    """The nearest gateways in other zones, of which each shard of our clients gets its replicas; 1 to 64, and
    at least `replicas`. A dead gateway's clients spread over so many takers; more are farther away."""
    distance_scale_ns: int = 50 * _MS
    """A gateway farther by so much of round-trip time gets e times fewer records; 1 ms to 10 s. Large values
    spread the load evenly over the candidates, small ones keep it near."""
    hysteresis_percent: int = 25
    """A gateway counts as farther or nearer only once its round-trip time has left its power of two by this
    much; 0 to 100. Against jitter."""
    load_percent_max: int = 125
    """A gateway with more than this part of its fair share of all records, by capacity, gets no further
    shards; 100 to 10000."""

    def __post_init__(self) -> None:
        _check("replicas", self.replicas, 1, 4)
        _check("resend_interval_ns", self.resend_interval_ns, 50 * _MS, 60_000 * _MS)
        _check("unacknowledged_records_max", self.unacknowledged_records_max, 1, 65_536)
        _check("audit_interval_ns", self.audit_interval_ns, 1_000 * _MS, 24 * 3_600_000 * _MS)
        _check("candidates", self.candidates, 1, 64)
        _check("distance_scale_ns", self.distance_scale_ns, _MS, 10_000 * _MS)
        _check("hysteresis_percent", self.hysteresis_percent, 0, 100)
        _check("load_percent_max", self.load_percent_max, 100, 10_000)
        if self.candidates < self.replicas:
            raise ConfigurationError("candidates must be as many as replicas, or more")


class TakeoverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a dead gateway's clients are taken over.

    Raises:
        ConfigurationError: a value out of its bounds.
    """

    ike_probe_interval_ns: int = 60 * _MS
    """Between questions to a suspected gateway's IKE port; 50 ms to 10 s. A fraction of the wait, so that a
    path that loses packets must lose several in a row before a gateway counts as silent."""
    ike_probe_wait_ns: int = 150 * _MS
    """On top of two round trips: how long an unanswered question waits; 10 ms to 10 s."""
    ike_veto_ns: int = 1_500 * _MS
    """How long one sign of life of its IKE daemon protects a gateway; 100 ms to 60 s."""
    claim_wait_ns: int = 150 * _MS
    """On top of two round trips: how long a claim waits for holders that do not answer; 10 ms to 10 s."""
    claim_retry_ns: int = 100 * _MS
    """Before a claim is repeated that was answered with `owner alive`; 10 ms to 10 s."""
    redirect_retransmit_ns: tuple[int, ...] = tuple(
        ms * _MS for ms in (250, 350, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000)
    )
    """Waits between the sendings of a redirect; its length is the number of sendings, 2 to 32."""
    redirect_sendings_a_message_id: int = 4
    """After so many unanswered sendings the next message ID is tried; 1 to 16."""
    hold_retry_ns: int = 30_000 * _MS
    """A client that did not answer is tried again after this long; 1 s to 1 h."""
    hold_ns: int = 3_600_000 * _MS
    """How long an unanswering client's record is held; 1 s to 24 h."""
    installs_at_once_max: int = 64
    """Clients being installed or redirected at one time; 1 to 4096."""
    moves_at_once_max: int = 16
    """Clients being moved to other gateways by plan at one time; 1 to 1024."""
    return_after_ns: int = 0
    """A gateway that has been well for so long gets the clients back that had connected to it; 0 for never,
    or 1 s to 7 days. Each return is a move more for the client, and what died once may do so again."""
    return_interval_ns: int = 200 * _MS
    """Between two clients that return; 10 ms to 60 s."""
    rekey_after_takeover: bool = True
    """Ask for a rekey of each CHILD_SA after its client was taken over."""
    rekey_delay_ns: int = 5_000 * _MS
    """From takeover to the first rekey; 0 to 1 h."""
    rekey_interval_ns: int = 50 * _MS
    """Between two rekeys; 1 ms to 60 s."""

    def __post_init__(self) -> None:
        _check("ike_probe_interval_ns", self.ike_probe_interval_ns, 50 * _MS, 10_000 * _MS)
        _check("ike_probe_wait_ns", self.ike_probe_wait_ns, 10 * _MS, 10_000 * _MS)
        _check("ike_veto_ns", self.ike_veto_ns, 100 * _MS, 60_000 * _MS)
        _check("claim_wait_ns", self.claim_wait_ns, 10 * _MS, 10_000 * _MS)
        _check("claim_retry_ns", self.claim_retry_ns, 10 * _MS, 10_000 * _MS)
        _check("redirect_retransmit_ns (length)", len(self.redirect_retransmit_ns), 2, 32)
        for wait_ns in self.redirect_retransmit_ns:
            _check("redirect_retransmit_ns", wait_ns, 10 * _MS, 60_000 * _MS)
        _check("redirect_sendings_a_message_id", self.redirect_sendings_a_message_id, 1, 16)
        _check("hold_retry_ns", self.hold_retry_ns, 1_000 * _MS, 3_600_000 * _MS)
        _check("hold_ns", self.hold_ns, 1_000 * _MS, 24 * 3_600_000 * _MS)
        _check("installs_at_once_max", self.installs_at_once_max, 1, 4096)
        _check("moves_at_once_max", self.moves_at_once_max, 1, 1024)
        if self.return_after_ns:
            _check("return_after_ns", self.return_after_ns, 1_000 * _MS, 7 * 24 * 3_600_000 * _MS)
        _check("return_interval_ns", self.return_interval_ns, 10 * _MS, 60_000 * _MS)
        _check("rekey_delay_ns", self.rekey_delay_ns, 0, 3_600_000 * _MS)
        _check("rekey_interval_ns", self.rekey_interval_ns, _MS, 60_000 * _MS)
        if self.ike_veto_ns <= 2 * self.ike_probe_interval_ns:
            raise ConfigurationError("ike_veto_ns must outlast two ike_probe_interval_ns")


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one gateway's core. Its name, site and zone stand in its identity.

    Raises:
        ConfigurationError: a value out of its bounds.
    """

    capacity: int = 100
    """0 to 1000000. 0 keeps no records for others; of two others one with twice the capacity gets twice the
    records."""
    ike_addresses: tuple[IpAddress, ...]
    """Addresses at which this gateway's IKE daemon serves clients, at most one of each family."""
    ike_port: int = 4500
    """Port from which redirects are sent."""
    mesh_endpoint: Endpoint
    """Where the mesh port of this gateway is reached."""
    seeds: tuple[Endpoint, ...] = ()
    """Gateways to find the mesh by, at most SEEDS_MAX; our own address among them does no harm."""
    swim: SwimSettings
    replication: ReplicationSettings = ReplicationSettings()
    takeover: TakeoverSettings = TakeoverSettings()

    def __post_init__(self) -> None:
        _check("capacity", self.capacity, 0, 1_000_000)
        _check("ike_port", self.ike_port, 1, 65_535)
        _check("seeds (length)", len(self.seeds), 0, SEEDS_MAX)
        versions = [address.version for address in self.ike_addresses]
        if not versions or len(set(versions)) != len(versions):
            raise ConfigurationError("ike_addresses needs one address of each family that clients use")
