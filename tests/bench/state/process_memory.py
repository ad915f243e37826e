"""What this process holds in memory."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# proc(5): the second field of statm is the resident set, in pages.
_RESIDENT = 1


def resident_bytes() -> int:
    """The resident set."""
    return int(Path("/proc/self/statm").read_text().split()[_RESIDENT]) * _PAGE_BYTES
