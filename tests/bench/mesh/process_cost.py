"""What a process uses, from /proc: CPU time, and the memory that is its own."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# proc(5): utime and stime are fields 14 and 15; what follows the command's parenthesis begins with field 3.
_UTIME, _STIME = 14 - 3, 15 - 3


def cpu_s(pid: int) -> float:
    """User and system time of all threads so far."""
    return cpu_s_in((Path("/proc") / str(pid) / "stat").read_text())


def pss_bytes(pid: int) -> int:
    """Proportional set size: shared pages count in part."""
    return pss_bytes_in((Path("/proc") / str(pid) / "smaps_rollup").read_text())


def cpu_s_in(stat: str) -> float:
    """The text of /proc/PID/stat."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_A_SECOND


def pss_bytes_in(smaps_rollup: str) -> int:
    """The text of /proc/PID/smaps_rollup."""
    for line in smaps_rollup.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise ValueError("no Pss in smaps_rollup")
