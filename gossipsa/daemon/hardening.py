"""Keeps keys in memory off the disk: no swap, no core dump, no debugger of the same user."""

from __future__ import annotations

import ctypes
import os
import resource

# include/uapi/linux/prctl.h, include/uapi/asm-generic/mman.h
_PR_SET_DUMPABLE = 4
_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4


def harden_process() -> tuple[str, ...]:
    """Does what it is allowed to do. Returns what it could not, as words for the log."""
    refused = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        refused.append(f"core dumps stay possible: {error}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        refused.append(f"process stays dumpable: {os.strerror(ctypes.get_errno())}")
    refused.extend(_lock_memory(libc))
    return tuple(refused)


def _lock_memory(libc: ctypes.CDLL) -> list[str]:
    try:
        # With a limit, later allocations would fail once it is reached.
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError) as error:
        return [f"memory may be swapped out: no right to raise the limit of locked memory ({error})"]
    # On fault: otherwise every thread's whole stack becomes resident.
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        return [f"memory may be swapped out: {os.strerror(ctypes.get_errno())}"]
    return []
