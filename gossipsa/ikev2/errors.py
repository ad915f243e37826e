"""What can be wrong with an IKE message."""

from __future__ import annotations

from gossipsa.errors import CallerError, PeerError


class IkeMessageError(PeerError):
    """A datagram that is no valid IKEv2 message. It must be dropped; nothing changed."""


class IkeAuthenticationError(IkeMessageError):
    """The message was not protected with these keys, or was damaged on the way."""


class IkeFragmentError(IkeMessageError):
    """A fragment of a message (RFC 7383); gossipsa neither sends nor reassembles fragments."""


class IkeFieldError(CallerError):
    """A message that cannot be encoded: a field is too long or out of range. Nothing was encoded."""
