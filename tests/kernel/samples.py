"""Values that tests of kernels share: one gateway, one client, one inner address."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from gossipsa.identifiers import IpAddress, Secret
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.ipsec.traffic_selector import TrafficSelector
from gossipsa.ipsec.transforms import EncryptionTransform, IntegrityTransform
from gossipsa.kernel.backend import NewSa, SaId

GATEWAY = IPv4Address("10.1.0.2")
CLIENT = IPv4Address("10.1.0.9")
GATEWAY6 = IPv6Address("fd00:1::2")
CLIENT6 = IPv6Address("fd00:1::9")
INNER = IPv4Address("10.99.1.1")
GCM_KEY = Secret(bytes(range(20)))


def selector(first: str, last: str | None = None) -> TrafficSelector:
    """All protocols and ports of a range of addresses."""
    start: IpAddress = ip_address(first)
    end: IpAddress = ip_address(last or first)
    return TrafficSelector(protocol=0, from_port=0, to_port=0xFFFF, start=start, end=end)


def gcm_sa(
    spi: int,
    destination: IpAddress = CLIENT,
    source: IpAddress = GATEWAY,
    *,
    esn: bool = True,
    sent: int = 0,
    received: int = 0,
    packet_limit: int = 2**64 - 1,
    encapsulation: tuple[int, int] | None = None,
    destinations: tuple[TrafficSelector, ...] = (),
    reverse: SaId | None = None,
) -> NewSa:
    """An SA with AES-GCM, outbound unless said otherwise."""
    return NewSa(
        id=SaId(spi, destination),
        source=source,
        mode=IpsecMode.TUNNEL,
        encryption=EncryptionTransform.AES_GCM_16,
        integrity=None,
        encryption_key=GCM_KEY,
        integrity_key=Secret(),
        esn=esn,
        sent=sent,
        received=received,
        packet_limit=packet_limit,
        encapsulation=encapsulation,
        destinations=destinations,
        reverse=reverse,
    )


def cbc_sa(spi: int, destination: IpAddress = CLIENT, source: IpAddress = GATEWAY) -> NewSa:
    """An SA with AES-CBC and HMAC-SHA-256, without ESN."""
    return NewSa(
        id=SaId(spi, destination),
        source=source,
        mode=IpsecMode.TUNNEL,
        encryption=EncryptionTransform.AES_CBC,
        integrity=IntegrityTransform.SHA2_256_128,
        encryption_key=Secret(bytes(range(16))),
        integrity_key=Secret(bytes(range(32))),
        esn=False,
    )
