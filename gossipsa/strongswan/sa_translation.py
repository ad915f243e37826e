"""Charon's HA messages as neutral IKE_SAs and CHILD_SAs. `import_plan` is the way back.

Message IDs need no translation: IKE_MID_INITIATOR and IKE_MID_RESPONDER carry the number of the request just
sent or received, plus one, which is what `IkeSa` holds: the next to send, the next expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import TypeVar

import msgspec

from gossipsa.errors import PeerError
from gossipsa.identifiers import Endpoint, Secret
from gossipsa.ikev2.sa_keys import ike_keys_of
from gossipsa.ipsec.security_association import ChildSa, Identity, IkeSa, IkeSpis, IpsecMode
from gossipsa.strongswan.ha_attributes import PRIVATE_SET_BIT, Attribute
from gossipsa.strongswan.ha_codec import HaMessage, HaTrafficSelector, IkeId

UNKNOWN_ENDPOINT = Endpoint(address=IPv4Address(0), port=0)
"""Own address of an IKE_SA before its IKE_UPDATE."""

_PRIVATE_SHIFT = 32
_T = TypeVar("_T")


class UnusableMessageError(PeerError):
    """A well-formed HA message that lacks what its type needs, or describes what gossipsa cannot carry."""


def ike_sa_added(message: HaMessage) -> IkeSa:
    """Return the IKE_SA of an IKE_ADD: keys without identities, not established.

    Raises:
        UnusableMessageError: IKEv1, secrets of additional key exchanges, or an attribute is missing.
    """
    ike_id = _required(message.value(Attribute.IKE_ID, IkeId), Attribute.IKE_ID)
    if ike_id.version != 2:
        raise UnusableMessageError("IKEv1 is not carried")
    _refuse_additional_secrets(message)
    return IkeSa(
        spis=ike_id.spis,
        we_initiated=ike_id.we_initiated,
        ike_version=ike_id.version,
        prf=_required(message.number(Attribute.ALG_PRF), Attribute.ALG_PRF),
        encryption=_required(message.number(Attribute.ALG_ENCR), Attribute.ALG_ENCR),
        encryption_key_bits=message.number(Attribute.ALG_ENCR_LEN) or 0,
        integrity=message.number(Attribute.ALG_INTEG) or None,
        dh=message.number(Attribute.ALG_DH) or 0,
        nonce_i=_required(message.value(Attribute.NONCE_I, Secret), Attribute.NONCE_I),
        nonce_r=_required(message.value(Attribute.NONCE_R, Secret), Attribute.NONCE_R),
        shared_secret=_required(message.value(Attribute.SECRET, Secret), Attribute.SECRET),
        old_sk_d=message.value(Attribute.OLD_SKD, Secret),
        old_prf=message.number(Attribute.ALG_OLD_PRF),
        local=UNKNOWN_ENDPOINT,
        remote=message.value(Attribute.REMOTE_ADDR, Endpoint) or UNKNOWN_ENDPOINT,
    )


def ike_sa_rekeyed_in_place(sa: IkeSa, message: HaMessage) -> IkeSa:
    """Return an IKE_SA after a key exchange in IKE_INTERMEDIATE: an IKE_ADD without transforms tells of it.

    RFC 9370 section 2.2.2: its new keys hang on the SK_d so far, as after a rekey.

    Raises:
        UnusableMessageError: an attribute is missing, or additional secrets are there.
        UnsupportedTransformError: gossipsa cannot compute with the transforms of the IKE_SA.
    """
    _refuse_additional_secrets(message)
    return msgspec.structs.replace(
        sa,
        nonce_i=_required(message.value(Attribute.NONCE_I, Secret), Attribute.NONCE_I),
        nonce_r=_required(message.value(Attribute.NONCE_R, Secret), Attribute.NONCE_R),
        shared_secret=_required(message.value(Attribute.SECRET, Secret), Attribute.SECRET),
        old_sk_d=ike_keys_of(sa).sk_d,
        old_prf=sa.prf,
    )


def ike_sa_updated(sa: IkeSa, message: HaMessage) -> IkeSa:
    """Return an IKE_SA with what an IKE_UPDATE tells of it; one that names a connection establishes it.

    Addresses are taken only until it is established: charon sends no IKE_UPDATE when a client moves, and
    repeats the first one, with the addresses of that time, when it is asked to resynchronise.
    """
    connection = message.value(Attribute.CONFIG_NAME, str)
    local = message.value(Attribute.LOCAL_ADDR, Endpoint)
    remote = message.value(Attribute.REMOTE_ADDR, Endpoint)
    virtual = message.values(Attribute.REMOTE_VIP, Endpoint)
    peers = message.values(Attribute.PEER_ADDR, Endpoint)
    conditions = message.values(Attribute.CONDITIONS, int)
    extensions = message.values(Attribute.EXTENSIONS, int)
    return msgspec.structs.replace(
        sa,
        local=sa.local if sa.established or local is None else local,
        remote=sa.remote if sa.established or remote is None else remote,
        local_identity=message.value(Attribute.LOCAL_ID, Identity) or sa.local_identity,
        remote_identity=message.value(Attribute.REMOTE_ID, Identity) or sa.remote_identity,
        remote_eap_identity=message.value(Attribute.REMOTE_EAP_ID, Identity) or sa.remote_eap_identity,
        connection=sa.connection if connection is None else connection,
        conditions=_joined_bits(conditions) if conditions else sa.conditions,
        extensions=_joined_bits(extensions) if extensions else sa.extensions,
        virtual_addresses=tuple(host.address for host in virtual) or sa.virtual_addresses,
        peer_addresses=peers or sa.peer_addresses,
        established=sa.established or connection is not None,
    )


def child_sa_added(message: HaMessage) -> ChildSa:
    """Return the CHILD_SA of a CHILD_ADD.

    Raises:
        UnusableMessageError: additional secrets, an unknown mode, or an attribute is missing.
    """
    _refuse_additional_secrets(message)
    mode = message.number(Attribute.IPSEC_MODE)
    if mode is None or mode not in IpsecMode.__members__.values():
        raise UnusableMessageError(f"IPsec mode {mode} is not carried")
    return ChildSa(
        ike_spis=_required(message.value(Attribute.IKE_ID, IkeId), Attribute.IKE_ID).spis,
        name=_required(message.value(Attribute.CONFIG_NAME, str), Attribute.CONFIG_NAME),
        inbound_spi=_required(message.number(Attribute.INBOUND_SPI), Attribute.INBOUND_SPI),
        outbound_spi=_required(message.number(Attribute.OUTBOUND_SPI), Attribute.OUTBOUND_SPI),
        mode=IpsecMode(mode),
        encryption=_required(message.number(Attribute.ALG_ENCR), Attribute.ALG_ENCR),
        encryption_key_bits=message.number(Attribute.ALG_ENCR_LEN) or 0,
        integrity=message.number(Attribute.ALG_INTEG) or None,
        esn=message.number(Attribute.ESN) == 1,
        dh=message.number(Attribute.ALG_DH) or None,
        ipcomp=message.number(Attribute.IPCOMP) or 0,
        inbound_cpi=message.number(Attribute.INBOUND_CPI) or 0,
        outbound_cpi=message.number(Attribute.OUTBOUND_CPI) or 0,
        we_initiated=message.number(Attribute.INITIATOR) == 1,
        nonce_i=_required(message.value(Attribute.NONCE_I, Secret), Attribute.NONCE_I),
        nonce_r=_required(message.value(Attribute.NONCE_R, Secret), Attribute.NONCE_R),
        shared_secret=message.value(Attribute.SECRET, Secret),
        local_selectors=tuple(ts.selector for ts in message.values(Attribute.LOCAL_TS, HaTrafficSelector)),
        remote_selectors=tuple(ts.selector for ts in message.values(Attribute.REMOTE_TS, HaTrafficSelector)),
    )


def spis_of(message: HaMessage) -> IkeSpis | None:
    """Return the SPIs of the IKE_SA that a message is about."""
    ike_id = message.value(Attribute.IKE_ID, IkeId)
    return None if ike_id is None else ike_id.spis


def rekeyed_spis_of(message: HaMessage) -> IkeSpis | None:
    """Return the SPIs of the IKE_SA that the one of an IKE_ADD replaces."""
    ike_id = message.value(Attribute.IKE_REKEY_ID, IkeId)
    return None if ike_id is None else ike_id.spis


def split_bits(bits: int, *, version: int) -> tuple[int, ...]:
    """Return a bit set of an `IkeSa` as the words that a wire version sends it in.

    Version 5 has a second word, for private bits; `IkeSa` keeps those above the first 32.
    """
    word = bits & (1 << _PRIVATE_SHIFT) - 1
    if version < 5:
        return (word,)
    return (word & ~PRIVATE_SET_BIT, bits >> _PRIVATE_SHIFT & ~PRIVATE_SET_BIT | PRIVATE_SET_BIT)


def _joined_bits(words: Iterable[int]) -> int:
    bits = 0
    for number, word in enumerate(words):
        # Before version 5 there is one word, and its bit 31 means nothing special.
        if number > 0 and word & PRIVATE_SET_BIT:
            bits |= (word & ~PRIVATE_SET_BIT) << _PRIVATE_SHIFT
        else:
            bits |= word
    return bits


def _refuse_additional_secrets(message: HaMessage) -> None:
    if message.value(Attribute.ADD_SECRET, Secret) is not None:
        raise UnusableMessageError("secrets of additional key exchanges are not carried")


def _required(value: _T | None, attribute: Attribute) -> _T:
    if value is None:
        raise UnusableMessageError(f"HA message lacks {attribute.name}")
    return value
