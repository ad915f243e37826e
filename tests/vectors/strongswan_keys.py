"""Keys of the SAs in strongswan-5.9.8/, derived from the HA datagrams by the product's code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gossipsa.ikev2.keymat import ChildKeys, IkeKeys, derive_child_keys, derive_ike_keys
from tests.vectors.strongswan_capture import CHILD_ADD, IKE_ADD, HaMessage, ha_messages

# HA attribute numbers of strongSwan 5.4.0 to 6.0.0.
IKE_ID, INITIATOR, NONCE_I, NONCE_R, SECRET, OLD_SKD = 1, 14, 15, 16, 17, 18
ALG_PRF, ALG_OLD_PRF, ALG_ENCR, ALG_ENCR_LEN, ALG_INTEG = 19, 20, 21, 22, 23
INBOUND_SPI, OUTBOUND_SPI = 27, 28


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedChild:
    """A CHILD_SA of the gateway; SPIs as numbers in network order."""

    inbound_spi: int
    outbound_spi: int
    has_pfs: bool
    keys: ChildKeys


@cache
def ike_keys() -> dict[bytes, IkeKeys]:
    """Keys of every IKE_SA, by its two SPIs (16 bytes)."""
    return {spis(message): _ike_keys(message) for message in ha_messages() if message.type == IKE_ADD}


@cache
def children() -> tuple[DerivedChild, ...]:
    """Every CHILD_SA, in the order in which they were made."""
    return tuple(_child(message) for message in ha_messages() if message.type == CHILD_ADD)


def spis(message: HaMessage) -> bytes:
    """SPIi and SPIr out of an IKE_ID: version, SPIi, SPIr, flag."""
    return message.attributes[IKE_ID][1:17]


def _ike_keys(message: HaMessage) -> IkeKeys:
    attributes = message.attributes
    prf, encryption = message.number(ALG_PRF), message.number(ALG_ENCR)
    assert prf is not None
    assert encryption is not None
    return derive_ike_keys(
        prf=prf,
        encryption=encryption,
        encryption_key_bits=message.number(ALG_ENCR_LEN),
        integrity=message.number(ALG_INTEG),
        nonce_i=attributes[NONCE_I],
        nonce_r=attributes[NONCE_R],
        shared_secret=attributes[SECRET],
        spi_i=spis(message)[:8],
        spi_r=spis(message)[8:],
        old_sk_d=attributes.get(OLD_SKD),
        old_prf=message.number(ALG_OLD_PRF),
    )


def _child(message: HaMessage) -> DerivedChild:
    attributes = message.attributes
    assert message.number(INITIATOR) == 0, "the clients started every exchange"
    parent = ike_keys()[spis(message)]
    encryption = message.number(ALG_ENCR)
    assert encryption is not None
    return DerivedChild(
        # The SPIs come in the gateway's byte order, little-endian.
        inbound_spi=int.from_bytes(attributes[INBOUND_SPI], "little"),
        outbound_spi=int.from_bytes(attributes[OUTBOUND_SPI], "little"),
        has_pfs=SECRET in attributes,
        keys=derive_child_keys(
            sk_d=parent.sk_d,
            prf=parent.prf,
            encryption=encryption,
            encryption_key_bits=message.number(ALG_ENCR_LEN),
            integrity=message.number(ALG_INTEG),
            nonce_i=attributes[NONCE_I],
            nonce_r=attributes[NONCE_R],
            shared_secret=attributes.get(SECRET),
        ),
    )
