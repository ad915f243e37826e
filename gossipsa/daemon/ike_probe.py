"""Asks other gateways' IKE daemons for a sign of life."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable

import trio

from gossipsa.daemon.clock import NS_PER_S
from gossipsa.daemon.counts import Count, Counts
from gossipsa.daemon.udp import endpoint_of
from gossipsa.identifiers import IKE_SPI_BYTES, GatewayName, IpAddress
from gossipsa.ikev2.header import NON_ESP_MARKER
from gossipsa.ikev2.liveness import (
    KEY_EXCHANGE_BYTES,
    NONCE_BYTES_MIN,
    encode_liveness_probe,
    is_sign_of_life,
)
from gossipsa.inputs import IkeProbeAnswered, Input

ANSWER_WAIT_NS = 2 * NS_PER_S
_OPEN_MAX = 1024
_DATAGRAM_BYTES_MAX = 2048
_PLAIN_PORT = 500


class IkeProber:
    """Sends probes from one socket of each address family, on ports that the host chooses.

    Args:
        port: of the IKE daemons. On every port but 500 the non-ESP marker is expected.
        entropy: returns that many unpredictable bytes.
    """

    def __init__(
        self, *, port: int, entropy: Callable[[int], bytes], clock_ns: Callable[[], int], counts: Counts
    ) -> None:
        self._port = port
        self._marker = b"" if port == _PLAIN_PORT else NON_ESP_MARKER
        self._entropy = entropy
        self._clock_ns = clock_ns
        self._counts = counts
        self._open: dict[bytes, tuple[GatewayName, IpAddress, int]] = {}
        self._sockets = dict(_open_sockets())

    def close(self) -> None:
        for plain in self._sockets.values():
            plain.close()

    def ask(self, gateway: GatewayName, address: IpAddress) -> None:
        """Sends a probe. Never blocks; what cannot be sent is counted, as silence."""
        now_ns = self._clock_ns()
        self._forget_before(now_ns - ANSWER_WAIT_NS)
        plain = self._sockets.get(address.version)
        if plain is None or len(self._open) >= _OPEN_MAX:
            self._counts.add(Count.IKE_PROBES_UNSENT)
            return
        spi_i = self._entropy(IKE_SPI_BYTES)
        probe = encode_liveness_probe(
            spi_i=spi_i,
            key_exchange=self._entropy(KEY_EXCHANGE_BYTES),
            nonce=self._entropy(NONCE_BYTES_MIN),
        )
        try:
            plain.sendto(self._marker + probe, (str(address), self._port))
        except OSError:
            self._counts.add(Count.IKE_PROBES_UNSENT)
            return
        self._open[spi_i] = (gateway, address, now_ns)
        self._counts.add(Count.IKE_PROBES_SENT)

    async def run(self, inputs: trio.MemorySendChannel[Input]) -> None:
        """Take answers until cancelled."""
        async with trio.open_nursery() as nursery:
            for plain in self._sockets.values():
                nursery.start_soon(self._receive, plain, inputs)

    async def _receive(self, plain: socket.socket, inputs: trio.MemorySendChannel[Input]) -> None:
        while True:
            await trio.lowlevel.wait_readable(plain)
            try:
                data, address = plain.recvfrom(_DATAGRAM_BYTES_MAX)
            except OSError:
                # Nothing there after all, or an ICMP error: no sign of life.
                await trio.lowlevel.checkpoint()
                continue
            gateway = self._answered(data.removeprefix(self._marker), endpoint_of(address).address)
            if gateway is not None:
                self._counts.add(Count.IKE_PROBES_ANSWERED)
                await inputs.send(IkeProbeAnswered(gateway=gateway))

    def _answered(self, message: bytes, source: IpAddress) -> GatewayName | None:
        spi_i = message[:IKE_SPI_BYTES]
        asked = self._open.get(spi_i)
        if asked is None:
            return None
        gateway, address, sent_ns = asked
        is_in_time = self._clock_ns() - sent_ns <= ANSWER_WAIT_NS
        if source != address or not is_in_time or not is_sign_of_life(message, spi_i=spi_i):
            return None
        del self._open[spi_i]
        return gateway

    def _forget_before(self, oldest_ns: int) -> None:
        # In the order of sending.
        while self._open:
            spi_i, (_, _, sent_ns) = next(iter(self._open.items()))
            if sent_ns >= oldest_ns:
                return
            del self._open[spi_i]


def _open_sockets() -> Iterable[tuple[int, socket.socket]]:
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        try:
            plain = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
        else:
            yield version, plain
