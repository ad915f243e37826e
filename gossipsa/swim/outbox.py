"""What one turn of the protocol sends: one packet for each receiver, filled up with news."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.dissemination import encoded_bytes
from gossipsa.swim.messages import (
    MESSAGES_MAX,
    Ack,
    Message,
    Ping,
    StateReply,
    StateRequest,
    StreamAck,
    StreamPing,
    SwimPacket,
    Update,
)
from gossipsa.swim.outputs import Send
from gossipsa.swim.settings import SwimSettings

ENVELOPE_BYTES = 26
"""Boot id and array headers."""
PACKET_OVERHEAD_BYTES = 48
"""The envelope, and the message of a full state."""
MESSAGE_BYTES_MAX = 128
"""More than the longest message, which names a member."""

News = Callable[[GatewayName, int], tuple[Update, ...]]
"""Queued updates for a receiver, in so many bytes."""


class _Letter(msgspec.Struct):
    messages: list[Message] = msgspec.field(default_factory=list)
    trials: list[Message] = msgspec.field(default_factory=list)
    """What tries the stream, and has to go over it."""
    updates: list[Update] = msgspec.field(default_factory=list)


class Outbox:
    """Collects messages until the end of the turn."""

    def __init__(
        self,
        boot: BootId,
        settings: SwimSettings,
        *,
        stream_only: Callable[[GatewayName], bool] = lambda name: False,
    ) -> None:
        """Args:
        stream_only: whether datagrams to this member, or from it, are known not to pass.
        """
        self._stream_only = stream_only
        self._boot = boot
        self._room_bytes = settings.encoded_bytes_max - PACKET_OVERHEAD_BYTES
        self._datagram_bytes = settings.encoded_bytes_max - ENVELOPE_BYTES
        self._datagrams_max = settings.state_datagrams_max
        self._letters: dict[GatewayName, _Letter] = {}
        self._states: list[Send] = []

    def post(self, to: GatewayName, message: Message) -> None:
        letter = self._letters.setdefault(to, _Letter())
        if isinstance(message, StreamPing | StreamAck):
            letter.trials.append(message)
        else:
            letter.messages.append(message)

    def tell(self, to: GatewayName, update: Update) -> None:
        """Send an update to somebody who needs it, beside what the queue gives."""
        letter = self._letters.setdefault(to, _Letter())
        if update not in letter.updates:
            letter.updates.append(update)

    def open(self, to: GatewayName) -> None:
        """Send a packet even if there is nothing but news in it."""
        self._letters.setdefault(to, _Letter())

    def request_state(
        self, to: GatewayName, sequence: int, own: Update, *, over_stream: bool = False
    ) -> None:
        """Say who we are, and ask for the receiver's full state."""
        request = StateRequest(sequence=sequence, over_stream=over_stream)
        self._send_state(to, (request,), (own,), bulk=over_stream)

    def reply_state(
        self, to: GatewayName, sequence: int, state: Sequence[Update], *, over_stream: bool = False
    ) -> None:
        """Send our full state as an answer."""
        parts = [list(state)] if over_stream else self._split_state(to, state)
        for index, updates in enumerate(parts):
            reply = StateReply(sequence=sequence, part=index, parts=len(parts))
            self._send_state(to, (reply,), updates, bulk=over_stream)

    def send_claims(self, to: GatewayName, claims: Sequence[Update]) -> None:
        """Send claims that were found lacking."""
        if claims:
            for updates in self._split_state(to, claims):
                self._send_state(to, (), updates)

    def send_apart(self, to: GatewayName, message: Message, *updates: Update) -> None:
        """Send a message that may be long in a packet of its own."""
        self._send_state(to, (message,), updates)

    def drain(
        self,
        *,
        accusation: Callable[[GatewayName], Update | None],
        news: News,
    ) -> list[Send]:
        """All packets of this turn.

        Args:
            accusation: what the receiver has to refute, so that it hears of it from everybody (Lifeguard's
                buddy system).
            news: queued updates for a receiver, in so many bytes.
        """
        sends: list[Send] = []
        for to, letter in self._letters.items():
            told = self._told(letter, accusation(to))
            if self._stream_only(to):
                sends += self._over_stream(to, letter, told, news)
                continue
            if letter.trials:
                sends.append(self._send(to, letter.trials[:MESSAGES_MAX], told, bulk=True))
            sends += self._as_datagrams(to, letter, told, news)
        self._letters = {}
        states, self._states = self._states, []
        return states + sends

    def _as_datagrams(
        self, to: GatewayName, letter: _Letter, told: list[Update], news: News
    ) -> Iterator[Send]:
        room_bytes = self._room_bytes - sum(map(encoded_bytes, told))
        *full, messages = self._split_messages(letter.messages, room_bytes)
        yield from (self._send(to, part) for part in full)
        room_bytes -= sum(map(_size_bytes, messages))
        updates = (*told, *(update for update in news(to, room_bytes) if update not in told))
        if messages or updates:
            yield self._send(to, messages, updates)

    def _over_stream(
        self, to: GatewayName, letter: _Letter, told: list[Update], news: News
    ) -> Iterator[Send]:
        """Everything but what tries datagrams: that has to go by datagram."""
        messages = list(letter.trials)
        messages += [message for message in letter.messages if not isinstance(message, Ping | Ack)]
        room_bytes = self._room_bytes - sum(map(encoded_bytes, told))
        updates = (*told, *(update for update in news(to, room_bytes) if update not in told))
        if messages or updates:
            yield self._send(to, messages[:MESSAGES_MAX], updates, bulk=True)
        datagrams: list[Message] = [message for message in letter.messages if isinstance(message, Ping | Ack)]
        yield from (
            self._send(to, part) for part in self._split_messages(datagrams, self._room_bytes) if part
        )

    def _send(
        self,
        to: GatewayName,
        messages: Sequence[Message],
        updates: Sequence[Update] = (),
        *,
        bulk: bool = False,
    ) -> Send:
        packet = SwimPacket(boot=self._boot, messages=tuple(messages), updates=tuple(updates))
        return Send(to=to, packet=packet, bulk=bulk)

    def _told(self, letter: _Letter, accused: Update | None) -> list[Update]:
        """The first updates that leave room for a message; the others travel as news."""
        updates = letter.updates if accused is None else [accused, *letter.updates]
        room_bytes = self._room_bytes - MESSAGE_BYTES_MAX
        fitting = []
        for update in updates:
            room_bytes -= encoded_bytes(update)
            if room_bytes < 0:
                break
            fitting.append(update)
        return fitting

    def _split_messages(self, messages: list[Message], bytes_max: int) -> list[tuple[Message, ...]]:
        """Packets of messages, each within so many bytes: the last one carries updates too."""
        if not messages:
            return [()]
        parts: list[list[Message]] = [[]]
        room_bytes = bytes_max
        for message in messages:
            size_bytes = _size_bytes(message)
            if size_bytes > room_bytes or len(parts[-1]) == MESSAGES_MAX:
                parts.append([])
                room_bytes = bytes_max
            parts[-1].append(message)
            room_bytes -= size_bytes
        return [tuple(part) for part in parts]

    def _split_state(self, to: GatewayName, state: Sequence[Update]) -> list[list[Update]]:
        """As many datagrams as it takes, or all in one packet for a stream."""
        if self._stream_only(to):
            return [list(state)]
        parts: list[list[Update]] = [[]]
        room_bytes = self._room_bytes
        for update in state:
            size_bytes = encoded_bytes(update)
            if size_bytes > room_bytes:
                parts.append([])
                room_bytes = self._room_bytes
            parts[-1].append(update)
            room_bytes -= size_bytes
        return parts if len(parts) <= self._datagrams_max else [list(state)]

    def _send_state(
        self,
        to: GatewayName,
        messages: tuple[Message, ...],
        updates: Sequence[Update],
        *,
        bulk: bool = False,
    ) -> None:
        packet = SwimPacket(boot=self._boot, messages=messages, updates=tuple(updates))
        size_bytes = sum(map(encoded_bytes, updates)) + sum(map(_size_bytes, messages))
        bulk = bulk or self._stream_only(to) or size_bytes > self._datagram_bytes
        self._states.append(Send(to=to, packet=packet, bulk=bulk))


def _size_bytes(message: Message) -> int:
    return len(msgspec.msgpack.encode(message))
