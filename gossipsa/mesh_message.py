"""Every message of the mesh. One sealed payload holds one message."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gossipsa.identifiers import IpAddress
from gossipsa.outbox import StateMessage
from gossipsa.swim.messages import SwimPacket
from gossipsa.wire.codec import Decoder, Value
from gossipsa.wire.trust import TRUST_LIST_BYTES_MAX, VERSION_MAX

PROTOCOL_VERSION = 1


class Gossip(Value, frozen=True, tag=1):
    """Membership: SWIM probes, answers and updates."""

    packet: SwimPacket


class GatewayMetadata(Value, frozen=True):
    """What a gateway tells all others about itself, inside its membership entry.

    Its place, site and zone, stands in its identity.
    """

    protocol_version: int
    capacity: int
    """0 takes no records."""
    ike_addresses: tuple[IpAddress, ...]
    """Where its IKE daemon listens; asked for a sign of life before its clients are taken over."""
    draining: bool = False
    """True while it is being emptied: it takes no records and no clients."""
    records: int = 0
    """How many records it holds, about: told anew when it is an eighth more or less."""


class OfferTrust(Value, frozen=True, tag=40):
    """Tells which version of the trust list the sender has."""

    version: Annotated[int, Meta(ge=1, le=VERSION_MAX)]


class PassTrust(Value, frozen=True, tag=41):
    """Brings a gateway up that is behind."""

    trust_list: Annotated[bytes, Meta(max_length=TRUST_LIST_BYTES_MAX)]


MeshMessage = Gossip | OfferTrust | PassTrust | StateMessage

MESSAGE_DECODER: Decoder[MeshMessage] = Decoder(MeshMessage)
METADATA_DECODER: Decoder[GatewayMetadata] = Decoder(GatewayMetadata)
