"""Ping between one server and many clients at a steady pace, and remember when each reply came.

    python -m tests.lab.traffic.pings [--backwards] --server ADDRESS --interval-ms N --output FILE CLIENT...

The clients' addresses ping the server, or with --backwards the server pings them. Runs until SIGTERM, waits
one second for late replies, writes the output and ends. The output is JSON:
`{client: [[sent_us, received_us or null], ...]}`, microseconds of the wall clock. The clients take turns, so
that the load is even over an interval.
"""

import argparse
import json
import select
import signal
import socket
import struct
import time
from pathlib import Path

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
# linux/in.h; Python has no name for it.
_IP_PKTINFO = 8
_HEADER = struct.Struct("!BBHHHI")
_LATE_REPLY_S = 1.0


class Pinger:
    """Sends, receives and remembers. Times are microseconds of the wall clock.

    Args:
        paths: source and destination of each kind of ping.
    """

    def __init__(self, paths: list[tuple[str, str]]) -> None:
        self._destinations = [destination for _, destination in paths]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        # in_pktinfo: the source address of each packet is chosen as it is sent.
        self._ancillary = [
            [
                (
                    socket.IPPROTO_IP,
                    _IP_PKTINFO,
                    struct.pack("=I4s4s", 0, socket.inet_aton(source), bytes(4)),
                )
            ]
            for source, _ in paths
        ]
        self.log: list[list[list[int | None]]] = [[] for _ in paths]
        self.refused = 0

    def send(self, index: int) -> None:
        sent = self.log[index]
        packet = _echo_request(index, len(sent))
        sent.append([time.time_ns() // 1000, None])
        try:
            self._socket.sendmsg([packet], self._ancillary[index], 0, (self._destinations[index], 0))
        except OSError:
            # A block policy answers with EPERM. The ping counts as lost.
            self.refused += 1

    def receive(self, timeout_s: float) -> None:
        ready, _, _ = select.select([self._socket], [], [], max(timeout_s, 0.0))
        while ready:
            try:
                packet = self._socket.recv(2048)
            except BlockingIOError:
                return
            offset = (packet[0] & 0x0F) * 4
            if len(packet) < offset + _HEADER.size:
                continue
            kind, _, _, index, _, number = _HEADER.unpack_from(packet, offset)
            if kind == _ECHO_REPLY and index < len(self.log) and number < len(self.log[index]):
                entry = self.log[index][number]
                if entry[1] is None:
                    entry[1] = time.time_ns() // 1000


def _echo_request(index: int, number: int) -> bytes:
    packet = _HEADER.pack(_ECHO_REQUEST, 0, 0, index, number & 0xFFFF, number)
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return packet[:2] + struct.pack("!H", ~total & 0xFFFF) + packet[4:]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--interval-ms", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--backwards", action="store_true")
    parser.add_argument("clients", nargs="+")
    arguments = parser.parse_args()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    paths = [(client, arguments.server) for client in arguments.clients]
    if arguments.backwards:
        paths = [(server, client) for client, server in paths]
    pinger = Pinger(paths)
    step_s = arguments.interval_ms / 1000 / len(paths)
    started = time.monotonic()
    turn = 0
    while not stopping:
        due = started + turn * step_s
        if time.monotonic() >= due:
            pinger.send(turn % len(paths))
            # A program that was starved goes on at its pace: a burst of what it missed would overrun queues.
            turn = max(turn + 1, int((time.monotonic() - started) / step_s))
            # Replies must not wait behind a backlog of sends.
            pinger.receive(0.0)
        else:
            pinger.receive(due - time.monotonic())
    end = time.monotonic() + _LATE_REPLY_S
    while time.monotonic() < end:
        pinger.receive(end - time.monotonic())
    arguments.output.write_text(json.dumps(dict(zip(arguments.clients, pinger.log, strict=True))))


if __name__ == "__main__":
    main()
