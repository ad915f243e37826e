"""What `SetNumbers` means, for every kernel alike: numbers only ever move upwards.

A sequence number that went out must never go out again, and one that was accepted must never be accepted
again; both would follow from a record that is older than what the kernel knows.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from gossipsa.errors import KernelError
from gossipsa.ipsec.replay_window import ReplayWindow
from gossipsa.kernel.backend import SetNumbers


def sequence_max(*, esn: bool) -> int:
    """Highest sequence number of an SA."""
    return 2**64 - 1 if esn else 2**32 - 1


def check_numbers(change: SetNumbers, *, kernel_sent: int, esn: bool) -> None:
    """Refuse a change that would set numbers back.

    Args:
        kernel_sent: oseq of the SA now.

    Raises:
        KernelError: ERANGE for a number that does not fit; EINVAL for one below the kernel's, and for an SA
            that has sent packets unless `sent` is given: it may send on while the change is under way.
    """
    highest = max(change.sent or 0, change.received or 0)
    if highest > sequence_max(esn=esn):
        raise KernelError(f"sequence number {highest} does not fit the SA", errno=errno.ERANGE)
    if change.sent is None and kernel_sent:
        raise KernelError("the SA is in use for sending: `sent` must be given", errno=errno.EINVAL)
    if change.sent is not None and change.sent < kernel_sent:
        raise KernelError(
            f"{change.sent} is below the last number sent, {kernel_sent}: numbers would be used twice",
            errno=errno.EINVAL,
        )


def merge_window(current: ReplayWindow, received: int, words: Sequence[int] | None) -> ReplayWindow:
    """Return the window that has seen what `current` has seen and what a record says was received.

    Args:
        received: highest number of the record.
        words: its bitmap, as the ring of a window of the same size; None, or of another size: everything up
            to `received` counts as seen.
    """
    size, mask = current.window_packets, (1 << current.window_packets) - 1
    if words is not None and len(words) == -(-size // 32):
        recorded = ReplayWindow.from_ring(
            words, top_sequence=received, window_packets=size, extended=current.extended
        ).bitmap
    else:
        recorded = (1 << min(size, received)) - 1
    top = max(current.top_sequence, received)
    bitmap = 0
    for seen, seen_top in ((current.bitmap, current.top_sequence), (recorded, received)):
        if top - seen_top < size:
            bitmap |= seen << (top - seen_top)
    return ReplayWindow(
        window_packets=size, extended=current.extended, top_sequence=top, bitmap=bitmap & mask
    )
