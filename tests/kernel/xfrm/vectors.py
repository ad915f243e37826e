"""Reads iproute2-messages.txt."""

import struct
from pathlib import Path
from typing import NamedTuple

from gossipsa.kernel.xfrm.uapi import Attribute


class Vector(NamedTuple):
    """A message that iproute2 sends for a command."""

    command: str
    message_type: int
    flags: int
    payload: bytes
    """All behind the netlink header."""


def read_vectors() -> list[Vector]:
    text = (Path(__file__).parent / "iproute2-messages.txt").read_text()
    vectors = []
    for block in text.split("\n\n")[1:]:
        command, kind, *lines = block.strip().splitlines()
        message_type, flags = (int(number, 16) for number in kind.split())
        payload = _with_bitmap(bytes.fromhex("".join(lines)))
        vectors.append(Vector(command, message_type, flags, payload))
    return vectors


def _with_bitmap(payload: bytes) -> bytes:
    """Put in the bitmap of zeros that iproute2 leaves out, which the kernel allows in NEWSA alone."""
    short = struct.pack("=HH6I", 28, Attribute.REPLAY_ESN_VAL, 2, 0, 0, 0, 0, 64)
    whole = struct.pack("=HH", 36, Attribute.REPLAY_ESN_VAL) + short[4:] + bytes(8)
    return payload.replace(short, whole)
