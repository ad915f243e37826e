"""What was measured."""

from __future__ import annotations

import msgspec


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The same work in plain MessagePack and PyNaCl, in one process."""

    encoded_bytes_a_record: float
    kept_bytes_a_record: float
    """Of a dictionary of encoded records."""
    updates_a_second: float
    """Encoded, sealed, opened, decoded and kept twice, and both answers likewise."""
    copies_a_second: float
    """The same for one copy."""
    versions_bytes: int
    """The versions of the records that differ, said in full."""
    claims_s: float
    """Claims of all clients of one dead gateway, and their answers, encoded, sealed, opened and decoded."""


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """Three processes."""

    records: int
    owner_bytes_a_record: float
    replica_bytes_a_record: float
    """Growth of the resident set over all records, the mean of both replicas."""
    first_copies_s: float
    """From the first client's first state until both replicas acknowledged all."""
    updates: int
    updates_a_second: float
    """Until both replicas acknowledged the last one."""
    updates_a_cpu_second: float
    """Of CPU time of all three processes together."""
    again_s: float
    """From the start of a new boot of a replica, which holds nothing, until it acknowledged all."""


class AntiEntropy(msgspec.Struct, frozen=True, kw_only=True):
    """One owner and one replica."""

    records: int
    differences: int
    found: int
    round_trips: int
    """Questions of the owner that the replica answered, or had nothing to answer to."""
    sealed_bytes: int
    """Both ways, without the records that are sent again."""


class Planning(msgspec.Struct, frozen=True, kw_only=True):
    """Takers of one dead gateway's clients."""

    clients: int
    first_install_s: float
    """From the verdict to the first InstallClient: the taker, the other replica and 0.1 ms of network each
    way, each gateway with a processor of its own."""
    longest_step_s: float
    """CPU time of the longest input handled meanwhile."""
    all_planned_s: float
    """CPU time of the taker until all clients wait for their turn to be installed."""


class StateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in the table."""

    floor: Floor
    replication: Replication
    anti_entropy: AntiEntropy
    planning: Planning
