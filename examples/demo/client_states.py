"""Clients out of nothing: the IKE and IPsec state that a finished IKE_AUTH leaves behind, from random bytes.

The demo has no IKE daemon, so nobody negotiates. The demo draws what a negotiation would have agreed on and
tells both sides: the client keeps it, the client's first gateway is offered it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from gossipsa.identifiers import CLIENT_ID_BYTES, IKE_SPI_BYTES, ClientId, Endpoint, Secret
from gossipsa.ikev2.registry import DiffieHellmanGroup, EncryptionTransform, PrfTransform
from gossipsa.ipsec.security_association import ChildSa, ClientState, Identity, IkeSa, IkeSpis, IpsecMode
from gossipsa.ipsec.traffic_selector import TrafficSelector

Draw = Callable[[int], bytes]
"""Returns that many random bytes."""

VIRTUAL_NETWORK = IPv4Address("10.77.0.0")
"""Clients have virtual addresses from here on."""
SERVER = IPv4Address("10.78.0.1")
"""Whom the clients talk to, behind whichever gateway serves them."""

ESP_SUITES = (
    (EncryptionTransform.AES_GCM_16, 256),
    (EncryptionTransform.AES_GCM_16, 128),
    (EncryptionTransform.CHACHA20_POLY1305, 256),
)
"""Encryption and key bits of the CHILD_SAs, in turn. AEAD ciphers: with them a number used twice is fatal."""

_NONCE_BYTES = 32
_SHARED_SECRET_BYTES = 32
_SPI_RESERVED = 256  # RFC 4303 section 2.1: SPIs 1 to 255 are reserved.
_ID_FQDN = 2  # RFC 7296 section 3.5


def invent_client(
    *, index: int, client: Endpoint, gateway: Endpoint, draw: Draw
) -> tuple[ClientId, ClientState]:
    """Make the state of a client as its gateway keeps it.

    Args:
        index: counts the clients from 0; decides on virtual address, ESP transforms and ESN.
        client: where the client sends from.
        gateway: the IKE port of its first gateway.
        draw: source of nonces, secrets and SPIs.
    """
    spis = IkeSpis(initiator=draw(IKE_SPI_BYTES), responder=draw(IKE_SPI_BYTES))
    nonce_i, nonce_r = Secret(draw(_NONCE_BYTES)), Secret(draw(_NONCE_BYTES))
    virtual_address = VIRTUAL_NETWORK + 1 + index
    ike_sa = IkeSa(
        spis=spis,
        we_initiated=False,
        prf=PrfTransform.HMAC_SHA2_256,
        encryption=EncryptionTransform.AES_GCM_16,
        encryption_key_bits=256,
        integrity=None,
        dh=DiffieHellmanGroup.CURVE25519,
        nonce_i=nonce_i,
        nonce_r=nonce_r,
        shared_secret=Secret(draw(_SHARED_SECRET_BYTES)),
        local=gateway,
        remote=client,
        local_identity=Identity(type=_ID_FQDN, data=b"gateway.demo"),
        remote_identity=Identity(type=_ID_FQDN, data=f"client-{index:04}.demo".encode()),
        connection="demo",
        virtual_addresses=(virtual_address,),
        message_id_initiator=0,
        # IKE_SA_INIT had 0 and IKE_AUTH 1.
        message_id_responder=2,
        established=True,
    )
    encryption, key_bits = ESP_SUITES[index % len(ESP_SUITES)]
    child = ChildSa(
        ike_spis=spis,
        name="demo",
        inbound_spi=_draw_spi(draw),
        outbound_spi=_draw_spi(draw),
        mode=IpsecMode.TUNNEL,
        encryption=encryption,
        encryption_key_bits=key_bits,
        integrity=None,
        esn=index % 2 == 0,
        we_initiated=False,
        # The first CHILD_SA is made from the nonces of IKE_SA_INIT (RFC 7296 section 2.17).
        nonce_i=nonce_i,
        nonce_r=nonce_r,
        local_selectors=(_selector(IPv4Address(0), IPv4Address(2**32 - 1)),),
        remote_selectors=(_selector(virtual_address, virtual_address),),
    )
    return ClientId(draw(CLIENT_ID_BYTES)), ClientState(ike_sas=(ike_sa,), children=(child,))


def _draw_spi(draw: Draw) -> int:
    return _SPI_RESERVED + int.from_bytes(draw(4), "big") % (2**32 - _SPI_RESERVED)


def _selector(start: IPv4Address, end: IPv4Address) -> TrafficSelector:
    return TrafficSelector(protocol=0, from_port=0, to_port=0xFFFF, start=start, end=end)
