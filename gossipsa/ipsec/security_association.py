"""IKE_SAs and CHILD_SAs as gossipsa keeps them: all that is needed to resume a client, no more.

The values are neutral: an IKE daemon's adapter translates from and to its own format. Transforms are IANA
IKEv2 numbers. Every value travels as a MessagePack array (see wire/codec.py), so that a field may only ever
be added at the end, with a default.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from gossipsa.identifiers import IKE_SPI_BYTES, U16, U32, U64, Endpoint, IpAddress, Secret
from gossipsa.ipsec.traffic_selector import TrafficSelector

IKE_SAS_MAX = 16
"""IKE_SAs of one client: the current one, and those whose CHILD_SAs live."""
CHILDREN_MAX = 256
"""CHILD_SAs of one client, those just rekeyed included."""
SELECTORS_MAX = 255
"""RFC 7296 section 3.13: their number has 8 bits."""
ADDRESSES_MAX = 64
IDENTITY_BYTES_MAX = 4_096
NAME_CHARACTERS_MAX = 255
WINDOW_WORDS_MAX = 128
"""The longest replay window of the kernel (XFRMA_REPLAY_ESN_MAX), in 32-bit words."""
MESSAGE_ID_MAX = (1 << 32) - 16
"""RFC 7296 section 2.2: an IKE_SA ends before its message IDs do. Leaves room to try the next ones."""

IkeSpi = Annotated[bytes, Meta(min_length=IKE_SPI_BYTES, max_length=IKE_SPI_BYTES)]
MessageId = Annotated[int, Meta(ge=0, le=MESSAGE_ID_MAX)]
Name = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
Selectors = Annotated[tuple[TrafficSelector, ...], Meta(max_length=SELECTORS_MAX)]


class IpsecMode(IntEnum):
    """RFC 4301 section 3.2."""

    TRANSPORT = 1
    TUNNEL = 2
    BEET = 3


class IkeSpis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True, gc=False):
    """SPIs of an IKE_SA (RFC 7296 section 3.1), 8 bytes each, in network order."""

    initiator: IkeSpi
    responder: IkeSpi

    def __str__(self) -> str:
        return f"{self.initiator.hex()}_i {self.responder.hex()}_r"


class Identity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """RFC 7296 section 3.5: ID type and identification data."""

    type: U16
    data: Annotated[bytes, Meta(max_length=IDENTITY_BYTES_MAX)]


class IkeSa(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One IKE_SA. Keys are not stored: they follow from nonces and secrets (RFC 7296 section 2.14, 2.18)."""

    spis: IkeSpis
    we_initiated: bool
    """True if the gateway was the original initiator; of clients' SAs it is False."""
    ike_version: U16 = 2
    prf: U16
    encryption: U16
    encryption_key_bits: U16
    integrity: U16 | None
    """None with AEAD ciphers."""
    dh: U16
    nonce_i: Secret
    nonce_r: Secret
    shared_secret: Secret
    """g^ir of the exchange that made this SA."""
    old_sk_d: Secret | None = None
    """SK_d of the predecessor, if this SA came from a rekey."""
    old_prf: U16 | None = None
    authentication: U16 = 0
    """IKEv2 Authentication Method (RFC 7296 section 3.8), 0 if unknown."""
    local: Endpoint
    remote: Endpoint
    local_identity: Identity | None = None
    remote_identity: Identity | None = None
    remote_eap_identity: Identity | None = None
    connection: Name = ""
    """The IKE daemon's name of the configuration that this SA uses."""
    conditions: U64 = 0
    extensions: U64 = 0
    """Bit sets of the IKE daemon, passed through untouched."""
    peer_addresses: Annotated[tuple[Endpoint, ...], Meta(max_length=ADDRESSES_MAX)] = ()
    virtual_addresses: Annotated[tuple[IpAddress, ...], Meta(max_length=ADDRESSES_MAX)] = ()
    """Addresses assigned to the client by configuration payload."""
    message_id_initiator: MessageId = 0
    """Message ID of the next request that the gateway starts."""
    message_id_responder: MessageId = 0
    """Message ID of the next request expected from the client."""
    established: bool = False


class ChildSa(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False
):
    """One CHILD_SA: a pair of ESP SAs. Keys follow from the SK_d of `ike_spis` (RFC 7296 section 2.17)."""

    ike_spis: IkeSpis
    """The IKE_SA under which it was negotiated; later rekeys of the IKE_SA do not change its keys."""
    name: Name
    inbound_spi: U32
    outbound_spi: U32
    """Host integers whose big-endian form is on the wire. Inbound is client to gateway."""
    mode: IpsecMode
    encryption: U16
    encryption_key_bits: U16
    integrity: U16 | None
    esn: bool
    dh: U16 | None = None
    """Group of a PFS exchange, None without."""
    ipcomp: U16 = 0
    inbound_cpi: U16 = 0
    outbound_cpi: U16 = 0
    we_initiated: bool
    """True if the gateway sent the request that made this CHILD_SA (decides which nonce is Ni)."""
    nonce_i: Secret
    nonce_r: Secret
    shared_secret: Secret | None = None
    local_selectors: Selectors
    remote_selectors: Selectors


class ClientState(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False
):
    """All IKE and IPsec state of one client.

    `ike_sas` runs from the oldest to the current one: a predecessor stays for as long as a CHILD_SA made
    under it lives. The last one is the client's IKE_SA.
    """

    ike_sas: Annotated[tuple[IkeSa, ...], Meta(min_length=1, max_length=IKE_SAS_MAX)]
    children: Annotated[tuple[ChildSa, ...], Meta(max_length=CHILDREN_MAX)] = ()

    @property
    def ike_sa(self) -> IkeSa:
        """The current IKE_SA."""
        return self.ike_sas[-1]


class SaCounters(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False
):
    """Sequence numbers of one CHILD_SA, as its kernel knows them.

    Numbers are 64-bit (RFC 4303 section 2.2.1); without ESN the high half is zero.
    """

    outbound_spi: U32
    inbound_spi: U32
    sent: U64
    """Last sequence number sent by the gateway (oseq)."""
    received: U64
    """Highest sequence number received and authenticated (seq)."""
    window_bitmap: Annotated[tuple[U32, ...], Meta(max_length=WINDOW_WORDS_MAX)] = ()
    """32-bit words of the kernel's replay bitmap (xfrm_replay_state_esn), empty if unknown."""
