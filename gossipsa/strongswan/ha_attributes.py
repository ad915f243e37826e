"""Vocabulary of charon's HA plugin: message types, and one table of attributes a wire version.

Source: strongSwan, src/libcharon/plugins/ha/ha_message.h and ha_message.c (add_attribute).

| wire version | releases |
|---|---|
| 3 | 5.4.0 to 6.0.0; releases before 5.4.0 say 3 as well but number attributes otherwise, and are refused |
| 4 | 6.0.1: attributes of additional key exchanges (RFC 9370) |
| 5 | 6.0.2 and later: CONDITIONS and EXTENSIONS come twice, the second with bit 31 for private ones |
"""

from __future__ import annotations

from enum import Enum, IntEnum, unique
from typing import Final


@unique
class MessageType(IntEnum):
    """What a message tells. Numbers are the same in every wire version."""

    IKE_ADD = 1
    """Keys of an IKE_SA were made: nonces, secrets and transforms. It is not established yet."""
    IKE_UPDATE = 2
    """An IKE_SA is established: identities, addresses, configuration. Or, alone: its virtual addresses."""
    IKE_MID_INITIATOR = 3
    """Message ID of the next request that the sender starts."""
    IKE_MID_RESPONDER = 4
    """Message ID of the next request that the sender expects from the client."""
    IKE_DELETE = 5
    CHILD_ADD = 6
    CHILD_DELETE = 7
    SEGMENT_DROP = 8
    """The sender stops to serve segments: the receiver activates them."""
    SEGMENT_TAKE = 9
    """The sender serves segments: the receiver makes them passive."""
    STATUS = 10
    """Heartbeat. Never sent: it arms charon's watchdog, even with monitor = no."""
    RESYNC = 11
    """The sender has just started, and asks for the IKE_SAs in these segments."""
    IKE_IV = 12
    """IKEv1 only."""


@unique
class Encoding(Enum):
    """How the value of an attribute stands on the wire. No encoding carries a length of its own type, so that
    an attribute unknown to the reader ends what can be read."""

    IKE_ID = "u8 IKE version, 8 B SPIi, 8 B SPIr, u8 we are the initiator"
    IDENTITY = "u8 type, u8 length, data"
    HOST = "u16 port, u8 address family, address"
    STRING = "NUL-terminated string"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    SPI = "u32, bytes in the order of the sender's CPU"
    CPI = "u16, bytes in the order of the sender's CPU"
    CHUNK = "u16 length, bytes"
    TRAFFIC_SELECTOR = "u8 type, u8 protocol, u16 from port, u16 to port, u8 dynamic, from, to address"


@unique
class Attribute(Enum):
    """Attributes by name; their numbers depend on the wire version."""

    IKE_ID = "IKE_ID"
    IKE_REKEY_ID = "IKE_REKEY_ID"
    """The IKE_SA that this one replaces."""
    LOCAL_ID = "LOCAL_ID"
    REMOTE_ID = "REMOTE_ID"
    REMOTE_EAP_ID = "REMOTE_EAP_ID"
    LOCAL_ADDR = "LOCAL_ADDR"
    REMOTE_ADDR = "REMOTE_ADDR"
    CONFIG_NAME = "CONFIG_NAME"
    """Of the connection in IKE messages, of the child in CHILD messages."""
    CONDITIONS = "CONDITIONS"
    EXTENSIONS = "EXTENSIONS"
    LOCAL_VIP = "LOCAL_VIP"
    """Never sent by charon."""
    REMOTE_VIP = "REMOTE_VIP"
    PEER_ADDR = "PEER_ADDR"
    INITIATOR = "INITIATOR"
    """1 if the sender started the exchange that made the CHILD_SA."""
    NONCE_I = "NONCE_I"
    NONCE_R = "NONCE_R"
    SECRET = "SECRET"
    """g^ir; in CHILD_ADD only with PFS."""
    ADD_SECRET = "ADD_SECRET"
    """Secrets of additional key exchanges (RFC 9370), concatenated."""
    OLD_SKD = "OLD_SKD"
    ALG_PRF = "ALG_PRF"
    ALG_OLD_PRF = "ALG_OLD_PRF"
    ALG_ENCR = "ALG_ENCR"
    ALG_ENCR_LEN = "ALG_ENCR_LEN"
    """In bits, whatever the comment in charon's source says."""
    ALG_INTEG = "ALG_INTEG"
    ALG_DH = "ALG_DH"
    ALG_ADD_KES = "ALG_ADD_KES"
    IPSEC_MODE = "IPSEC_MODE"
    IPCOMP = "IPCOMP"
    INBOUND_SPI = "INBOUND_SPI"
    OUTBOUND_SPI = "OUTBOUND_SPI"
    INBOUND_CPI = "INBOUND_CPI"
    OUTBOUND_CPI = "OUTBOUND_CPI"
    LOCAL_TS = "LOCAL_TS"
    REMOTE_TS = "REMOTE_TS"
    MID = "MID"
    SEGMENT = "SEGMENT"
    ESN = "ESN"
    IKE_VERSION = "IKE_VERSION"
    """Stands before IKE_ID in IKE_ADD: charon makes the IKE_SA when it reads IKE_ID."""
    LOCAL_DH = "LOCAL_DH"
    """This and what follows: IKEv1 only."""
    REMOTE_DH = "REMOTE_DH"
    PSK = "PSK"
    IV = "IV"
    AUTH_METHOD = "AUTH_METHOD"


