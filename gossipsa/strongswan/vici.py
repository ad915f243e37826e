"""Charon's VICI socket. Commands have no ids there, so that only one runs at a time on a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import trio

from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.vici_codec import (
    LENGTH_FIELD,
    PACKET_BYTES_MAX,
    PacketType,
    ViciArguments,
    ViciDecodeError,
    ViciMessage,
    ViciPacket,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
    text,
)

_RECEIVE_BYTES = 64 * 1024


class ViciConnection:
    """One connection, either for commands or for events.

    Whatever interrupts a command closes the connection: its answer would be taken for the next one's.
    """

    def __init__(self, stream: trio.SocketStream, *, timeout_ns: int) -> None:
        self._stream = stream
        self._timeout_s = timeout_ns / 1e9
        self._received = bytearray()
        self._lock = trio.Lock()
        self._closed = False

    @classmethod
    async def connect(cls, path: Path, *, timeout_ns: int) -> ViciConnection:
        """Connect to charon's socket. Raises CharonUnavailableError."""
        try:
            stream = await trio.open_unix_socket(str(path))
        except OSError as error:
            raise CharonUnavailableError(f"no VICI at {path}: {error.strerror}") from error
        return cls(stream, timeout_ns=timeout_ns)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    def close(self) -> None:
        self._closed = True
        self._stream.socket.close()

    async def request(self, command: str, arguments: ViciArguments | None = None) -> ViciMessage:
        """Run a command and return its answer.

        Raises:
            CharonRefusedError: charon does not know the command, or says that it failed.
            CharonUnavailableError: the connection ended, or made no sense, or nothing came in time.
        """
        async with self._lock:
            return await self._complete(self._request(command, arguments or {}, None))

    async def stream(
        self, command: str, event: str, arguments: ViciArguments, on_event: Callable[[ViciMessage], None]
    ) -> ViciMessage:
        """Run a command that tells by events; return its answer. Raises as `request` does."""

        async def run() -> ViciMessage:
            answer = await self._register(PacketType.EVENT_REGISTER, event)
            if not answer:
                answer = await self._request(command, arguments, on_event)
                await self._register(PacketType.EVENT_UNREGISTER, event)
            return answer

        async with self._lock:
            return await self._complete(run())

    async def register(self, events: Iterable[str]) -> None:
        """Ask for events. Raises as `request` does."""
        async with self._lock:
            for event in events:
                await self._complete(self._register(PacketType.EVENT_REGISTER, event))

    async def next_event(self) -> tuple[str, ViciMessage]:
        """Wait for an event and return its name and message.

        Raises:
            CharonUnavailableError: the connection ended, or made no sense.
        """
        while (packet := await self._receive()).type is not PacketType.EVENT:
            pass
        return packet.name, _message(packet.body)

    async def _complete(self, exchange: Coroutine[Any, Any, ViciMessage]) -> ViciMessage:
        complete = False
        try:
            with trio.fail_after(self._timeout_s):
                answer = await exchange
            complete = True
        except trio.TooSlowError:
            raise CharonUnavailableError("VICI did not answer in time") from None
        finally:
            if not complete:
                self.close()
        if text(answer, "success") == "no":
            raise CharonRefusedError(text(answer, "errmsg") or "charon refused")
        return answer

    async def _request(
        self, command: str, arguments: ViciArguments, on_event: Callable[[ViciMessage], None] | None
    ) -> ViciMessage:
        body = encode_message(arguments)
        await self._send(ViciPacket(type=PacketType.CMD_REQUEST, name=command, body=body))
        while True:
            packet = await self._receive()
            match packet.type:
                case PacketType.EVENT:
                    if on_event is not None:
                        on_event(_message(packet.body))
                case PacketType.CMD_RESPONSE:
                    return _message(packet.body)
                case PacketType.CMD_UNKNOWN:
                    return {"success": "no", "errmsg": "unknown command"}
                case _:
                    raise CharonUnavailableError(f"VICI answered {command} with {packet.type.name}")

    async def _register(self, kind: PacketType, event: str) -> ViciMessage:
        """Return an empty answer, or one that tells why not."""
        await self._send(ViciPacket(type=kind, name=event))
        while (packet := await self._receive()).type is PacketType.EVENT:
            pass
        if packet.type is not PacketType.EVENT_CONFIRM:
            return {"success": "no", "errmsg": "unknown event"}
        return {}

    async def _send(self, packet: ViciPacket) -> None:
        if self._closed:
            raise CharonUnavailableError("VICI connection is closed")
        try:
            await self._stream.send_all(encode_packet(packet))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise CharonUnavailableError("VICI connection ended") from error

    async def _receive(self) -> ViciPacket:
        (length,) = LENGTH_FIELD.unpack(await self._take(LENGTH_FIELD.size))
        if length > PACKET_BYTES_MAX:
            raise CharonUnavailableError("VICI packet is longer than the protocol allows")
        try:
            return decode_packet(await self._take(length))
        except ViciDecodeError as error:
            raise CharonUnavailableError(str(error)) from error

    async def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise CharonUnavailableError("VICI connection ended") from error
            if not data:
                raise CharonUnavailableError("VICI connection ended")
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


class ViciCommands:
    """Commands to charon, over a connection that is made anew where it was closed."""

    def __init__(self, path: Path, *, timeout_ns: int) -> None:
        self._path = path
        self._timeout_ns = timeout_ns
        self._connection: ViciConnection | None = None
        self._connecting = trio.Lock()

    async def connection(self) -> ViciConnection:
        """Return the connection in use. Raises CharonUnavailableError."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                self._connection = await ViciConnection.connect(self._path, timeout_ns=self._timeout_ns)
            return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def request(self, command: str, arguments: ViciArguments | None = None) -> ViciMessage:
        """As `ViciConnection.request`."""
        return await (await self.connection()).request(command, arguments)

    async def stream(
        self, command: str, event: str, arguments: ViciArguments, on_event: Callable[[ViciMessage], None]
    ) -> ViciMessage:
        """As `ViciConnection.stream`."""
        return await (await self.connection()).stream(command, event, arguments, on_event)


def _message(body: bytes) -> ViciMessage:
    try:
        return decode_message(body)
    except ViciDecodeError as error:
        raise CharonUnavailableError(str(error)) from error
