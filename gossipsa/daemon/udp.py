"""The mesh's UDP socket."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv6Address, ip_address

import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import DatagramReceived, Input
from gossipsa.wire.sessions import DATAGRAM_BYTES_MAX

_BUFFER_BYTES = 4 << 20
_BATCH_MAX = 64

# Troubles of one destination, or of a host that is reconfigured: the datagram is lost, as datagrams are.
_TOLERATED = frozenset(
    {
        errno.EMSGSIZE,
        errno.ECONNREFUSED,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EADDRNOTAVAIL,
        errno.EINVAL,
        errno.EPERM,
        errno.EACCES,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAFNOSUPPORT,
    }
)


def socket_address(endpoint: Endpoint, family: socket.AddressFamily) -> tuple[str, int]:
    """An endpoint as a socket of that family takes it: a dual-stack IPv6 socket reaches IPv4 mapped."""
    host = str(endpoint.address)
    if family == socket.AF_INET6 and endpoint.address.version == 4:
        host = f"::ffff:{host}"
    return host, endpoint.port


def endpoint_of(address: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """What a socket says about its peer, without scope and without IPv4 mapping."""
    found = ip_address(address[0].partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return Endpoint(found, address[1])


def family_of(endpoint: Endpoint) -> socket.AddressFamily:
    """Address family of a socket that is bound to this endpoint."""
    return socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET


def open_udp(listen: Endpoint) -> socket.socket:
    """Opens and binds the mesh's UDP socket.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    family = family_of(listen)
    udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        udp.bind(socket_address(listen, family))
    except OSError as error:
        udp.close()
        raise ConfigurationError(f"gateway.listen: cannot bind {listen} (UDP): {error.strerror}") from None
    return udp


class MeshSocket:
    """Sends and receives sealed datagrams.

    Args:
        udp: bound and non-blocking; stays the caller's to close.
    """

    def __init__(self, udp: socket.socket, *, counts: Counts) -> None:
        self._udp = udp
        self._counts = counts

    def send(self, destination: Endpoint, data: bytes) -> None:
        """Sends, or drops and counts. Never blocks."""
        try:
            self._udp.sendto(data, socket_address(destination, self._udp.family))
        except (BlockingIOError, socket.gaierror):
            # No room, or an address of a family that this socket does not speak.
            self._counts.add(Count.DATAGRAMS_UNSENT)
        except OSError as error:
            if error.errno not in _TOLERATED:
                raise
            self._counts.add(Count.DATAGRAMS_UNSENT)
        else:
            self._counts.add(Count.DATAGRAMS_SENT)

    async def receive(self, inputs: trio.MemorySendChannel[Input]) -> None:
        """Pass on what arrives until cancelled. What finds the channel full is dropped and counted."""
        while True:
            await trio.lowlevel.wait_readable(self._udp)
            for _ in range(_BATCH_MAX):
                try:
                    data, address = self._udp.recvfrom(DATAGRAM_BYTES_MAX + 1)
                except BlockingIOError:
                    break
                except OSError as error:
                    # An ICMP error about something sent earlier.
                    if error.errno not in _TOLERATED:
                        raise
                    continue
                self._take(data, endpoint_of(address), inputs)

    def _take(self, data: bytes, source: Endpoint, inputs: trio.MemorySendChannel[Input]) -> None:
        if len(data) > DATAGRAM_BYTES_MAX:
            self._counts.add(Count.DATAGRAMS_OVERSIZED)
            return
        try:
            inputs.send_nowait(DatagramReceived(source=source, data=data))
        except trio.WouldBlock:
            self._counts.add(Count.DATAGRAMS_UNREAD)
        else:
            self._counts.add(Count.DATAGRAMS_RECEIVED)
