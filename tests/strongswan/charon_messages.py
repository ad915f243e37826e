"""HA messages as charon sends them, with the least content."""

from __future__ import annotations

from ipaddress import IPv4Address

from gossipsa.identifiers import Endpoint, Secret
from gossipsa.ipsec.security_association import Identity, IkeSpis
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage, HaTrafficSelector, HaValue, IkeId

GATEWAY = Endpoint(address=IPv4Address("192.0.2.1"), port=4500)
CLIENT = Endpoint(address=IPv4Address("198.51.100.1"), port=4500)
VIRTUAL = Endpoint(address=IPv4Address("10.99.0.1"), port=0)
IKE_NONCES = (bytes(range(32)), bytes(range(32, 64)))
CHILD_NONCES = (bytes(range(64, 96)), bytes(range(96, 128)))


def spis(number: int) -> IkeSpis:
    return IkeSpis(initiator=number.to_bytes(8, "big"), responder=bytes([number]) * 8)


def ike_add(sa: IkeSpis, *, replaces: IkeSpis | None = None) -> HaMessage:
    attributes: list[tuple[Attribute, HaValue]] = [(Attribute.IKE_VERSION, 2), _ike_id(sa)]
    if replaces is not None:
        attributes += [
            (Attribute.IKE_REKEY_ID, IkeId(version=2, spis=replaces, we_initiated=False)),
            (Attribute.ALG_OLD_PRF, 5),
            (Attribute.OLD_SKD, Secret(b"old SK_d")),
        ]
    attributes += [
        (Attribute.ALG_ENCR, 12),
        (Attribute.ALG_ENCR_LEN, 128),
        (Attribute.ALG_INTEG, 12),
        (Attribute.ALG_PRF, 5),
        (Attribute.ALG_DH, 31),
        (Attribute.NONCE_I, Secret(IKE_NONCES[0])),
        (Attribute.NONCE_R, Secret(IKE_NONCES[1])),
        (Attribute.SECRET, Secret(b"shared secret")),
        (Attribute.REMOTE_ADDR, CLIENT),
    ]
    return HaMessage(MessageType.IKE_ADD, tuple(attributes))


def ike_update(sa: IkeSpis, *, connection: str = "rw") -> HaMessage:
    return HaMessage(
        MessageType.IKE_UPDATE,
        (
            _ike_id(sa),
            (Attribute.LOCAL_ID, Identity(type=2, data=b"gw.example.org")),
            (Attribute.REMOTE_ID, Identity(type=3, data=b"a@example.org")),
            (Attribute.LOCAL_ADDR, GATEWAY),
            (Attribute.REMOTE_ADDR, CLIENT),
            (Attribute.CONDITIONS, 0x4000),
            (Attribute.EXTENSIONS, 0x392B),
            (Attribute.CONFIG_NAME, connection),
            (Attribute.PEER_ADDR, CLIENT),
        ),
    )


def virtual_address(sa: IkeSpis) -> HaMessage:
    return HaMessage(MessageType.IKE_UPDATE, (_ike_id(sa), (Attribute.REMOTE_VIP, VIRTUAL)))


def message_id(sa: IkeSpis, number: int, *, initiator: bool = False) -> HaMessage:
    kind = MessageType.IKE_MID_INITIATOR if initiator else MessageType.IKE_MID_RESPONDER
    return HaMessage(kind, (_ike_id(sa), (Attribute.MID, number)))


def ike_delete(sa: IkeSpis) -> HaMessage:
    return HaMessage(MessageType.IKE_DELETE, (_ike_id(sa),))


def child_add(sa: IkeSpis, inbound_spi: int, *, name: str = "net") -> HaMessage:
    everything = TrafficSelector(
        protocol=0, from_port=0, to_port=0xFFFF, start=IPv4Address(0), end=IPv4Address(2**32 - 1)
    )
    return HaMessage(
        MessageType.CHILD_ADD,
        (
            _ike_id(sa),
            (Attribute.INITIATOR, 0),
            (Attribute.INBOUND_SPI, inbound_spi),
            (Attribute.OUTBOUND_SPI, inbound_spi + 0x1000),
            (Attribute.INBOUND_CPI, 0),
            (Attribute.OUTBOUND_CPI, 0),
            (Attribute.IPSEC_MODE, 2),
            (Attribute.IPCOMP, 0),
            (Attribute.CONFIG_NAME, name),
            (Attribute.ALG_ENCR, 20),
            (Attribute.ALG_ENCR_LEN, 128),
            (Attribute.ESN, 1),
            (Attribute.NONCE_I, Secret(CHILD_NONCES[0])),
            (Attribute.NONCE_R, Secret(CHILD_NONCES[1])),
            (Attribute.LOCAL_TS, HaTrafficSelector(selector=everything)),
            (Attribute.REMOTE_TS, HaTrafficSelector(selector=everything)),
        ),
    )


def child_delete(sa: IkeSpis, inbound_spi: int) -> HaMessage:
    return HaMessage(MessageType.CHILD_DELETE, (_ike_id(sa), (Attribute.INBOUND_SPI, inbound_spi)))


def _ike_id(sa: IkeSpis) -> tuple[Attribute, HaValue]:
    return Attribute.IKE_ID, IkeId(version=2, spis=sa, we_initiated=False)
