"""Asks a running daemon over its admin socket. Blocking: for the command line."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

from gossipsa.errors import GossipsaError

ANSWER_BYTES_MAX = 256 << 20
TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 16


class DaemonUnreachableError(GossipsaError):
    """No daemon answers on the socket."""


class DaemonRefusedError(GossipsaError):
    """The daemon answered with an error."""


def ask_daemon(path: Path, request: dict[str, str]) -> dict[str, Any]:
    """Sends one request and returns the answer.

    Raises:
        DaemonUnreachableError: nobody there, no right to connect, or no answer in time.
        DaemonRefusedError: with the daemon's reason.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(TIMEOUT_S)
            stream.connect(str(path))
            stream.sendall(msgspec.json.encode(request) + b"\n")
            line = _read_line(stream)
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise DaemonUnreachableError(f"no gossipsa answers on {path}: {reason}") from None
    return decode_answer(line)


def decode_answer(line: bytes) -> dict[str, Any]:
    """Reads one line of a daemon.

    Raises:
        DaemonUnreachableError: no daemon says such a thing.
        DaemonRefusedError: with the daemon's reason.
    """
    try:
        answer = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise DaemonUnreachableError("what answers on the admin socket is no gossipsa")
    if "error" in answer:
        raise DaemonRefusedError(str(answer["error"]))
    return answer


def _read_line(stream: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = stream.recv(_CHUNK_BYTES)
        if not chunk or len(received) > ANSWER_BYTES_MAX:
            break
        received += chunk
    return bytes(received)
