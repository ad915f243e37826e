"""A VICI connection against a scripted other end, over a real socket pair."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from gossipsa.strongswan.charon_process import CharonProcess, process_behind
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.vici import ViciCommands, ViciConnection
from gossipsa.strongswan.vici_codec import (
    LENGTH_FIELD,
    PacketType,
    ViciArguments,
    ViciMessage,
    ViciPacket,
    decode_packet,
    encode_message,
    encode_packet,
)

TIMEOUT_NS = 10**9


class OtherEnd:
    """Charon's end of the connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def take(self) -> ViciPacket:
        (length,) = LENGTH_FIELD.unpack(await self._read(LENGTH_FIELD.size))
        return decode_packet(await self._read(length))

    async def give(self, kind: PacketType, name: str = "", message: ViciArguments | None = None) -> None:
        packet = ViciPacket(type=kind, name=name, body=encode_message(message or {}))
        await self.stream.send_all(encode_packet(packet))

    async def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self.stream.receive_some(size - len(data))
        return data


@pytest.fixture
async def ends() -> AsyncIterator[tuple[ViciConnection, OtherEnd]]:
    ours, theirs = trio.socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    connection = ViciConnection(trio.SocketStream(ours), timeout_ns=TIMEOUT_NS)
    other = OtherEnd(trio.SocketStream(theirs))
    yield connection, other
    connection.close()
    await other.stream.aclose()


Ends = tuple[ViciConnection, OtherEnd]


async def test_a_command_is_answered(ends: Ends) -> None:
    connection, other = ends
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            assert await other.take() == ViciPacket(
                type=PacketType.CMD_REQUEST, name="rekey", body=encode_message({"child-id": "7"})
            )
            await other.give(PacketType.CMD_RESPONSE, message={"success": "yes", "matches": "1"})

        nursery.start_soon(answer)
        assert await connection.request("rekey", {"child-id": "7"}) == {"success": "yes", "matches": "1"}


async def test_a_streaming_command_hands_over_each_event(ends: Ends) -> None:
    connection, other = ends
    events: list[ViciMessage] = []
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            assert (await other.take()).type is PacketType.EVENT_REGISTER
            await other.give(PacketType.EVENT_CONFIRM)
            assert (await other.take()).name == "list-sas"
            for number in range(3):
                await other.give(PacketType.EVENT, "list-sa", {"n": str(number)})
            await other.give(PacketType.CMD_RESPONSE)
            assert (await other.take()).type is PacketType.EVENT_UNREGISTER
            await other.give(PacketType.EVENT, "list-sa", {"n": "late"})
            await other.give(PacketType.EVENT_CONFIRM)

        nursery.start_soon(answer)
        assert await connection.stream("list-sas", "list-sa", {}, events.append) == {}
    assert events == [{"n": "0"}, {"n": "1"}, {"n": "2"}]


async def test_events_that_were_asked_for_are_received(ends: Ends) -> None:
    connection, other = ends
    async with trio.open_nursery() as nursery:

        async def tell() -> None:
            assert await other.take() == ViciPacket(type=PacketType.EVENT_REGISTER, name="ike-update")
            await other.give(PacketType.EVENT_CONFIRM)
            await other.give(PacketType.EVENT, "ike-update", {"local-port": "4500"})

        nursery.start_soon(tell)
        await connection.register(["ike-update"])
        assert await connection.next_event() == ("ike-update", {"local-port": "4500"})


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        (PacketType.CMD_RESPONSE, {"success": "no", "errmsg": "no matching SAs"}, "no matching SAs"),
        (PacketType.CMD_RESPONSE, {"success": "no"}, "refused"),
        (PacketType.CMD_UNKNOWN, {}, "unknown command"),
    ],
)
async def test_a_refusal_leaves_the_connection_usable(
    ends: Ends, kind: PacketType, message: ViciMessage, reason: str
) -> None:
    connection, other = ends
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            await other.take()
            await other.give(kind, message=message)
            await other.take()
            await other.give(PacketType.CMD_RESPONSE, message={"ok": "1"})

        nursery.start_soon(answer)
        with pytest.raises(CharonRefusedError, match=reason):
            await connection.request("rekey")
        assert await connection.request("version") == {"ok": "1"}