ENCODINGS: Final[dict[Attribute, Encoding]] = {
    Attribute.IKE_ID: Encoding.IKE_ID,
    Attribute.IKE_REKEY_ID: Encoding.IKE_ID,
    Attribute.LOCAL_ID: Encoding.IDENTITY,
    Attribute.REMOTE_ID: Encoding.IDENTITY,
    Attribute.REMOTE_EAP_ID: Encoding.IDENTITY,
    Attribute.LOCAL_ADDR: Encoding.HOST,
    Attribute.REMOTE_ADDR: Encoding.HOST,
    Attribute.CONFIG_NAME: Encoding.STRING,
    Attribute.CONDITIONS: Encoding.U32,
    Attribute.EXTENSIONS: Encoding.U32,
    Attribute.LOCAL_VIP: Encoding.HOST,
    Attribute.REMOTE_VIP: Encoding.HOST,
    Attribute.PEER_ADDR: Encoding.HOST,
    Attribute.INITIATOR: Encoding.U8,
    Attribute.NONCE_I: Encoding.CHUNK,
    Attribute.NONCE_R: Encoding.CHUNK,
    Attribute.SECRET: Encoding.CHUNK,
    Attribute.ADD_SECRET: Encoding.CHUNK,
    Attribute.OLD_SKD: Encoding.CHUNK,
    Attribute.ALG_PRF: Encoding.U16,
    Attribute.ALG_OLD_PRF: Encoding.U16,
    Attribute.ALG_ENCR: Encoding.U16,
    Attribute.ALG_ENCR_LEN: Encoding.U16,
    Attribute.ALG_INTEG: Encoding.U16,
    Attribute.ALG_DH: Encoding.U16,
    Attribute.ALG_ADD_KES: Encoding.CHUNK,
    Attribute.IPSEC_MODE: Encoding.U8,
    Attribute.IPCOMP: Encoding.U8,
    Attribute.INBOUND_SPI: Encoding.SPI,
    Attribute.OUTBOUND_SPI: Encoding.SPI,
    Attribute.INBOUND_CPI: Encoding.CPI,
    Attribute.OUTBOUND_CPI: Encoding.CPI,
    Attribute.LOCAL_TS: Encoding.TRAFFIC_SELECTOR,
    Attribute.REMOTE_TS: Encoding.TRAFFIC_SELECTOR,
    Attribute.MID: Encoding.U32,
    Attribute.SEGMENT: Encoding.U16,
    Attribute.ESN: Encoding.U16,
    Attribute.IKE_VERSION: Encoding.U8,
    Attribute.LOCAL_DH: Encoding.CHUNK,
    Attribute.REMOTE_DH: Encoding.CHUNK,
    Attribute.PSK: Encoding.CHUNK,
    Attribute.IV: Encoding.CHUNK,
    Attribute.AUTH_METHOD: Encoding.U16,
}

_ADDED_IN_4: Final = (Attribute.ADD_SECRET, Attribute.ALG_ADD_KES)

# Attributes are numbered from 1 in the order in which `Attribute` lists them.
_NUMBERS_4: Final[dict[Attribute, int]] = {
    attribute: number for number, attribute in enumerate(Attribute, start=1)
}
_NUMBERS_3: Final[dict[Attribute, int]] = {
    attribute: number
    for number, attribute in enumerate((a for a in Attribute if a not in _ADDED_IN_4), start=1)
}

NUMBERS: Final[dict[int, dict[Attribute, int]]] = {3: _NUMBERS_3, 4: _NUMBERS_4, 5: _NUMBERS_4}
"""Wire version to the number of each attribute."""

ATTRIBUTES: Final[dict[int, dict[int, Attribute]]] = {
    version: {number: attribute for attribute, number in numbers.items()}
    for version, numbers in NUMBERS.items()
}
"""Wire version to the attribute of each number."""

PRIVATE_SET_BIT: Final = 1 << 31
"""Wire version 5: marks the second CONDITIONS and EXTENSIONS, which hold the private ones."""


def wire_version_of_release(release: str) -> int | None:
    """Return the wire version that a strongSwan release speaks, None if it is none of `NUMBERS`.

    Args:
        release: as VICI's version command has it, such as "5.9.8" or "6.0.2dr1".
    """
    numbers = []
    for part in release.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            return None
        numbers.append(int(digits))
    parts = tuple(numbers)
    if parts < (5, 4):
        return None
    if parts <= (6, 0, 0):
        return 3
    return 4 if parts == (6, 0, 1) else 5
