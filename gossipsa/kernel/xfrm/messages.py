"""XFRM messages as pyroute2 message classes: the schema of everything that gossipsa tells the kernel.

The names of attributes are those of the header. Dumps are not decoded with these classes but by
`sa_record`, ten times faster and without touching keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyroute2.netlink import nla, nlmsg

from gossipsa.kernel.xfrm.uapi import (
    AeventIdField,
    AlgorithmField,
    Attribute,
    AuthenticatorField,
    EncapsulationField,
    LifetimeCurrentField,
    MarkField,
    MessageType,
    ReplayStateEsnField,
    ReplayStateField,
    UserPolicyIdField,
    UserPolicyInfoField,
    UserSaIdField,
    UserSaInfoField,
    UserTemplateField,
)


class _XfrmMessage(nlmsg):  # type: ignore[misc]
    """Attributes are shared by all messages of the family."""

    __slots__ = ()
    prefix = "XFRMA_"
    nla_map = (
        (Attribute.ALG_CRYPT, "XFRMA_ALG_CRYPT", "algorithm"),
        (Attribute.ENCAP, "XFRMA_ENCAP", "encapsulation"),
        (Attribute.TMPL, "XFRMA_TMPL", "template"),
        (Attribute.LTIME_VAL, "XFRMA_LTIME_VAL", "lifetime_current"),
        (Attribute.REPLAY_VAL, "XFRMA_REPLAY_VAL", "replay_state"),
        (Attribute.SRCADDR, "XFRMA_SRCADDR", "address"),
        (Attribute.ALG_AEAD, "XFRMA_ALG_AEAD", "authenticator"),
        (Attribute.ALG_AUTH_TRUNC, "XFRMA_ALG_AUTH_TRUNC", "authenticator"),
        (Attribute.MARK, "XFRMA_MARK", "mark"),
        (Attribute.REPLAY_ESN_VAL, "XFRMA_REPLAY_ESN_VAL", "replay_state_esn"),
        (Attribute.IF_ID, "XFRMA_IF_ID", "uint32"),
        (Attribute.SA_DIR, "XFRMA_SA_DIR", "uint8"),
    )

    class algorithm(nla):  # type: ignore[misc]  # noqa: N801 - pyroute2's way to name attribute types
        fields = (("value", AlgorithmField),)

    class authenticator(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", AuthenticatorField),)

    class address(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", "16s"),)

    class encapsulation(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", EncapsulationField),)

    class template(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", UserTemplateField),)

    class lifetime_current(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", LifetimeCurrentField),)

    class replay_state(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", ReplayStateField),)

    class replay_state_esn(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", ReplayStateEsnField),)

    class mark(nla):  # type: ignore[misc]  # noqa: N801
        fields = (("value", MarkField),)


class UserSaInfoMessage(_XfrmMessage):
    """NEWSA, UPDSA."""

    __slots__ = ()
    fields = (("body", UserSaInfoField),)


class UserSaIdMessage(_XfrmMessage):
    """DELSA, GETSA."""

    __slots__ = ()
    fields = (("body", UserSaIdField),)


class AeventMessage(_XfrmMessage):
    """NEWAE, GETAE."""

    __slots__ = ()
    fields = (("body", AeventIdField),)


class UserPolicyInfoMessage(_XfrmMessage):
    """NEWPOLICY, UPDPOLICY."""

    __slots__ = ()
    fields = (("body", UserPolicyInfoField),)


class UserPolicyIdMessage(_XfrmMessage):
    """DELPOLICY, GETPOLICY."""

    __slots__ = ()
    fields = (("body", UserPolicyIdField),)


class ExpireMessage(_XfrmMessage):
    """EXPIRE: an SA reached one of its limits."""

    __slots__ = ()
    fields = (("body", UserSaInfoField), ("hard", "B"), ("__pad", "7x"))


MESSAGE_CLASSES: dict[int, type[nlmsg]] = {
    MessageType.NEWSA: UserSaInfoMessage,
    MessageType.UPDSA: UserSaInfoMessage,
    MessageType.DELSA: UserSaIdMessage,
    MessageType.GETSA: UserSaIdMessage,
    MessageType.NEWAE: AeventMessage,
    MessageType.GETAE: AeventMessage,
    MessageType.NEWPOLICY: UserPolicyInfoMessage,
    MessageType.UPDPOLICY: UserPolicyInfoMessage,
    MessageType.DELPOLICY: UserPolicyIdMessage,
    MessageType.GETPOLICY: UserPolicyIdMessage,
    MessageType.EXPIRE: ExpireMessage,
}


def encode(
    message_type: MessageType,
    body: tuple[Any, ...],
    attributes: Sequence[tuple[str, Any]] = (),
    *,
    flags: int = 0,
) -> bytearray:
    """Build a request. Its sequence number is filled in by the socket that sends it.

    Args:
        body: the NamedTuple of `uapi` that the message starts with.
        attributes: names as in `_XfrmMessage.nla_map`, with their values.
        flags: NLM_F_* beside NLM_F_REQUEST.
    """
    message = MESSAGE_CLASSES[message_type]()
    message["header"]["type"] = int(message_type)
    message["header"]["flags"] = flags | 1  # NLM_F_REQUEST
    message["body"] = body
    message["attrs"] = list(attributes)
    message.encode()
    data: bytearray = message.data
    return data
