from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.daemon.framing import FrameError, FrameReader, encode_frame
from gossipsa.wire.sessions import FRAME_BYTES_MAX


@given(
    st.lists(st.binary(min_size=1, max_size=200), max_size=8),
    st.lists(st.integers(min_value=1, max_value=60), min_size=1),
)
def test_frames_come_out_however_the_stream_is_cut(frames: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, frames))
    reader = FrameReader()
    received: list[bytes] = []
    while stream:
        size = cuts[len(received) % len(cuts)]
        received += reader.feed(stream[:size])
        stream = stream[size:]
    assert received == frames
    assert reader.is_between_frames


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_garbage_is_frames_or_a_frame_error(chunks: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except FrameError:
        pass


@pytest.mark.parametrize("size", [0, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_impossible_length_is_refused_before_its_bytes_come(size: int) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(size.to_bytes(4, "big"))


def test_longest_frame_passes() -> None:
    frame = bytes(FRAME_BYTES_MAX)
    assert FrameReader().feed(encode_frame(frame)) == [frame]


def test_half_a_frame_is_no_place_to_pause() -> None:
    reader = FrameReader()
    reader.feed(encode_frame(b"abc")[:-1])
    assert not reader.is_between_frames
