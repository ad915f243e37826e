"""Identities, requests and trust lists as operators see them: one line of text that says what it is."""

from __future__ import annotations

import base64
import binascii
from enum import Enum

from gossipsa.errors import PeerError


class TextFormError(PeerError):
    """A text that is not what was asked for."""


class TextKind(Enum):
    """What a text holds: the word before the colon."""

    REQUEST = "gossipsa-request"
    IDENTITY = "gossipsa-identity"
    TRUST_LIST = "gossipsa-trust"
    AUTHORITY = "gossipsa-authority"
    """An authority's public key."""
    AUTHORITY_KEY = "gossipsa-authority-key"
    """An authority's private key, as its file holds it."""


def to_text(kind: TextKind, data: bytes) -> str:
    """One line, without its end."""
    return f"{kind.value}:{base64.b64encode(data).decode()}"


def from_text(kind: TextKind, text: str) -> bytes:
    """Reads what `to_text` wrote; blanks around it do not matter.

    Raises:
        TextFormError: of another kind, or no base64.
    """
    word, colon, encoded = text.strip().partition(":")
    if not colon or word != kind.value:
        others = [other.value for other in TextKind if other.value == word]
        found = f", not with {others[0]}:" if others else ""
        raise TextFormError(f"must begin with {kind.value}:{found}")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise TextFormError(f"is no base64 text after {kind.value}:") from None
