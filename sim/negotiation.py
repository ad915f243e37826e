"""How simulated clients and IKE daemons make IKE_SAs and CHILD_SAs.

The first exchange (IKE_SA_INIT, IKE_AUTH) is not simulated: both sides get the same secrets. Rekeys pass as
real sealed CREATE_CHILD_SA messages, simplified: the SA payload holds the new SPI and nothing else, no
traffic selectors travel, and the Diffie-Hellman value is a hash of both KE payloads.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address
from random import Random

import msgspec

from gossipsa.identifiers import Endpoint, IpAddress, Secret
from gossipsa.ikev2.payloads import Payload, RawPayload
from gossipsa.ikev2.registry import DiffieHellmanGroup, EncryptionTransform, PayloadType, PrfTransform
from gossipsa.ipsec.security_association import ChildSa, ClientState, Identity, IkeSa, IkeSpis, IpsecMode
from gossipsa.ipsec.traffic_selector import TrafficSelector

ESP_SPI_BYTES = 4
IKE_SPI_BYTES = 8
_NONCE_BYTES = 32
_KEY_BITS = 128
_KEY_ID = 11


def host_selector(address: IpAddress) -> TrafficSelector:
    """One address, any protocol and port."""
    return TrafficSelector(protocol=0, from_port=0, to_port=65535, start=address, end=address)


_EVERYTHING = TrafficSelector(
    protocol=0, from_port=0, to_port=65535, start=IPv4Address("10.0.0.0"), end=IPv4Address("10.127.255.255")
)


def new_client_state(
    *, client: str, local: Endpoint, remote: Endpoint, virtual_address: IpAddress, random: Random
) -> ClientState:
    """What IKE_SA_INIT and IKE_AUTH with a client end in, as the gateway sees it.

    Args:
        client: name of the client; its identity.
        local: endpoint of the gateway.
    """
    spis = IkeSpis(random.randbytes(IKE_SPI_BYTES), random.randbytes(IKE_SPI_BYTES))
    ike_sa = IkeSa(
        spis=spis,
        we_initiated=False,
        prf=PrfTransform.HMAC_SHA2_256,
        encryption=EncryptionTransform.AES_GCM_16,
        encryption_key_bits=_KEY_BITS,
        integrity=None,
        dh=DiffieHellmanGroup.CURVE25519,
        nonce_i=Secret(random.randbytes(_NONCE_BYTES)),
        nonce_r=Secret(random.randbytes(_NONCE_BYTES)),
        shared_secret=Secret(random.randbytes(32)),
        local=local,
        remote=remote,
        local_identity=Identity(_KEY_ID, b"gateway"),
        remote_identity=Identity(_KEY_ID, client.encode()),
        connection="clients",
        virtual_addresses=(virtual_address,),
        message_id_initiator=0,
        message_id_responder=2,
        established=True,
    )
    child = ChildSa(
        ike_spis=spis,
        name="net",
        inbound_spi=new_esp_spi(random),
        outbound_spi=new_esp_spi(random),
        mode=IpsecMode.TUNNEL,
        encryption=EncryptionTransform.AES_GCM_16,
        encryption_key_bits=_KEY_BITS,
        integrity=None,
        esn=bool(random.getrandbits(1)),
        we_initiated=False,
        nonce_i=ike_sa.nonce_i,
        nonce_r=ike_sa.nonce_r,
        local_selectors=(_EVERYTHING,),
        remote_selectors=(host_selector(virtual_address),),
    )
    return ClientState(ike_sas=(ike_sa,), children=(child,))


def client_name(state: ClientState) -> str:
    """The name of the client that a gateway's state is about."""
    identity = state.ike_sa.remote_identity
    return identity.data.decode() if identity is not None else "?"


def mirrored(state: ClientState) -> ClientState:
    """The same SAs as the other side sees them."""
    return ClientState(
        ike_sas=tuple(
            msgspec.structs.replace(
                ike_sa,
                we_initiated=not ike_sa.we_initiated,
                local=ike_sa.remote,
                remote=ike_sa.local,
                local_identity=ike_sa.remote_identity,
                remote_identity=ike_sa.local_identity,
                message_id_initiator=ike_sa.message_id_responder,
                message_id_responder=ike_sa.message_id_initiator,
            )
            for ike_sa in state.ike_sas
        ),
        children=tuple(
            msgspec.structs.replace(
                child,
                inbound_spi=child.outbound_spi,
                outbound_spi=child.inbound_spi,
                we_initiated=not child.we_initiated,
                local_selectors=child.remote_selectors,
                remote_selectors=child.local_selectors,
            )
            for child in state.children
        ),
    )


def new_esp_spi(random: Random) -> int:
    """An SPI as strongSwan chooses them."""
    return random.randrange(0xC0000000, 0xD0000000)


def new_nonce(random: Random) -> bytes:
    return random.randbytes(_NONCE_BYTES)


def rekeyed_child(
    old: ChildSa,
    *,
    ike_spis: IkeSpis,
    inbound_spi: int,
    outbound_spi: int,
    nonce_i: bytes,
    nonce_r: bytes,
    we_initiated: bool,
) -> ChildSa:
    """The successor of a CHILD_SA."""
    return msgspec.structs.replace(
        old,
        ike_spis=ike_spis,
        inbound_spi=inbound_spi,
        outbound_spi=outbound_spi,
        nonce_i=Secret(nonce_i),
        nonce_r=Secret(nonce_r),
        we_initiated=we_initiated,
    )


def rekeyed_ike_sa(
    old: IkeSa,
    *,
    old_sk_d: Secret,
    spi_i: bytes,
    spi_r: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    exchange_i: bytes,
    exchange_r: bytes,
    we_initiated: bool,
) -> IkeSa:
    """The successor of an IKE_SA; its message IDs begin anew (RFC 7296 section 2.18)."""
    return msgspec.structs.replace(
        old,
        spis=IkeSpis(spi_i, spi_r),
        we_initiated=we_initiated,
        nonce_i=Secret(nonce_i),
        nonce_r=Secret(nonce_r),
        shared_secret=Secret(hashlib.blake2b(exchange_i + exchange_r, digest_size=32).digest()),
        old_sk_d=old_sk_d,
        message_id_initiator=0,
        message_id_responder=0,
    )


def sa_payload(spi: bytes) -> RawPayload:
    return RawPayload(payload_type=PayloadType.SA, body=spi)


def nonce_payload(nonce: bytes) -> RawPayload:
    return RawPayload(payload_type=PayloadType.NONCE, body=nonce)


def exchange_payload(value: bytes) -> RawPayload:
    return RawPayload(payload_type=PayloadType.KE, body=value)


def body_of(payloads: tuple[Payload, ...], payload_type: PayloadType) -> bytes:
    """The body of the first payload of that type; empty if there is none."""
    for payload in payloads:
        if isinstance(payload, RawPayload) and payload.payload_type == payload_type:
            return payload.body
    return b""
