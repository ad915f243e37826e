"""The exact bytes that are signed: one form for each kind of statement, told apart by its first field.

They are MessagePack arrays, which msgspec writes in one way only, and do not depend on the mesh: the identity
that verifies them does.
"""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import MemberState, Update

_ENCODER = msgspec.msgpack.Encoder()


def own_words(update: Update) -> bytes:
    """What a member says of itself, out of a complete update about it, whatever others add."""
    return _ENCODER.encode(
        (
            "gossipsa member 1",
            update.member,
            update.boot,
            update.incarnation,
            update.state is MemberState.LEFT,
            update.address,
            update.port,
            update.metadata,
            update.succeeds,
        )
    )


def suspicion(member: GatewayName, boot: BootId, incarnation: int) -> bytes:
    """What a witness signs that found the member silent."""
    return _ENCODER.encode(("gossipsa suspect 1", member, boot, incarnation))


def yielding(name: GatewayName, boot: BootId, successor: BootId) -> bytes:
    """What a boot signs that gives its name up to another."""
    return _ENCODER.encode(("gossipsa yield 1", name, boot, successor))
