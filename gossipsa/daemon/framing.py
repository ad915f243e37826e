"""Frames of a mesh stream: u32 length, big-endian, and so many bytes. Pure."""

from __future__ import annotations

import struct

from gossipsa.errors import PeerError
from gossipsa.wire.sessions import FRAME_BYTES_MAX

_LENGTH = struct.Struct("!I")


class FrameError(PeerError):
    """A length that no frame has. Nothing that follows on this stream can be understood."""


def encode_frame(data: bytes) -> bytes:
    """A frame of 1 to FRAME_BYTES_MAX bytes as it travels."""
    assert 1 <= len(data) <= FRAME_BYTES_MAX
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Cuts a stream into frames. Holds no more than one unfinished frame and the chunk just fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between_frames(self) -> bool:
        """True if the stream may pause here."""
        return not self._buffer

    def feed(self, chunk: bytes | bytearray) -> list[bytes]:
        """Takes the next bytes and returns the frames that are complete now.

        Raises:
            FrameError: a length of zero, or above FRAME_BYTES_MAX.
        """
        self._buffer += chunk
        frames: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer, start)
            if not 1 <= size <= FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {size} bytes")
            end = start + _LENGTH.size + size
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return frames
