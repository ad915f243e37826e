"""Anti-replay window of an inbound SA: RFC 4303 section 3.4.3, extended sequence numbers by its appendix A2.

Checking and accepting are two steps: a packet is checked before it is decrypted, and only a packet that
authenticated may move the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from gossipsa.errors import CallerError

WINDOW_PACKETS_MAX = 4096
"""Largest window: that of the Linux kernel (XFRMA_REPLAY_ESN_MAX)."""

_U32 = 1 << 32


class ReplayWindowError(CallerError):
    """An impossible window, or a sequence number that does not fit. The window is unchanged."""


class ReplayVerdict(Enum):
    """What the window says about a sequence number."""

    FRESH = "fresh"
    """Never accepted and not too old."""
    DUPLICATE = "duplicate"
    """Accepted before."""
    TOO_OLD = "too old"
    """Left of the window, or zero, which no sender uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWindow:
    """The highest sequence number accepted and which of those below it were.

    A value: `accept` returns the next one.
    """

    window_packets: int
    """Width of the window, 1 to `WINDOW_PACKETS_MAX`."""
    extended: bool
    """True with 64-bit sequence numbers (ESN)."""
    top_sequence: int = 0
    """Highest number accepted; 0 before the first packet. 64 bits wide with ESN, else 32."""
    bitmap: int = 0
    """Bit i is set if `top_sequence` - i was accepted."""

    def __post_init__(self) -> None:
        if not 1 <= self.window_packets <= WINDOW_PACKETS_MAX:
            raise ReplayWindowError(
                f"window of {self.window_packets} packets, 1 to {WINDOW_PACKETS_MAX} possible"
            )
        if not 0 <= self.top_sequence <= self._sequence_max:
            raise ReplayWindowError("top sequence number does not fit")
        if not 0 <= self.bitmap < 1 << self.window_packets:
            raise ReplayWindowError("bitmap is wider than the window")

    @classmethod
    def from_ring(
        cls, words: Sequence[int], *, top_sequence: int, window_packets: int, extended: bool
    ) -> ReplayWindow:
        """Read the ring of bits that Linux keeps (xfrm_replay_state_esn, with ESN or without).

        Number n stands at bit (n - 1) mod `window_packets`, counted from the lowest bit of the first word.

        Args:
            words: the bitmap, 32 bits a word, lowest first.

        Raises:
            ReplayWindowError: the words do not fit the window.
        """
        window = cls(window_packets=window_packets, extended=extended, top_sequence=top_sequence)
        if len(words) != -(-window_packets // 32) or not all(0 <= word < _U32 for word in words):
            raise ReplayWindowError(f"{len(words)} words of bitmap for a window of {window_packets} packets")
        ring = sum(word << 32 * index for index, word in enumerate(words))
        bitmap = 0
        for age in range(min(window_packets, top_sequence)):
            bitmap |= (ring >> (top_sequence - 1 - age) % window_packets & 1) << age
        return replace(window, bitmap=bitmap)

    def to_ring(self) -> tuple[int, ...]:
        """Return the bitmap as Linux keeps it; see `from_ring`."""
        width, top = self.window_packets, self.top_sequence
        bitmap = self.bitmap if top >= width else self.bitmap & (1 << top) - 1
        # The bit of age 0 comes to stand at width - 1, that of age 1 below it, ...
        mirrored = int(f"{bitmap:0{width}b}"[::-1], 2)
        turned = mirrored << top % width
        ring = (turned | turned >> width) & (1 << width) - 1
        return tuple(ring >> 32 * index & (_U32 - 1) for index in range(-(-width // 32)))

    @property
    def _sequence_max(self) -> int:
        return _U32 * _U32 - 1 if self.extended else _U32 - 1

    def infer_sequence(self, sequence_low: int) -> int | None:
        """Complete the 32 bits that travel to the whole sequence number.

        Returns:
            With ESN, the number that lies in the window or less than 2^32 minus the window above it (RFC 4303
            appendix A2.2); None if that would be below zero or above 2^64 - 1. Without ESN, `sequence_low`.

        Raises:
            ReplayWindowError: not a 32-bit number.
        """
        if not 0 <= sequence_low < _U32:
            raise ReplayWindowError("low half of a sequence number has 32 bits")
        if not self.extended:
            return sequence_low
        top_high, top_low = divmod(self.top_sequence, _U32)
        bottom_low = (top_low - self.window_packets + 1) % _U32
        if top_low >= self.window_packets - 1:  # Case A: the window lies in one subspace.
            high = top_high if sequence_low >= bottom_low else top_high + 1
        else:  # Case B: it reaches back into the subspace before.
            high = top_high - 1 if sequence_low >= bottom_low else top_high
        return high * _U32 + sequence_low if 0 <= high < _U32 else None

    def check(self, sequence: int) -> ReplayVerdict:
        """Judge a whole sequence number; changes nothing.

        Raises:
            ReplayWindowError: the number does not fit.
        """
        if not 0 <= sequence <= self._sequence_max:
            raise ReplayWindowError("sequence number does not fit")
        age = self.top_sequence - sequence
        # RFC 4303 section 3.3.3: the first packet has number 1.
        if sequence == 0 or age >= self.window_packets:
            return ReplayVerdict.TOO_OLD
        if age >= 0 and self.bitmap >> age & 1:
            return ReplayVerdict.DUPLICATE
        return ReplayVerdict.FRESH

    def accept(self, sequence: int) -> ReplayWindow:
        """Return the window after a packet with this whole sequence number authenticated.

        Raises:
            ReplayWindowError: the number does not fit, or `check` does not call it fresh.
        """
        if self.check(sequence) is not ReplayVerdict.FRESH:
            raise ReplayWindowError("only a fresh sequence number can be accepted")
        age = self.top_sequence - sequence
        if age >= 0:
            return self._moved(self.top_sequence, self.bitmap | 1 << age)
        advance = -age
        if advance >= self.window_packets:
            return self._moved(sequence, 1)
        mask = (1 << self.window_packets) - 1
        return self._moved(sequence, (self.bitmap << advance | 1) & mask)

    def _moved(self, top_sequence: int, bitmap: int) -> ReplayWindow:
        """A sound window, made for every packet that arrives: nothing of it is checked again."""
        window = object.__new__(ReplayWindow)
        set_field = object.__setattr__
        set_field(window, "window_packets", self.window_packets)
        set_field(window, "extended", self.extended)
        set_field(window, "top_sequence", top_sequence)
        set_field(window, "bitmap", bitmap)
        return window
