"""A blocking VICI client, enough to question and steer the lab's charons.

Independent of the product's own on purpose: the lab checks the product by other means than its own.
Source: strongSwan, src/libcharon/plugins/vici/README.md.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Message = dict[str, Any]

_CMD_REQUEST, _CMD_RESPONSE, _CMD_UNKNOWN, _EVENT_REGISTER, _EVENT_UNREGISTER = range(5)
_EVENT_CONFIRM, _EVENT_UNKNOWN, _EVENT = range(5, 8)
_SECTION_START, _SECTION_END, _KEY_VALUE, _LIST_START, _LIST_ITEM, _LIST_END = range(1, 7)


class ViciError(Exception):
    """Charon refused a command, or its answer made no sense."""


class ViciClient:
    """One connection to a charon; one command at a time."""

    def __init__(self, path: Path, *, timeout_s: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._socket.connect(str(path))

    def __enter__(self) -> "ViciClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, command: str, arguments: Mapping[str, Any] | None = None) -> Message:
        """Run a command and return its answer.

        Raises:
            ViciError: the answer says success = no.
        """
        self._send(_CMD_REQUEST, command, arguments)
        while True:
            kind, body = self._receive()
            if kind == _EVENT:
                continue
            if kind != _CMD_RESPONSE:
                raise ViciError(f"{command}: answered with packet type {kind}")
            answer = _decode(body)
            if answer.get("success", "yes") != "yes":
                raise ViciError(f"{command}: {answer.get('errmsg', answer)}")
            return answer

    def stream(
        self, command: str, event: str, arguments: Mapping[str, Any] | None = None
    ) -> Iterator[Message]:
        """Run a command that answers by events and yield the events."""
        self._send(_EVENT_REGISTER, event)
        kind, _ = self._receive()
        if kind != _EVENT_CONFIRM:
            raise ViciError(f"{event}: cannot be subscribed to")
        self._send(_CMD_REQUEST, command, arguments)
        while True:
            kind, body = self._receive()
            if kind == _CMD_RESPONSE:
                break
            name_bytes = body[0]
            yield _decode(body[1 + name_bytes :])
        self._send(_EVENT_UNREGISTER, event)
        self._receive()

    def list_sas(self, **filters: str) -> list[tuple[str, Message]]:
        """Return every IKE_SA as (connection name, its fields)."""
        found: list[tuple[str, Message]] = []
        for message in self.stream("list-sas", "list-sa", filters):
            found.extend((name, fields) for name, fields in message.items())
        return found

    def _send(self, kind: int, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        packet = bytes([kind, len(name)]) + name.encode() + _encode(arguments or {})
        self._socket.sendall(struct.pack("!I", len(packet)) + packet)

    def _receive(self) -> tuple[int, bytes]:
        (length,) = struct.unpack("!I", self._read(4))
        packet = self._read(length)
        return packet[0], packet[1:]

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise ViciError("charon closed the connection")
            parts += part
        return bytes(parts)


def _encode(message: Mapping[str, Any]) -> bytes:
    out = bytearray()
    for key, value in message.items():
        name = bytes([len(key)]) + key.encode()
        if isinstance(value, Mapping):
            out += bytes([_SECTION_START]) + name + _encode(value) + bytes([_SECTION_END])
        elif isinstance(value, list | tuple):
            out += bytes([_LIST_START]) + name
            for item in value:
                data = str(item).encode()
                out += struct.pack("!BH", _LIST_ITEM, len(data)) + data
            out.append(_LIST_END)
        else:
            data = str(value).encode()
            out += bytes([_KEY_VALUE]) + name + struct.pack("!H", len(data)) + data
    return bytes(out)


def _decode(body: bytes) -> Message:
    root: Message = {}
    open_sections = [root]
    items: list[str] = []
    at = 0
    while at < len(body):
        kind = body[at]
        at += 1
        if kind in (_SECTION_START, _KEY_VALUE, _LIST_START):
            key = body[at + 1 : at + 1 + body[at]].decode()
            at += 1 + body[at]
        if kind in (_KEY_VALUE, _LIST_ITEM):
            (length,) = struct.unpack_from("!H", body, at)
            value = body[at + 2 : at + 2 + length].decode(errors="replace")
            at += 2 + length
        if kind == _SECTION_START:
            section: Message = {}
            open_sections[-1][key] = section
            open_sections.append(section)
        elif kind == _SECTION_END:
            open_sections.pop()
        elif kind == _KEY_VALUE:
            open_sections[-1][key] = value
        elif kind == _LIST_START:
            items = []
            open_sections[-1][key] = items
        elif kind == _LIST_ITEM:
            items.append(value)
    return root
