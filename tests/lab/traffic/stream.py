"""One TCP connection that sends a numbered message at a steady pace and expects each back.

    python -m tests.lab.traffic.stream serve --address ADDRESS
    python -m tests.lab.traffic.stream send --server ADDRESS --source ADDRESS --interval-ms N --output FILE

The sender runs until SIGTERM and writes JSON with the fields of `programs.StreamResult`. It never
connects again: an error means that the connection was lost.
"""

import argparse
import json
import select
import signal
import socket
import struct
import time
from pathlib import Path

PORT = 7007
_MESSAGE = struct.Struct("!Q56x")
_LATE_ECHO_S = 5.0


def serve(address: str) -> None:
    """Echo whatever arrives on one connection after another, for ever."""
    listener = socket.create_server((address, PORT))
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                continue


class Sender:
    """The sending end; counts what comes back in order."""

    def __init__(self, server: str, source: str) -> None:
        self._connection = socket.create_connection((server, PORT), timeout=10.0, source_address=(source, 0))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setblocking(False)
        self._unsent = b""
        self._received = b""
        self.sent = 0
        self.echo_times_us: list[int] = []

    def send(self) -> None:
        self._unsent += _MESSAGE.pack(self.sent)
        self.sent += 1

    def exchange(self, timeout_s: float) -> None:
        """Move bytes both ways for at most timeout_s. Raises OSError or ValueError if it failed."""
        wants_write = [self._connection] if self._unsent else []
        readable, writable, _ = select.select([self._connection], wants_write, [], max(timeout_s, 0.0))
        if writable:
            self._unsent = self._unsent[self._connection.send(self._unsent) :]
        if readable:
            data = self._connection.recv(65536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._received += data
        while len(self._received) >= _MESSAGE.size:
            (number,) = _MESSAGE.unpack_from(self._received)
            if number != len(self.echo_times_us):
                raise ValueError(f"echo {number} came where {len(self.echo_times_us)} was due")
            self._received = self._received[_MESSAGE.size :]
            self.echo_times_us.append(time.time_ns() // 1000)


def send(server: str, source: str, interval_s: float, output: Path) -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    sender = Sender(server, source)
    error = None
    try:
        next_send = time.monotonic()
        while not stopping:
            if time.monotonic() >= next_send:
                sender.send()
                next_send += interval_s
            sender.exchange(next_send - time.monotonic())
        end = time.monotonic() + _LATE_ECHO_S
        while len(sender.echo_times_us) < sender.sent and time.monotonic() < end:
            sender.exchange(end - time.monotonic())
    except (OSError, ValueError) as failure:
        error = str(failure)
    output.write_text(
        json.dumps(
            {
                "sent": sender.sent,
                "echoed": len(sender.echo_times_us),
                "echo_times_us": sender.echo_times_us,
                "error": error,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("--address", required=True)
    sender = commands.add_parser("send")
    sender.add_argument("--server", required=True)
    sender.add_argument("--source", required=True)
    sender.add_argument("--interval-ms", type=int, required=True)
    sender.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.command == "serve":
        serve(arguments.address)
    else:
        send(arguments.server, arguments.source, arguments.interval_ms / 1000, arguments.output)


if __name__ == "__main__":
    main()
