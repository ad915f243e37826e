"""The HA messages that put a client into a charon, and those that activate and remove it. No IO.

Source: strongSwan, src/libcharon/plugins/ha/ha_dispatcher.c.
"""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import Endpoint
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa, IkeSpis
from gossipsa.strongswan.ha_attributes import Attribute, MessageType
from gossipsa.strongswan.ha_codec import HaMessage, HaTrafficSelector, HaValue, IkeId
from gossipsa.strongswan.sa_translation import split_bits

_Attributes = list[tuple[Attribute, HaValue]]

MESSAGE_BYTES_MAX = 2048
"""Charon throws away longer datagrams, unless charon.plugins.ha.buflen says otherwise."""


def import_stages(state: ClientState, *, version: int) -> tuple[tuple[HaMessage, ...], ...]:
    """Return the messages that install a client, passive, one stage an IKE_SA, the oldest first.

    Each stage adds an IKE_SA, and the CHILD_SAs that were negotiated under it; the next one's IKE_SA replaces
    it and inherits the CHILD_SAs. A stage may be sent only when charon is known to have the one before:
    charon follows a null pointer, and dies, when an IKE_SA replaces one that has no connection yet.

    Addresses that the client announced (PEER_ADDR) are left out: charon would try them on its own.

    Args:
        state: with this gateway's own address and port in `local`.
        version: wire version that charon speaks.
    """
    stages = []
    for number, sa in enumerate(state.ike_sas):
        replaced = state.ike_sas[number - 1] if number else None
        is_current = number == len(state.ike_sas) - 1
        stage = [_ike_add(sa, replaced), _ike_update(sa, is_first=number == 0, version=version)]
        stage += [_child_add(sa, child) for child in state.children if child.ike_spis == sa.spis]
        if is_current:
            stage += _message_ids(sa)
        stages.append(tuple(stage))
    return tuple(stages)


def delete_messages(state: ClientState) -> tuple[HaMessage, ...]:
    """Return the messages that remove every IKE_SA of a client, and so its CHILD_SAs.

    Charon destroys them without telling the client; IKE_SAs that it does not have it ignores.
    """
    return tuple(
        HaMessage(MessageType.IKE_DELETE, (_ike_id(sa.spis, we_initiated=sa.we_initiated),))
        for sa in state.ike_sas
    )


def message_id_message(sa: IkeSa, message_id_initiator: int) -> HaMessage:
    """Return the message that sets the message ID of the next request that the gateway starts."""
    attributes = (_ike_id(sa.spis, we_initiated=sa.we_initiated), (Attribute.MID, message_id_initiator))
    return HaMessage(MessageType.IKE_MID_INITIATOR, attributes)


def remote_address_message(sa: IkeSa, remote: Endpoint) -> HaMessage:
    """Return the message that changes the client's address in its IKE_SA, but not in its CHILD_SAs."""
    attributes = (_ike_id(sa.spis, we_initiated=sa.we_initiated), (Attribute.REMOTE_ADDR, remote))
    return HaMessage(MessageType.IKE_UPDATE, attributes)


def segment_flip_messages(segment: int) -> tuple[HaMessage, HaMessage]:
    """Return the two messages that activate every passive IKE_SA of a segment.

    The first makes charon passive, the second active again, so that it goes through all IKE_SAs. Until the
    second arrives, charon ignores every client in the segment: it is to be sent again to be sure.
    """
    take = HaMessage(MessageType.SEGMENT_TAKE, ((Attribute.SEGMENT, segment),))
    drop = HaMessage(MessageType.SEGMENT_DROP, ((Attribute.SEGMENT, segment),))
    return take, drop


def resync_message(segment_count: int) -> HaMessage:
    """Return the message that asks charon for all its IKE_SAs; it rekeys every CHILD_SA as it answers."""
    segments = tuple((Attribute.SEGMENT, segment) for segment in range(1, segment_count + 1))
    return HaMessage(MessageType.RESYNC, segments)


def with_local_endpoint(state: ClientState, local: Endpoint) -> ClientState:
    """Return a client's state as it is to be at another gateway's address."""
    sas = tuple(msgspec.structs.replace(sa, local=local) for sa in state.ike_sas)
    return msgspec.structs.replace(state, ike_sas=sas)


def _ike_id(spis: IkeSpis, *, we_initiated: bool) -> tuple[Attribute, HaValue]:
    return Attribute.IKE_ID, IkeId(version=2, spis=spis, we_initiated=we_initiated)