async def test_an_unknown_event_is_refused(ends: Ends) -> None:
    connection, other = ends
    async with trio.open_nursery() as nursery:

        async def answer() -> None:
            for _ in range(2):
                await other.take()
                await other.give(PacketType.EVENT_UNKNOWN)

        nursery.start_soon(answer)
        with pytest.raises(CharonRefusedError, match="unknown event"):
            await connection.register(["ike-update"])
        with pytest.raises(CharonRefusedError, match="unknown event"):
            await connection.stream("list-sas", "list-sa", {}, lambda _: None)


async def test_the_end_of_the_connection_is_noticed(ends: Ends) -> None:
    connection, other = ends
    await other.stream.aclose()
    with pytest.raises(CharonUnavailableError):
        await connection.next_event()
    with pytest.raises(CharonUnavailableError):
        await connection.request("version")
    with pytest.raises(CharonUnavailableError, match="closed"):
        await connection.request("version")


@pytest.mark.parametrize(
    "nonsense",
    [
        LENGTH_FIELD.pack(512 * 1024 + 1),
        LENGTH_FIELD.pack(0),
        LENGTH_FIELD.pack(1) + b"\x09",
        LENGTH_FIELD.pack(2) + bytes((PacketType.CMD_RESPONSE, 2)),
        LENGTH_FIELD.pack(1) + bytes((PacketType.EVENT_CONFIRM,)),
    ],
)
async def test_nonsense_closes_the_connection(ends: Ends, nonsense: bytes) -> None:
    connection, other = ends
    await other.stream.send_all(nonsense)
    with pytest.raises(CharonUnavailableError):
        await connection.request("version")
    with pytest.raises(CharonUnavailableError, match="closed"):
        await connection.request("version")


async def test_silence_closes_the_connection(ends: Ends, autojump_clock: trio.testing.MockClock) -> None:
    connection, _ = ends
    with pytest.raises(CharonUnavailableError, match="in time"):
        await connection.request("version")
    with pytest.raises(CharonUnavailableError, match="closed"):
        await connection.request("version")


async def test_a_cancelled_command_does_not_leave_its_answer_to_the_next(
    ends: Ends, autojump_clock: trio.testing.MockClock
) -> None:
    connection, _ = ends
    with trio.move_on_after(0.1):
        await connection.request("version")
    with pytest.raises(CharonUnavailableError, match="closed"):
        await connection.request("stats")


async def test_commands_of_several_tasks_do_not_mix(ends: Ends) -> None:
    connection, other = ends
    answers: dict[str, ViciMessage] = {}

    async def ask(name: str) -> None:
        answers[name] = await connection.request(name)

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(ask, name)
        for _ in range(3):
            packet = await other.take()
            await other.give(PacketType.CMD_RESPONSE, message={"name": packet.name})
    assert answers == {name: {"name": name} for name in ("a", "b", "c")}


async def test_commands_go_on_after_a_connection_was_closed(tmp_path: Path) -> None:
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listener.bind(str(tmp_path / "vici"))
    listener.listen()
    commands = ViciCommands(tmp_path / "vici", timeout_ns=TIMEOUT_NS)

    async def answer_once() -> None:
        accepted, _ = await listener.accept()
        other = OtherEnd(trio.SocketStream(accepted))
        await other.take()
        await other.give(PacketType.CMD_RESPONSE, message={"ok": "1"})
        await other.stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_once)
        assert await commands.request("version") == {"ok": "1"}
    with pytest.raises(CharonUnavailableError):
        await commands.request("version")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_once)
        assert await commands.request("version") == {"ok": "1"}
    commands.close()
    listener.close()


async def test_no_socket_means_no_charon(tmp_path: Path) -> None:
    with pytest.raises(CharonUnavailableError, match="no VICI"):
        await ViciConnection.connect(tmp_path / "none", timeout_ns=TIMEOUT_NS)


async def test_the_process_behind_a_socket_is_known_by_pid_and_start(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "vici"))
        listener.listen()
        connection = await ViciConnection.connect(tmp_path / "vici", timeout_ns=TIMEOUT_NS)
        status = await trio.Path("/proc/self/stat").read_text()
        start_ticks = int(status.rpartition(")")[2].split()[19])
        assert process_behind(connection.socket) == CharonProcess(pid=os.getpid(), start_ticks=start_ticks)
        assert process_behind(connection.socket, proc=tmp_path) is None
        connection.close()
