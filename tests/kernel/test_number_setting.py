"""Numbers only go up, whatever record they come from."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.errors import KernelError
from gossipsa.ipsec.replay_window import ReplayVerdict, ReplayWindow
from gossipsa.kernel.backend import SaId, SetNumbers
from gossipsa.kernel.number_setting import check_numbers, merge_window
from gossipsa.kernel.xfrm.sa_messages import ring_after
from tests.kernel.samples import CLIENT

SA = SaId(1, CLIENT)
SIZES = st.sampled_from([1, 31, 32, 33, 64, 100])


@st.composite
def windows(draw: st.DrawFn, size: int) -> ReplayWindow:
    top = draw(st.one_of(st.integers(0, 300), st.integers(2**32 - 50, 2**32 + 50)))
    bitmap = draw(st.integers(0, (1 << min(size, top)) - 1)) | (1 if top else 0)
    return ReplayWindow(window_packets=size, extended=True, top_sequence=top, bitmap=bitmap)


@given(st.data(), SIZES)
def test_merged_window_accepts_what_both_accept(data: st.DataObject, size: int) -> None:
    kernel, record = data.draw(windows(size)), data.draw(windows(size))
    merged = merge_window(kernel, record.top_sequence, record.to_ring())
    assert merged.top_sequence == max(kernel.top_sequence, record.top_sequence)
    for sequence in range(max(merged.top_sequence - size - 2, 0), merged.top_sequence + 3):
        verdicts = {kernel.check(sequence), record.check(sequence)}
        is_fresh = verdicts == {ReplayVerdict.FRESH} and sequence > merged.top_sequence - size
        assert (merged.check(sequence) is ReplayVerdict.FRESH) == is_fresh


@given(st.data(), SIZES, st.one_of(st.integers(0, 300), st.integers(2**32 - 5, 2**32 + 5)))
def test_without_a_bitmap_everything_up_to_the_number_is_seen(
    data: st.DataObject, size: int, received: int
) -> None:
    merged = merge_window(data.draw(windows(size)), received, None)
    for sequence in range(max(received - size - 2, 0), received + 1):
        assert merged.check(sequence) is not ReplayVerdict.FRESH


@given(st.data(), SIZES, st.integers(0, 1000))
def test_bitmap_of_a_window_of_another_size_counts_as_none(
    data: st.DataObject, size: int, received: int
) -> None:
    kernel = data.draw(windows(size))
    foreign = (0,) * (-(-size // 32) + 1)
    assert merge_window(kernel, received, foreign) == merge_window(kernel, received, None)


@given(st.data(), SIZES, st.booleans(), st.integers(0, 2), st.booleans())
def test_short_cut_for_fresh_sas_gives_the_merged_ring(
    data: st.DataObject, size: int, is_fresh: bool, more_words: int, with_bitmap: bool
) -> None:
    kernel = ReplayWindow(window_packets=size, extended=True) if is_fresh else data.draw(windows(size))
    record = data.draw(windows(size))
    change = SetNumbers(
        id=SA, received=record.top_sequence, window_bitmap=record.to_ring() if with_bitmap else None
    )
    received, ring = ring_after(
        kernel.to_ring() + (0,) * more_words,
        kernel.top_sequence,
        change,
        window_packets=size,
        esn=True,
    )
    merged = merge_window(kernel, record.top_sequence, change.window_bitmap)
    assert received == merged.top_sequence
    assert len(ring) == len(merged.to_ring()) + more_words
    assert (
        ReplayWindow.from_ring(
            ring[: len(merged.to_ring())], top_sequence=received, window_packets=size, extended=True
        )
        == merged
    )


def test_sa_that_checks_nothing_keeps_no_bitmap() -> None:
    change = SetNumbers(id=SA, received=70)
    assert ring_after((0,), 5, change, window_packets=0, esn=False) == (70, (0,))


@pytest.mark.parametrize(
    ("change", "kernel_sent", "code"),
    [
        (SetNumbers(id=SA, sent=2**32), 0, errno.ERANGE),
        (SetNumbers(id=SA, received=2**32), 0, errno.ERANGE),
        (SetNumbers(id=SA, sent=9), 10, errno.EINVAL),
        (SetNumbers(id=SA, received=9), 10, errno.EINVAL),
    ],
)
def test_impossible_numbers_are_refused(change: SetNumbers, kernel_sent: int, code: int) -> None:
    with pytest.raises(KernelError) as refused:
        check_numbers(change, kernel_sent=kernel_sent, esn=False)
    assert refused.value.errno == code


@pytest.mark.parametrize(
    "change",
    [SetNumbers(id=SA, sent=10), SetNumbers(id=SA, sent=11, received=3), SetNumbers(id=SA, sent=2**32)],
)
def test_numbers_that_go_up_are_taken(change: SetNumbers) -> None:
    check_numbers(change, kernel_sent=10, esn=True)
