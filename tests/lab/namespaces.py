"""Sockets in other network namespaces, held by this process.

A socket belongs to the namespace in which it was made, whoever uses it later. So a throwaway thread
enters the namespace, makes the socket and ends.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def socket_in(namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
    """Return the socket that `make` makes while its thread is in the namespace.

    Raises:
        OSError: the namespace cannot be entered, or `make` failed.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def enter_and_make() -> None:
        try:
            descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            try:
                if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
            finally:
                os.close(descriptor)
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
