"""What one turn of the protocol sends: one packet for each receiver, filled up with news."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.dissemination import encoded_bytes
from gossipsa.swim.messages import MESSAGES_MAX, Message, SwimPacket, Update
from gossipsa.swim.outputs import Send

PACKET_OVERHEAD_BYTES = 32
"""Boot id and array headers around messages and updates."""


@dataclass(slots=True)
class _Letter:
    messages: list[Message] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)


class Outbox:
    """Collects messages until the end of the turn."""

    def __init__(self, boot: BootId, *, encoded_bytes_max: int) -> None:
        self._boot = boot
        self._encoded_bytes_max = encoded_bytes_max
        self._letters: dict[GatewayName, _Letter] = {}
        self._exchanges: list[Send] = []

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

    def exchange(self, to: GatewayName, message: Message, state: tuple[Update, ...]) -> None:
        """Send the full state."""
        packet = SwimPacket(boot=self._boot, messages=(message,), updates=state)
        bulk = len(msgspec.msgpack.encode(packet)) > self._encoded_bytes_max
        self._exchanges.append(Send(to=to, packet=packet, bulk=bulk))

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
        exchanges, self._exchanges = self._exchanges, []
        return exchanges + sends
