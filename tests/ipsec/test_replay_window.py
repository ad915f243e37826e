from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.ipsec.replay_window import (
    WINDOW_PACKETS_MAX,
    ReplayVerdict,
    ReplayWindow,
    ReplayWindowError,
)

U32 = 2**32


@st.composite
def windows(draw: st.DrawFn, *, extended: bool | None = None) -> ReplayWindow:
    is_extended = draw(st.booleans()) if extended is None else extended
    size = draw(st.sampled_from((1, 2, 31, 32, 33, 64, 100, 1024)))
    near_edge = st.builds(
        lambda edge, off: max(0, edge + off), st.sampled_from((0, U32, 5 * U32)), st.integers(-99, 99)
    )
    top = draw(near_edge if is_extended else st.integers(0, 200) | st.integers(U32 - 200, U32 - 1))
    # The top number itself was accepted; numbers below 1 never were.
    width = min(size, top)
    bitmap = draw(st.integers(0, 2**width - 1)) | 1 if width else 0
    return ReplayWindow(window_packets=size, extended=is_extended, top_sequence=top, bitmap=bitmap)


@given(st.integers(1, 70), st.lists(st.integers(0, 300), max_size=80))
def test_window_agrees_with_a_plain_set_of_accepted_numbers(size: int, numbers: list[int]) -> None:
    window = ReplayWindow(window_packets=size, extended=False)
    accepted: set[int] = set()
    for number in numbers:
        top = max(accepted, default=0)
        if number == 0 or number <= top - size:
            expected = ReplayVerdict.TOO_OLD
        else:
            expected = ReplayVerdict.DUPLICATE if number in accepted else ReplayVerdict.FRESH
        assert window.check(number) is expected
        if expected is ReplayVerdict.FRESH:
            window = window.accept(number)
            accepted.add(number)
            assert window.check(number) is not ReplayVerdict.FRESH
        else:
            with pytest.raises(ReplayWindowError):
                window.accept(number)
    assert window.top_sequence == max(accepted, default=0)


@given(windows(extended=True), st.data())
def test_low_half_is_completed_to_the_number_in_or_above_the_window(
    window: ReplayWindow, data: st.DataObject
) -> None:
    bottom = window.top_sequence - window.window_packets + 1
    sequence = data.draw(st.integers(max(0, bottom), bottom + U32 - 1))
    assert window.infer_sequence(sequence % U32) == sequence


@given(windows(extended=True), st.integers(0, U32 - 1))
def test_inferred_number_keeps_the_low_half(window: ReplayWindow, low: int) -> None:
    inferred = window.infer_sequence(low)
    if inferred is None:
        # Only below zero, or past the last number.
        assert window.top_sequence < window.window_packets - 1
    else:
        assert inferred % U32 == low


def test_number_from_before_the_first_is_inferred_as_none() -> None:
    window = ReplayWindow(window_packets=32, extended=True, top_sequence=1, bitmap=1)
    assert window.infer_sequence(U32 - 1) is None
    assert window.infer_sequence(2) == 2


def test_number_past_the_last_is_inferred_as_none() -> None:
    window = ReplayWindow(window_packets=32, extended=True, top_sequence=U32 * U32 - 1, bitmap=1)
    assert window.infer_sequence(U32 - 1) == U32 * U32 - 1
    assert window.infer_sequence(0) is None


def test_jump_into_the_shared_region_is_accepted() -> None:
    for extended in (False, True):
        window = ReplayWindow(window_packets=32, extended=extended, top_sequence=1000, bitmap=0xFFFFFFFF)
        sequence = window.infer_sequence(2**30)
        assert sequence == 2**30
        after = window.accept(sequence)
        assert (after.top_sequence, after.bitmap) == (2**30, 1)
        assert after.check(1001) is ReplayVerdict.TOO_OLD


def test_number_that_travels_is_whole_without_esn() -> None:
    window = ReplayWindow(window_packets=32, extended=False, top_sequence=5, bitmap=1)
    assert window.infer_sequence(U32 - 1) == U32 - 1


@given(windows())
def test_ring_of_the_kernel_reads_back(window: ReplayWindow) -> None:
    ring = window.to_ring()
    assert len(ring) == (window.window_packets + 31) // 32
    assert (
        ReplayWindow.from_ring(
            ring,
            top_sequence=window.top_sequence,
            window_packets=window.window_packets,
            extended=window.extended,
        )
        == window
    )


def test_ring_has_top_sequence_at_its_number_less_one_modulo_the_window() -> None:
    window = ReplayWindow(window_packets=64, extended=True, top_sequence=70, bitmap=0b1001)
    # 70 stands at bit 5; 67 at bit 2.
    assert window.to_ring() == (1 << 5 | 1 << 2, 0)


def test_six_packets_in_order_give_the_bitmap_that_linux_shows() -> None:
    window = ReplayWindow(window_packets=32, extended=False)
    for number in range(1, 7):
        window = window.accept(number)
    # "anti-replay context: seq 0x6, oseq 0x0, bitmap 0x0000003f" in strongswan-5.9.8/kernel-2.
    assert (window.top_sequence, window.bitmap) == (6, 0x3F)


@pytest.mark.parametrize(
    "change",
    [
        {"window_packets": 0},
        {"window_packets": WINDOW_PACKETS_MAX + 1},
        {"top_sequence": -1},
        {"top_sequence": U32},
        {"bitmap": -1},
        {"bitmap": 2**32},
    ],
)
def test_impossible_window_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ReplayWindowError):
        ReplayWindow(**({"window_packets": 32, "extended": False} | change))


@pytest.mark.parametrize("words", [(), (1, 2), (U32,), (-1,)])
def test_ring_that_does_not_fit_is_refused(words: tuple[int, ...]) -> None:
    with pytest.raises(ReplayWindowError):
        ReplayWindow.from_ring(words, top_sequence=1, window_packets=32, extended=False)


@pytest.mark.parametrize("number", [-1, U32])
def test_number_that_does_not_fit_is_refused(number: int) -> None:
    window = ReplayWindow(window_packets=32, extended=False)
    with pytest.raises(ReplayWindowError):
        window.check(number)
    with pytest.raises(ReplayWindowError):
        window.infer_sequence(number)
