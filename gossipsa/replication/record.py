"""Client records: what a replica must hold to resume a client."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gossipsa.identifiers import ClientId, Epoch, GatewayName, Holder, IpAddress
from gossipsa.ipsec.security_association import ClientState, SaCounters
from gossipsa.wire.codec import Value

Version = tuple[Epoch, int]
"""(epoch, sequence): complete, as an epoch has one writer. The higher one wins."""


class KeyNumbers(Value, frozen=True):
    """Which sequence numbers of one outbound ESP key may have been used."""

    outbound_spi: int
    creator: Holder
    """The boot that negotiated the key."""
    ceiling: int
    """No holder of an earlier or of this epoch sends a higher number."""


class ClientRecord(Value, frozen=True):
    """One client, as its owner describes it to the replicas."""

    client: ClientId
    owner: GatewayName
    epoch: Epoch
    """`epoch.boot` is the owner's boot."""
    sequence: int
    """Counts changes within the epoch."""
    state: ClientState
    keys: tuple[KeyNumbers, ...]
    replicas: tuple[Holder, ...]
    """Who may hold a copy, in the order in which they take over."""
    counters: tuple[SaCounters, ...] = ()
    """As last read by the owner."""
    home: GatewayName = GatewayName("")
    """The gateway that the client connected to itself."""

    @property
    def version(self) -> Version:
        return (self.epoch, self.sequence)

    @property
    def virtual_addresses(self) -> tuple[IpAddress, ...]:
        return self.state.ike_sa.virtual_addresses

    def is_same_peer(self, other: ClientRecord) -> bool:
        """True if both are of one client by its identities and virtual addresses."""
        one, two = self.state.ike_sa, other.state.ike_sa
        return (one.remote_identity, one.remote_eap_identity, one.virtual_addresses) == (
            two.remote_identity,
            two.remote_eap_identity,
            two.virtual_addresses,
        )

    def ceiling_of(self, outbound_spi: int) -> int:
        """The ceiling of a key; 0 for one that is not in the record."""
        return next((key.ceiling for key in self.keys if key.outbound_spi == outbound_spi), 0)

    def with_counters(self, counters: tuple[SaCounters, ...]) -> ClientRecord:
        """The record with newer counters; a number never goes back."""
        known = {entry.outbound_spi: entry for entry in self.counters}
        spis = {child.outbound_spi for child in self.state.children}
        for entry in counters:
            old = known.get(entry.outbound_spi)
            if entry.outbound_spi in spis and (
                old is None or (entry.received, entry.sent) >= (old.received, old.sent)
            ):
                known[entry.outbound_spi] = entry
        return msgspec.structs.replace(
            self, counters=tuple(known[spi] for spi in sorted(known) if spi in spis)
        )

    def with_ceilings(self, ceilings: Mapping[int, int]) -> ClientRecord:
        """The record with higher ceilings, given by outbound SPI; a ceiling never goes down."""
        keys = tuple(
            msgspec.structs.replace(key, ceiling=max(key.ceiling, ceilings.get(key.outbound_spi, 0)))
            for key in self.keys
        )
        return msgspec.structs.replace(self, keys=keys)

    def counters_of(self, outbound_spi: int) -> SaCounters | None:
        return next((entry for entry in self.counters if entry.outbound_spi == outbound_spi), None)