def _ike_add(sa: IkeSa, replaced: IkeSa | None) -> HaMessage:
    attributes: _Attributes = [
        (Attribute.IKE_VERSION, sa.ike_version),
        _ike_id(sa.spis, we_initiated=sa.we_initiated),
    ]
    if replaced is not None:
        _, replaced_id = _ike_id(replaced.spis, we_initiated=replaced.we_initiated)
        attributes.append((Attribute.IKE_REKEY_ID, replaced_id))
    if sa.old_sk_d is not None:
        attributes.append((Attribute.ALG_OLD_PRF, sa.prf if sa.old_prf is None else sa.old_prf))
        attributes.append((Attribute.OLD_SKD, sa.old_sk_d))
    attributes += _transforms(sa.encryption, sa.encryption_key_bits, sa.integrity)
    attributes.append((Attribute.ALG_PRF, sa.prf))
    if sa.dh:
        attributes.append((Attribute.ALG_DH, sa.dh))
    attributes += [
        (Attribute.NONCE_I, sa.nonce_i),
        (Attribute.NONCE_R, sa.nonce_r),
        (Attribute.SECRET, sa.shared_secret),
        (Attribute.REMOTE_ADDR, sa.remote),
    ]
    return HaMessage(MessageType.IKE_ADD, tuple(attributes))


def _ike_update(sa: IkeSa, *, is_first: bool, version: int) -> HaMessage:
    attributes: _Attributes = [_ike_id(sa.spis, we_initiated=sa.we_initiated)]
    identities = (
        (Attribute.LOCAL_ID, sa.local_identity),
        (Attribute.REMOTE_ID, sa.remote_identity),
        (Attribute.REMOTE_EAP_ID, sa.remote_eap_identity),
    )
    attributes += [(attribute, identity) for attribute, identity in identities if identity is not None]
    attributes += [(Attribute.LOCAL_ADDR, sa.local), (Attribute.REMOTE_ADDR, sa.remote)]
    attributes += [(Attribute.CONDITIONS, word) for word in split_bits(sa.conditions, version=version)]
    attributes += [(Attribute.EXTENSIONS, word) for word in split_bits(sa.extensions, version=version)]
    attributes.append((Attribute.CONFIG_NAME, sa.connection))
    if is_first:
        # A replacement inherits them; to set them again would withdraw them first.
        attributes += [
            (Attribute.REMOTE_VIP, Endpoint(address=address, port=0)) for address in sa.virtual_addresses
        ]
    return HaMessage(MessageType.IKE_UPDATE, tuple(attributes))


def _message_ids(sa: IkeSa) -> list[HaMessage]:
    """Charon ignores a message ID of 0, which is what a new IKE_SA has anyway."""
    numbers = (
        (MessageType.IKE_MID_INITIATOR, sa.message_id_initiator),
        (MessageType.IKE_MID_RESPONDER, sa.message_id_responder),
    )
    return [
        HaMessage(kind, (_ike_id(sa.spis, we_initiated=sa.we_initiated), (Attribute.MID, number)))
        for kind, number in numbers
        if number
    ]


def _child_add(sa: IkeSa, child: ChildSa) -> HaMessage:
    attributes: _Attributes = [
        _ike_id(sa.spis, we_initiated=sa.we_initiated),
        (Attribute.INITIATOR, int(child.we_initiated)),
        (Attribute.INBOUND_SPI, child.inbound_spi),
        (Attribute.OUTBOUND_SPI, child.outbound_spi),
        (Attribute.INBOUND_CPI, child.inbound_cpi),
        (Attribute.OUTBOUND_CPI, child.outbound_cpi),
        (Attribute.IPSEC_MODE, int(child.mode)),
        (Attribute.IPCOMP, child.ipcomp),
        (Attribute.CONFIG_NAME, child.name),
        *_transforms(child.encryption, child.encryption_key_bits, child.integrity),
    ]
    if child.dh is not None:
        attributes.append((Attribute.ALG_DH, child.dh))
    attributes += [
        (Attribute.ESN, int(child.esn)),
        (Attribute.NONCE_I, child.nonce_i),
        (Attribute.NONCE_R, child.nonce_r),
    ]
    if child.shared_secret is not None:
        attributes.append((Attribute.SECRET, child.shared_secret))
    for attribute, selectors in (
        (Attribute.LOCAL_TS, child.local_selectors),
        (Attribute.REMOTE_TS, child.remote_selectors),
    ):
        attributes += [(attribute, HaTrafficSelector(selector=selector)) for selector in selectors]
    return HaMessage(MessageType.CHILD_ADD, tuple(attributes))


def _transforms(encryption: int, key_bits: int, integrity: int | None) -> _Attributes:
    attributes: _Attributes = [(Attribute.ALG_ENCR, encryption)]
    if key_bits:
        attributes.append((Attribute.ALG_ENCR_LEN, key_bits))
    if integrity is not None:
        attributes.append((Attribute.ALG_INTEG, integrity))
    return attributes
