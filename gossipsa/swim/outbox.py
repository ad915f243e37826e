"""What one turn of the protocol sends: one packet for each receiver, filled up with news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.dissemination import encoded_bytes
from gossipsa.swim.messages import MESSAGES_MAX, Message, StateReply, StateRequest, SwimPacket, Update
from gossipsa.swim.outputs import Send
from gossipsa.swim.settings import SwimSettings

PACKET_OVERHEAD_BYTES = 48
"""Boot id, array headers, and the message of a full state."""


@dataclass(slots=True)
class _Letter:
    messages: list[Message] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)


class Outbox:
    """Collects messages until the end of the turn."""

    def __init__(self, boot: BootId, settings: SwimSettings) -> None:
        self._boot = boot
        self._encoded_bytes_max = settings.encoded_bytes_max
        self._datagrams_max = settings.state_datagrams_max
        self._letters: dict[GatewayName, _Letter] = {}
        self._states: list[Send] = []

    def post(self, to: GatewayName, message: Message) -> None:
        letter = self._letters.setdefault(to, _Letter())
        if len(letter.messages) < MESSAGES_MAX:
            letter.messages.append(message)

    def tell(self, to: GatewayName, update: Update) -> None:
        """Send an update to somebody who needs it, beside what the queue gives."""
        letter = self._letters.setdefault(to, _Letter())
        if update not in letter.updates:
            letter.updates.append(update)

    def open(self, to: GatewayName) -> None:
        """Send a packet even if there is nothing but news in it."""
        self._letters.setdefault(to, _Letter())

    def request_state(self, to: GatewayName, sequence: int, state: Sequence[Update]) -> None:
        """Send our full state, and ask for the receiver's."""
        parts = self._split(state)
        for index, updates in enumerate(parts):
            messages = (StateRequest(sequence=sequence),) if index == 0 else ()
            self._send_state(to, messages, updates)

    def reply_state(self, to: GatewayName, sequence: int, state: Sequence[Update]) -> None:
        """Send our full state as an answer."""
        parts = self._split(state)
        for index, updates in enumerate(parts):
            reply = StateReply(sequence=sequence, part=index, parts=len(parts))
            self._send_state(to, (reply,), updates)

    def drain(
        self,
        *,
        accusation: Callable[[GatewayName], Update | None],
        news: Callable[[GatewayName, int], tuple[Update, ...]],
    ) -> list[Send]:
        """All packets of this turn.

        Args:
            accusation: what the receiver has to refute, so that it hears of it from everybody (Lifeguard's
                buddy system).
            news: queued updates for a receiver, in so many bytes.
        """
        sends = []
        for to, letter in self._letters.items():
            accused = accusation(to)
            told = letter.updates if accused is None else [accused, *letter.updates]
            room_bytes = self._encoded_bytes_max - PACKET_OVERHEAD_BYTES
            room_bytes -= sum(encoded_bytes(update) for update in told)
            room_bytes -= sum(len(msgspec.msgpack.encode(message)) for message in letter.messages)
            updates = (*told, *(update for update in news(to, room_bytes) if update not in told))
            if letter.messages or updates:
                packet = SwimPacket(boot=self._boot, messages=tuple(letter.messages), updates=updates)
                sends.append(Send(to=to, packet=packet))
        self._letters = {}
        states, self._states = self._states, []
        return states + sends

    def _split(self, state: Sequence[Update]) -> list[list[Update]]:
        """As many datagrams as it takes, or all in one for a stream."""
        parts: list[list[Update]] = [[]]
        room_bytes = self._encoded_bytes_max - PACKET_OVERHEAD_BYTES
        for update in state:
            size_bytes = encoded_bytes(update)
            if size_bytes > room_bytes:
                parts.append([])
                room_bytes = self._encoded_bytes_max - PACKET_OVERHEAD_BYTES
            parts[-1].append(update)
            room_bytes -= size_bytes
        return parts if len(parts) <= self._datagrams_max else [list(state)]

    def _send_state(self, to: GatewayName, messages: tuple[Message, ...], updates: Sequence[Update]) -> None:
        packet = SwimPacket(boot=self._boot, messages=messages, updates=tuple(updates))
        bulk = len(msgspec.msgpack.encode(packet)) > self._encoded_bytes_max
        self._states.append(Send(to=to, packet=packet, bulk=bulk))
