"""Client records: what a replica must hold to resume a client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from gossipsa.identifiers import U32, U64, Epoch, GatewayName, Holder, IpAddress, SentClient, SentName
from gossipsa.ipsec.security_association import CHILDREN_MAX, ChildSa, ClientState, IkeSa, SaCounters
from gossipsa.wire.codec import Value

REPLICAS_MAX = 64
"""Holders of one record, those about to be dropped included."""
FORMER_OWNERS_MAX = 8
"""Names of gateways that a record carries along as takers follow each other."""
RECORD_PARTS_MAX = 4_096
"""See `ClientRecord.parts`: 256 CHILD_SAs with a dozen selectors each."""
PART_BYTES_MAX = 1_024
"""What a part costs of memory at most."""
_PARTS_OF_IKE_SA = 4
_PARTS_OF_CHILD = 8
_BYTES_A_PART = 512
SEQUENCE_MAX = 1 << 62
"""Far above what changes reach."""

Sequence = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
Version = tuple[Epoch, int]
"""(epoch, sequence): complete, as an epoch has one writer. The higher one wins."""


class KeyNumbers(Value, frozen=True):
    """Which sequence numbers of one outbound ESP key may have been used."""

    outbound_spi: U32
    creator: Holder
    """The boot that negotiated the key."""
    ceiling: U64
    """No holder of an earlier or of this epoch sends a higher number."""


class ClientRecord(Value, frozen=True):
    """One client, as its owner describes it to the replicas."""

    client: SentClient
    owner: SentName
    epoch: Epoch
    """`epoch.boot` is the owner's boot."""
    sequence: Sequence
    """Counts changes within the epoch."""
    state: ClientState
    keys: Annotated[tuple[KeyNumbers, ...], Meta(max_length=CHILDREN_MAX)]
    replicas: Annotated[tuple[Holder, ...], Meta(max_length=REPLICAS_MAX)]
    """Who may hold a copy, in the order in which they take over."""
    counters: Annotated[tuple[SaCounters, ...], Meta(max_length=CHILDREN_MAX)] = ()
    """As last read by the owner."""
    home: Annotated[GatewayName, Meta(max_length=64)] = GatewayName("")
    """The gateway that the client connected to itself."""
    former_owners: Annotated[tuple[SentName, ...], Meta(max_length=FORMER_OWNERS_MAX)] = ()
    """From whom it was taken over, the latest first. Their IKE daemons may believe that they serve the client
    still: whoever owns it tells them when they start anew."""

    @property
    def parts(self) -> int:
        """Values in it, by what they cost of memory at most: what bounds a store of records.

        Counters count with their CHILD_SAs, so that an update of them changes nothing.
        """
        return (
            sum(_parts_of_ike_sa(ike_sa) for ike_sa in self.state.ike_sas)
            + sum(_parts_of_child(child) for child in self.state.children)
            + len(self.keys)
            + len(self.replicas)
            + len(self.former_owners)
        )

    @property
    def is_sound(self) -> bool:
        """True if every CHILD_SA has numbers and an IKE_SA that its keys follow from, and none too much."""
        spis = [key.outbound_spi for key in self.keys]
        ike_spis = {ike_sa.spis for ike_sa in self.state.ike_sas}
        return (
            len(set(spis)) == len(spis)
            and all(
                child.outbound_spi in spis and child.ike_spis in ike_spis for child in self.state.children
            )
            and len(self.counters) <= len(self.state.children)
            and self.parts <= RECORD_PARTS_MAX
        )

    @property
    def version(self) -> Version:
        return (self.epoch, self.sequence)

    @property
    def virtual_addresses(self) -> tuple[IpAddress, ...]:
        return self.state.ike_sa.virtual_addresses

    def succeeded_by(self, owner: GatewayName, epoch: Epoch) -> ClientRecord:
        """The record as its taker owns it."""
        former = [name for name in dict.fromkeys((self.owner, *self.former_owners)) if name != owner]
        return msgspec.structs.replace(
            self, owner=owner, epoch=epoch, sequence=1, former_owners=tuple(former[:FORMER_OWNERS_MAX])
        )

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
        spis = {child.outbound_spi for child in self.state.children}
        known = {entry.outbound_spi: entry for entry in self.counters if entry.outbound_spi in spis}
        newer = (entry for entry in counters if entry.outbound_spi in spis)
        return msgspec.structs.replace(self, counters=newer_counters(known, newer))

    def with_ceilings(self, ceilings: Mapping[int, int]) -> ClientRecord:
        """The record with higher ceilings, given by outbound SPI; a ceiling never goes down."""
        keys = tuple(
            msgspec.structs.replace(key, ceiling=max(key.ceiling, ceilings.get(key.outbound_spi, 0)))
            for key in self.keys
        )
        return msgspec.structs.replace(self, keys=keys)

    def counters_of(self, outbound_spi: int) -> SaCounters | None:
        return next((entry for entry in self.counters if entry.outbound_spi == outbound_spi), None)


def newer_counters(known: dict[int, SaCounters], counters: Iterable[SaCounters]) -> tuple[SaCounters, ...]:
    """Known counters, by outbound SPI, with newer ones in their place; a number never goes back."""
    merged = dict(known)
    for entry in counters:
        old = merged.get(entry.outbound_spi)
        if old is None or (entry.received, entry.sent) >= (old.received, old.sent):
            merged[entry.outbound_spi] = entry
    return tuple(merged[spi] for spi in sorted(merged))


def _parts_of_ike_sa(ike_sa: IkeSa) -> int:
    identities = (ike_sa.local_identity, ike_sa.remote_identity, ike_sa.remote_eap_identity)
    texts = (ike_sa.nonce_i, ike_sa.nonce_r, ike_sa.shared_secret, ike_sa.old_sk_d or b"", ike_sa.connection)
    size_bytes = sum(map(len, texts)) + sum(len(identity.data) for identity in identities if identity)
    addresses = len(ike_sa.peer_addresses) + len(ike_sa.virtual_addresses)
    return _PARTS_OF_IKE_SA + size_bytes // _BYTES_A_PART + addresses


def _parts_of_child(child: ChildSa) -> int:
    texts = (child.nonce_i, child.nonce_r, child.shared_secret or b"", child.name)
    selectors = len(child.local_selectors) + len(child.remote_selectors)
    return _PARTS_OF_CHILD + sum(map(len, texts)) // _BYTES_A_PART + selectors
