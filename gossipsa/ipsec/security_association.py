"""IKE_SAs and CHILD_SAs as gossipsa keeps them: all that is needed to resume a client, no more.

The values are neutral: an IKE daemon's adapter translates from and to its own format. Transforms are IANA
IKEv2 numbers. Every value travels as a MessagePack array (see wire/codec.py), so that a field may only ever
be added at the end, with a default.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gossipsa.identifiers import Endpoint, IpAddress, Secret
from gossipsa.ipsec.traffic_selector import TrafficSelector


class IpsecMode(IntEnum):
    """RFC 4301 section 3.2."""

    TRANSPORT = 1
    TUNNEL = 2
    BEET = 3


class IkeSpis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True):
    """SPIs of an IKE_SA (RFC 7296 section 3.1), 8 bytes each, in network order."""

    initiator: bytes
    responder: bytes

    def __str__(self) -> str:
        return f"{self.initiator.hex()}_i {self.responder.hex()}_r"


class Identity(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """RFC 7296 section 3.5: ID type and identification data."""

    type: int
    data: bytes


class IkeSa(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """One IKE_SA. Keys are not stored: they follow from nonces and secrets (RFC 7296 section 2.14, 2.18)."""

    spis: IkeSpis
    we_initiated: bool
    """True if the gateway was the original initiator; of clients' SAs it is False."""
    ike_version: int = 2
    prf: int
    encryption: int
    encryption_key_bits: int
    integrity: int | None
    """None with AEAD ciphers."""
    dh: int
    nonce_i: Secret
    nonce_r: Secret
    shared_secret: Secret
    """g^ir of the exchange that made this SA."""
    old_sk_d: Secret | None = None
    """SK_d of the predecessor, if this SA came from a rekey."""
    old_prf: int | None = None
    authentication: int = 0
    """IKEv2 Authentication Method (RFC 7296 section 3.8), 0 if unknown."""
    local: Endpoint
    remote: Endpoint
    local_identity: Identity | None = None
    remote_identity: Identity | None = None
    remote_eap_identity: Identity | None = None
    connection: str = ""
    """The IKE daemon's name of the configuration that this SA uses."""
    conditions: int = 0
    extensions: int = 0
    """Bit sets of the IKE daemon, passed through untouched."""
    peer_addresses: tuple[Endpoint, ...] = ()
    virtual_addresses: tuple[IpAddress, ...] = ()
    """Addresses assigned to the client by configuration payload."""
    message_id_initiator: int = 0
    """Message ID of the next request that the gateway starts."""
    message_id_responder: int = 0
    """Message ID of the next request expected from the client."""
    established: bool = False


class ChildSa(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """One CHILD_SA: a pair of ESP SAs. Keys follow from the SK_d of `ike_spis` (RFC 7296 section 2.17)."""

    ike_spis: IkeSpis
    """The IKE_SA under which it was negotiated; later rekeys of the IKE_SA do not change its keys."""
    name: str
    inbound_spi: int
    outbound_spi: int
    """Host integers whose big-endian form is on the wire. Inbound is client to gateway."""
    mode: IpsecMode
    encryption: int
    encryption_key_bits: int
    integrity: int | None
    esn: bool
    dh: int | None = None
    """Group of a PFS exchange, None without."""
    ipcomp: int = 0
    inbound_cpi: int = 0
    outbound_cpi: int = 0
    we_initiated: bool
    """True if the gateway sent the request that made this CHILD_SA (decides which nonce is Ni)."""
    nonce_i: Secret
    nonce_r: Secret
    shared_secret: Secret | None = None
    local_selectors: tuple[TrafficSelector, ...]
    remote_selectors: tuple[TrafficSelector, ...]


class ClientState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """All IKE and IPsec state of one client.

    `ike_sas` runs from the oldest to the current one: a predecessor stays for as long as a CHILD_SA made
    under it lives. The last one is the client's IKE_SA.
    """

    ike_sas: tuple[IkeSa, ...]
    children: tuple[ChildSa, ...] = ()

    @property
    def ike_sa(self) -> IkeSa:
        """The current IKE_SA."""
        return self.ike_sas[-1]


class SaCounters(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """Sequence numbers of one CHILD_SA, as its kernel knows them.

    Numbers are 64-bit (RFC 4303 section 2.2.1); without ESN the high half is zero.
    """

    outbound_spi: int
    inbound_spi: int
    sent: int
    """Last sequence number sent by the gateway (oseq)."""
    received: int
    """Highest sequence number received and authenticated (seq)."""
    window_bitmap: tuple[int, ...] = ()
    """32-bit words of the kernel's replay bitmap (xfrm_replay_state_esn), empty if unknown."""
