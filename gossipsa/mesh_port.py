"""The mesh as the core speaks on it: everything that leaves is sealed, and only what opens gets in."""

from __future__ import annotations

import contextlib

from gossipsa.contacts import Contacts
from gossipsa.effects import CloseStream, SendDatagram, SendFrame
from gossipsa.identifiers import BootId, Endpoint, GatewayName, Holder
from gossipsa.introductions import Introductions
from gossipsa.mesh_message import MESSAGE_DECODER, MeshMessage
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox
from gossipsa.swim.swim import Swim
from gossipsa.wire.codec import MessageDecodeError, encode
from gossipsa.wire.handshake import is_handshake, is_hello
from gossipsa.wire.introduction import IntroductionError
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import (
    STRANGER_REASON,
    Channel,
    MessageTooLongError,
    Outgoing,
    SealError,
    Sessions,
)


class MeshPort:
    """Seals messages and opens them; finds where a gateway is, and has strangers introduced."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        sessions: Sessions,
        introductions: Introductions,
        contacts: Contacts,
        swim: Swim,
        mesh: MeshView,
        outbox: Outbox,
    ) -> None:
        self._keyring = keyring
        self._sessions = sessions
        self._introductions = introductions
        self._contacts = contacts
        self._swim = swim
        self._mesh = mesh
        self._outbox = outbox
        self._is_silent = False

    @property
    def is_silent(self) -> bool:
        """True once another host has our name: nothing is said in it, and nothing heard is for us."""
        return self._is_silent

    def fall_silent(self) -> None:
        self._introductions.stop()
        self._is_silent = True

    def hear(self, data: bytes, source: Endpoint | None, *, now_ns: int) -> tuple[Holder, MeshMessage] | None:
        """Opens what came from the network.

        Args:
            source: where a datagram came from; None if it came over a stream.

        Returns:
            Who sent which message; None if it was none, and was refused or belongs to a handshake.
        """
        channel = Channel.STREAM if source is None else Channel.DATAGRAM
        try:
            if is_hello(data) and not self._introductions.admits_hello(channel, now_ns=now_ns):
                raise SealError("too many hellos")
            opened, answers = self._sessions.open(data, channel=channel, now_ns=now_ns)
        except SealError as error:
            self._refuse(data, source, error, now_ns)
            return None
        self.emit(answers, source, now_ns=now_ns)
        if opened is None:
            return None
        sender = opened.sender
        if sender.boot == self._sessions.boot_of(sender.gateway, now_ns=now_ns):
            if source is None:
                self._contacts.heard_over_stream(sender)
            else:
                self._contacts.heard(sender, source)
        try:
            message = MESSAGE_DECODER.decode(opened.payload)
        except MessageDecodeError as error:
            self._outbox.report("message-refused", gateway=sender.gateway, detail=f"malformed: {error}")
            return None
        self._swim.reached(sender.gateway, now_ns=now_ns, boot=sender.boot)
        return sender, message

    def seal(self, to: GatewayName, message: MeshMessage, channel: Channel, *, now_ns: int) -> None:
        """Sends a message, or keeps it until there is a session."""
        if self._is_silent:
            return
        if to not in self._keyring:
            # Known from others, by name and address only: it has to show its identity first.
            endpoint = self.endpoint_of(to)
            if endpoint is not None:
                self._introductions.call(endpoint, now_ns=now_ns)
            return
        try:
            outgoing = self._sessions.seal(to, encode(message), channel=channel, now_ns=now_ns)
        except MessageTooLongError as error:
            self._outbox.report("message-too-long", gateway=to, detail=str(error))
            return
        self.emit(outgoing, None, now_ns=now_ns)

    def emit(self, outgoing: tuple[Outgoing, ...], source: Endpoint | None, *, now_ns: int) -> None:
        """Sends what was sealed; datagrams in answer to one go to where that came from."""
        for message in outgoing:
            endpoint = self.endpoint_of(message.to)
            if message.channel is Channel.DATAGRAM:
                destination = source or endpoint
                if destination is not None:
                    self._outbox.do(SendDatagram(destination=destination, data=message.data))
            elif is_handshake(message.data):
                for place in self._contacts.endpoints(message.to, self._swim.member(message.to)):
                    self._outbox.do(SendFrame(to=None, destination=place, data=message.data))
                    if is_hello(message.data) and not self._mesh.is_live(message.to):
                        # Whoever does not know us cannot say so over a stream.
                        self._introductions.call(place, now_ns=now_ns)
            elif endpoint is not None:
                self._outbox.do(SendFrame(to=message.to, destination=endpoint, data=message.data))

    def endpoint_of(self, name: GatewayName) -> Endpoint | None:
        """Where a gateway is reached, if that is known."""
        return self._contacts.endpoint(name, self._swim.member(name))

    def forget(self, name: GatewayName) -> None:
        """A gateway is none of ours any more."""
        self._sessions.forget(name)
        self._contacts.forget(name)
        self._outbox.do(CloseStream(to=name))

    def forget_boot(self, name: GatewayName, boot: BootId) -> None:
        """One of two hosts of this name is silent from now on: what we say is for the other one."""
        self._sessions.forget_boot(name, boot)

    def _refuse(self, data: bytes, source: Endpoint | None, error: SealError, now_ns: int) -> None:
        if error.reason == STRANGER_REASON and source is not None:
            # It knows us, and we have forgotten it, or never knew it: ask it to introduce itself.
            with contextlib.suppress(IntroductionError):
                self._introductions.answer_stranger(data, source, now_ns=now_ns)
        self._outbox.report("message-refused", detail=f"{error}, {whence(source)}")


def whence(source: Endpoint | None) -> str:
    """For reports: where something came from that has no sender."""
    return f"datagram from {source}" if source is not None else "stream"
