"""What a fuzzing engine has to know of one decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class Syntax(Enum):
    """What valid input is made of: decides how it is mutated."""

    BYTES = auto()
    MESSAGEPACK = auto()
    TEXT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One decoder, or one way into it."""

    name: str
    run: Callable[[bytes], object]
    """Decodes; returns what came out."""
    refuses: tuple[type[Exception], ...]
    """What it may raise. Anything else is a bug."""
    seeds: tuple[bytes, ...]
    """Valid input."""
    input_bytes_max: int
    """More never reaches it."""
    covers: tuple[str, ...]
    """The product's functions and decoders that it runs, as `module:name`."""
    syntax: Syntax = Syntax.BYTES
    growth: int = 64
    """Bytes of memory that one byte of input may cost at most, while it is decoded."""


def name_of(function: Callable[..., object]) -> str:
    """`module:name` of a function or method of the product."""
    return f"{function.__module__}:{function.__qualname__}"


def outcome(target: Target, data: bytes) -> str:
    """Runs a target.

    Returns:
        "accepted" or "refused".

    Raises:
        Exception: whatever the decoder may not raise.
    """
    try:
        target.run(data)
    except target.refuses:
        return "refused"
    return "accepted"
