"""The UDP socket towards charon's HA plugin, which carries keys in the clear over loopback.

Both ends are bound and connected, so that neither takes datagrams from anyone else. A supervisor may hand
the socket down: then nobody else can take the port while gossipsa is not running, and what charon sends
meanwhile waits in the socket.
"""

from __future__ import annotations

import errno
import socket
import struct

import trio

from gossipsa.identifiers import Endpoint

DATAGRAM_BYTES_MAX = 65_535
BATCH_DATAGRAMS_MAX = 512

# Linux: include/uapi/asm-generic/socket.h. The socket module does not name them all.
_SO_RCVBUFFORCE = 33
_SO_RXQ_OVFL = 40
_OVERFLOW = struct.Struct("=I")


class HaSocket:
    """A bound and connected UDP socket.

    Attributes:
        refused_count: datagrams that charon was not there to receive.
        overflow_count: datagrams that charon sent and our receive buffer had no room for.
    """

    def __init__(self, connected: socket.socket, *, receive_buffer_bytes: int) -> None:
        """Take over a socket that is bound and connected, and close it in the end."""
        self._socket = connected
        self._socket.setblocking(False)
        self.refused_count = 0
        self.overflow_count = 0
        self._enlarge_receive_buffer(receive_buffer_bytes)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)

    @classmethod
    def open(cls, *, local: Endpoint, remote: Endpoint, receive_buffer_bytes: int) -> HaSocket:
        """Bind and connect a socket of our own. Raises OSError."""
        family = socket.AF_INET if local.address.version == 4 else socket.AF_INET6
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.bind((str(local.address), local.port))
            opened.connect((str(remote.address), remote.port))
        except OSError:
            opened.close()
            raise
        return cls(opened, receive_buffer_bytes=receive_buffer_bytes)

    def close(self) -> None:
        self._socket.close()

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    def receive_batch(self) -> list[bytes]:
        """Return the datagrams that are there, in order; at most BATCH_DATAGRAMS_MAX. Never waits."""
        batch: list[bytes] = []
        while len(batch) < BATCH_DATAGRAMS_MAX:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    DATAGRAM_BYTES_MAX, socket.CMSG_SPACE(_OVERFLOW.size)
                )
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                # Left behind by something sent while charon was not there.
                self.refused_count += 1
                continue
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                    (self.overflow_count,) = _OVERFLOW.unpack(value)
            batch.append(data)
        return batch

    def send(self, data: bytes) -> bool:
        """Send one datagram; False if charon is not there to receive it. Never waits. Raises OSError."""
        # A refusal that is still pending would be reported now, and the datagram not be sent.
        self._was_refused()
        self._socket.send(data)
        # Over loopback the refusal is there by the time the call returns.
        return not self._was_refused()

    def _was_refused(self) -> bool:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == errno.ECONNREFUSED:
            self.refused_count += 1
        return error != 0

    def _enlarge_receive_buffer(self, size: int) -> None:
        try:
            # Beyond net.core.rmem_max; needs CAP_NET_ADMIN.
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
