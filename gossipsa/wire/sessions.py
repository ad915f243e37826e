"""Sealed sessions with the other gateways: nothing else of the mesh ever leaves or enters a gateway.

A message is `version, kind, session index (8 B), counter (8 B), sealed bytes`: XChaCha20-Poly1305 under a key
of its session, direction and channel, with the counter as nonce and the header authenticated. Datagrams and
stream frames have keys, counters and replay windows of their own. A session binds one boot of each side.

A hello that was not answered goes over the stream too, and handshakes are answered by the channel by which
they came: a session comes about wherever one of both passes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import IntEnum

import msgspec
from nacl import bindings
from nacl.exceptions import CryptoError

from gossipsa.errors import CallerError, PeerError
from gossipsa.identifiers import BootId, GatewayName, Holder, Secret
from gossipsa.ipsec.replay_window import ReplayVerdict, ReplayWindow
from gossipsa.wire import handshake
from gossipsa.wire.keyring import Keyring, Peer

DATAGRAM_BYTES_MAX = 1400
"""Longest mesh datagram: fits an Ethernet frame with IPv6 and a tunnel around it."""
FRAME_BYTES_MAX = 1 << 20
"""Longest frame of a mesh stream."""

_HEADER_BYTES = 2 + handshake.SESSION_INDEX_BYTES + 8
_TAG_BYTES = 16
OVERHEAD_BYTES = _HEADER_BYTES + _TAG_BYTES
DATAGRAM_PAYLOAD_BYTES_MAX = DATAGRAM_BYTES_MAX - OVERHEAD_BYTES
STRANGER_REASON = "stranger"
"""Why a hello is refused whose sender's identity is not known."""
FRAME_PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - OVERHEAD_BYTES

_MS = 1_000_000
_SESSION_AGE_RENEW_NS = 120_000 * _MS
_SESSION_AGE_MAX_NS = 180_000 * _MS
_HELLO_INTERVAL_NS = 100 * _MS
_HELLO_INTERVAL_MAX_NS = 1_000 * _MS
_SILENCE_NS = 1_000 * _MS
_CONFIRMED_SESSIONS_MAX = 64
_UNCONFIRMED_SESSIONS_MAX = 4
_QUEUE_MESSAGES_MAX = 64
_QUEUE_BYTES_MAX = 4 << 20
_WINDOW_PACKETS = 1024
_NONCE_PREFIX = bytes(16)
"""The nonce is the counter: XChaCha20 has room for 24 bytes."""


class Channel(IntEnum):
    """How a message travels."""

    DATAGRAM = 3
    STREAM = 4


_CHANNELS = {channel.value: channel for channel in Channel}


class SealError(PeerError):
    """A message that cannot be opened. `reason` is one of a fixed set of words, fit for a metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageTooLongError(CallerError):
    """A payload that does not fit its channel."""


class Outgoing(msgspec.Struct, frozen=True):
    """Bytes to send to a gateway."""

    to: GatewayName
    channel: Channel
    data: bytes


class Opened(msgspec.Struct, frozen=True):
    """A payload that one boot of a gateway sealed for this boot of ours."""

    sender: Holder
    payload: bytes


class _Sealer:
    """What is sent on one channel of a session."""

    __slots__ = ("_counter", "_key", "_prefix")

    def __init__(self, key: Secret, *, channel: Channel, peer_index: bytes) -> None:
        self._key = key
        self._counter = 0
        self._prefix = bytes((handshake.WIRE_VERSION, channel)) + peer_index

    def seal(self, payload: bytes) -> bytes:
        self._counter += 1
        counter = self._counter.to_bytes(8, "big")
        header = self._prefix + counter
        return header + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            payload, header, _NONCE_PREFIX + counter, self._key
        )


class _Opener:
    """What arrives on one channel of a session."""

    __slots__ = ("_key", "_window")

    def __init__(self, key: Secret) -> None:
        self._key = key
        self._window = ReplayWindow(window_packets=_WINDOW_PACKETS, extended=True)

    def open(self, data: bytes) -> bytes:
        """Raises SealError."""
        header = data[:_HEADER_BYTES]
        counter = int.from_bytes(header[-8:], "big")
        verdict = self._window.check(counter)
        if verdict is not ReplayVerdict.FRESH:
            raise SealError("replayed" if verdict is ReplayVerdict.DUPLICATE else "too old")
        try:
            payload = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                data[_HEADER_BYTES:], header, _NONCE_PREFIX + header[-8:], self._key
            )
        except CryptoError:
            raise SealError("forged") from None
        self._window = self._window.accept(counter)
        return payload


class _Session:
    """One direction pair of keys. Mutable: counters and replay windows."""

    def __init__(
        self, *, own_index: bytes, peer_index: bytes, boot: BootId, keys: handshake.SessionKeys,
        initiated: bool, now_ns: int,
    ) -> None:  # fmt: skip
        ours = (keys.initiator_datagram, keys.initiator_stream)
        theirs = (keys.responder_datagram, keys.responder_stream)
        if not initiated:
            ours, theirs = theirs, ours
        self.own_index = own_index
        self.boot = boot
        self._sealers = {
            channel: _Sealer(key, channel=channel, peer_index=peer_index)
            for channel, key in zip(Channel, ours, strict=True)
        }
        self._openers = {channel: _Opener(key) for channel, key in zip(Channel, theirs, strict=True)}
        self.made_ns = now_ns
        self.initiated = initiated
        # By the first message that arrives on it: only then the peer is sure to have kept the session.
        self.confirmed = False
        # By one with another boot of the peer: nothing is sent on it any more.
        self.superseded = False

    def seal(self, channel: Channel, payload: bytes) -> bytes:
        return self._sealers[channel].seal(payload)

    def open(self, channel: Channel, data: bytes) -> bytes:
        """Raises SealError."""
        return self._openers[channel].open(data)


class _Conversation:
    """All sessions with one gateway, the handshake under way, and what waits for it."""

    def __init__(self, peer: Peer) -> None:
        self.name = peer.name
        self.public_key = peer.identity.exchange_key
        self.sessions: list[_Session] = []
        self.pending: handshake.PendingHello | None = None
        self.hello_due_ns = 0
        self.hello_interval_ns = _HELLO_INTERVAL_NS
        self.hello_tries = 0
        self.queue: deque[tuple[Channel, bytes]] = deque()
        self.queue_bytes = 0
        # Of all sessions together: the peer may prefer another one than we do.
        self.heard_ns = 0
        self.spoke_ns = 0

        # Hellos that were answered: a repeated one gets the same welcome, and makes no session.
        self.answered: OrderedDict[bytes, tuple[_Session, bytes]] = OrderedDict()

    def newest(self, now_ns: int) -> _Session | None:
        """The session to speak on. The initiator has to speak first, so it may have an unconfirmed one."""
        best: _Session | None = None
        for session in self.sessions:
            if (
                (session.confirmed or session.initiated)
                and not session.superseded
                and now_ns - session.made_ns < _SESSION_AGE_MAX_NS
                and (best is None or (session.confirmed, session.made_ns) > (best.confirmed, best.made_ns))
            ):
                best = session
        return best


class Sessions:
    """Seals and opens; makes, renews and forgets sessions. Pure: what must be sent is returned.

    Args:
        entropy: returns that many fresh random bytes; used for ephemeral keys and session indexes.
    """

    def __init__(self, *, keyring: Keyring, boot: BootId, entropy: Callable[[int], bytes]) -> None:
        self._keyring = keyring
        self._boot = boot
        self._entropy = entropy
        self._hint = handshake.key_hint(keyring.mesh, keyring.name, keyring.key_pair.public)
        self._conversations: dict[GatewayName, _Conversation] = {}
        self._by_index: dict[bytes, tuple[_Conversation, _Session]] = {}
        self._pending_by_index: dict[bytes, _Conversation] = {}
        self._pending_by_ephemeral: dict[bytes, _Conversation] = {}
        self.queue_drops = 0
        """Messages dropped because too many waited for a handshake."""

    def boot_of(self, name: GatewayName, *, now_ns: int) -> BootId | None:
        """The boot of that gateway to which our newest session speaks."""
        conversation = self._conversations.get(name)
        session = conversation.newest(now_ns) if conversation else None
        return session.boot if session else None

    def seal(self, to: GatewayName, payload: bytes, *, channel: Channel, now_ns: int) -> tuple[Outgoing, ...]:
        """Returns what to send now: the sealed message, or a hello while the message waits.

        Raises:
            UnknownGatewayError: its identity is not known.
            MessageTooLongError: the payload does not fit the channel.
        """
        longest = DATAGRAM_PAYLOAD_BYTES_MAX if channel is Channel.DATAGRAM else FRAME_PAYLOAD_BYTES_MAX
        if len(payload) > longest:
            raise MessageTooLongError(f"{len(payload)} bytes do not fit a {channel.name.lower()}")
        conversation = self._conversation(self._keyring.peer(to))
        session = conversation.newest(now_ns)
        if session is None:
            self._enqueue(conversation, channel, payload)
            return self._say_hello(conversation, now_ns)
        out = [Outgoing(to, channel, session.seal(channel, payload))]
        silent = (
            now_ns - conversation.heard_ns > _SILENCE_NS and now_ns - conversation.spoke_ns <= _SILENCE_NS
        )
        if silent or now_ns - session.made_ns > _SESSION_AGE_RENEW_NS:
            # The peer may have restarted and lost the session: a new handshake tells.
            out.extend(self._say_hello(conversation, now_ns))
        conversation.spoke_ns = now_ns
        return tuple(out)

    def open(
        self, data: bytes, *, now_ns: int, channel: Channel = Channel.DATAGRAM
    ) -> tuple[Opened | None, tuple[Outgoing, ...]]:
        """Opens bytes from the network.

        Args:
            channel: by which they came; handshakes are answered by the same.

        Returns:
            The payload, if there was one, and what to send in consequence.

        Raises:
            SealError: malformed, from a stranger, forged, replayed, or sealed under an old session.
        """
        if len(data) < 2:
            raise SealError("truncated")
        if data[0] != handshake.WIRE_VERSION:
            raise SealError("unknown version")
        kind = data[1]
        sealed_channel = _CHANNELS.get(kind)
        if sealed_channel is not None:
            if len(data) > (DATAGRAM_BYTES_MAX if sealed_channel is Channel.DATAGRAM else FRAME_BYTES_MAX):
                raise SealError("oversized")
            return self._hear_sealed(sealed_channel, data, now_ns)
        if kind == handshake.HELLO:
            return None, self._hear_hello(channel, data, now_ns)
        if kind == handshake.WELCOME:
            return None, self._hear_welcome(channel, data, now_ns)
        raise SealError("unknown kind")

    def greeted(self, ephemeral: bytes) -> GatewayName | None:
        """The gateway to which a hello of ours with this ephemeral key is under way."""
        conversation = self._pending_by_ephemeral.get(ephemeral)
        return conversation.name if conversation else None

    def greet_again(self, name: GatewayName, *, channel: Channel, now_ns: int) -> tuple[Outgoing, ...]:
        """The hello that is under way to a gateway, at once and by this channel: now it can understand it."""
        conversation = self._conversations.get(name)
        if conversation is None or conversation.pending is None:
            return ()
        conversation.hello_due_ns = now_ns
        hellos = self._say_hello(conversation, now_ns)
        return tuple(hello for hello in hellos if hello.channel is channel) or tuple(
            msgspec.structs.replace(hello, channel=channel) for hello in hellos
        )

    def forget(self, name: GatewayName) -> None:
        """Drops all sessions with a gateway, and what waits for one."""
        conversation = self._conversations.pop(name, None)
        if conversation is None:
            return
        for session in tuple(conversation.sessions):
            self._drop(conversation, session)
        self._end_pending(conversation)

    def forget_boot(self, name: GatewayName, boot: BootId) -> None:
        """One of two hosts with one identity gave its name up: what is sealed is for the other one again."""
        conversation = self._conversations.get(name)
        if conversation is None:
            return
        for session in tuple(conversation.sessions):
            if session.boot == boot:
                self._drop(conversation, session)
        for session in conversation.sessions:
            session.superseded = False

    def _conversation(self, peer: Peer) -> _Conversation:
        """The conversation with a peer; a new one if it has new keys."""
        known = self._conversations.get(peer.name)
        if known is not None and known.public_key != peer.identity.exchange_key:
            self.forget(peer.name)
            known = None
        if known is None:
            known = self._conversations[peer.name] = _Conversation(peer)
        return known

    def _end_pending(self, conversation: _Conversation) -> None:
        if conversation.pending is not None:
            del self._pending_by_index[conversation.pending.session_index]
            del self._pending_by_ephemeral[conversation.pending.ephemeral.public]
            conversation.pending = None

    def _enqueue(self, conversation: _Conversation, channel: Channel, payload: bytes) -> None:
        conversation.queue.append((channel, payload))
        conversation.queue_bytes += len(payload)
        while len(conversation.queue) > _QUEUE_MESSAGES_MAX or conversation.queue_bytes > _QUEUE_BYTES_MAX:
            _, dropped = conversation.queue.popleft()
            conversation.queue_bytes -= len(dropped)
            self.queue_drops += 1

    def _flush(self, conversation: _Conversation, session: _Session) -> tuple[Outgoing, ...]:
        """Seals what waited for a session."""
        name = conversation.name
        out = tuple(
            Outgoing(name, channel, session.seal(channel, payload)) for channel, payload in conversation.queue
        )
        conversation.queue.clear()
        conversation.queue_bytes = 0
        return out

    def _say_hello(self, conversation: _Conversation, now_ns: int) -> tuple[Outgoing, ...]:
        if now_ns < conversation.hello_due_ns:
            return ()
        if conversation.pending is None:
            index = self._entropy(handshake.SESSION_INDEX_BYTES)
            conversation.pending = handshake.make_hello(
                own=self._keyring.key_pair,
                own_hint=self._hint,
                peer_public=conversation.public_key,
                context=handshake.pair_context(self._keyring.mesh, self._keyring.name, conversation.name),
                boot=self._boot,
                session_index=index,
                ephemeral_private=self._entropy(32),
            )
            self._pending_by_index[index] = conversation
            self._pending_by_ephemeral[conversation.pending.ephemeral.public] = conversation
            conversation.hello_interval_ns = _HELLO_INTERVAL_NS
            conversation.hello_tries = 0
        conversation.hello_tries += 1
        conversation.hello_due_ns = now_ns + conversation.hello_interval_ns
        conversation.hello_interval_ns = min(2 * conversation.hello_interval_ns, _HELLO_INTERVAL_MAX_NS)
        # Unanswered datagrams may be filtered, and the stream be open.
        channels = (Channel.DATAGRAM,) if conversation.hello_tries == 1 else tuple(Channel)
        return tuple(Outgoing(conversation.name, channel, conversation.pending.data) for channel in channels)

    def _hear_hello(self, channel: Channel, data: bytes, now_ns: int) -> tuple[Outgoing, ...]:
        peer = self._keyring.peer_of_hint(handshake.hint_of_hello(data))
        if peer is None:
            raise SealError(STRANGER_REASON)
        name = peer.name
        conversation = self._conversation(peer)
        answered = conversation.answered.get(data)
        if answered is not None and answered[0] in conversation.sessions:
            return (Outgoing(name, channel, answered[1]),)
        index = self._entropy(handshake.SESSION_INDEX_BYTES)
        try:
            answer = handshake.answer_hello(
                data,
                own=self._keyring.key_pair,
                peer_public=conversation.public_key,
                context=handshake.pair_context(self._keyring.mesh, name, self._keyring.name),
                boot=self._boot,
                session_index=index,
                ephemeral_private=self._entropy(32),
            )
        except handshake.HandshakeError:
            raise SealError("forged hello") from None
        session = _Session(
            own_index=index, peer_index=answer.peer_session_index, boot=answer.peer_boot, keys=answer.keys,
            initiated=False, now_ns=now_ns,
        )  # fmt: skip
        self._add(conversation, session, now_ns)
        conversation.answered[data] = (session, answer.data)
        while len(conversation.answered) > _UNCONFIRMED_SESSIONS_MAX:
            conversation.answered.popitem(last=False)
        return (Outgoing(name, channel, answer.data),)

    def _hear_welcome(self, channel: Channel, data: bytes, now_ns: int) -> tuple[Outgoing, ...]:
        conversation = self._pending_by_index.get(data[2 : 2 + handshake.SESSION_INDEX_BYTES])
        if conversation is None or conversation.pending is None:
            raise SealError("unexpected welcome")
        pending = conversation.pending
        try:
            welcome = handshake.accept_welcome(data, own=self._keyring.key_pair, pending=pending)
        except handshake.HandshakeError:
            raise SealError("forged welcome") from None
        self._end_pending(conversation)
        conversation.heard_ns = now_ns
        session = _Session(
            own_index=pending.session_index, peer_index=welcome.peer_session_index, boot=welcome.peer_boot,
            keys=welcome.keys, initiated=True, now_ns=now_ns,
        )  # fmt: skip
        self._add(conversation, session, now_ns)
        _supersede_other_boots(conversation, session)
        # The responder may not speak on the session before it is confirmed.
        return self._confirm(conversation, session, channel)

    def _confirm(
        self, conversation: _Conversation, session: _Session, channel: Channel
    ) -> tuple[Outgoing, ...]:
        """What waited for the session, with an empty message if nothing of it goes by this channel."""
        out = self._flush(conversation, session)
        if any(message.channel is channel for message in out):
            return out
        return (*out, Outgoing(conversation.name, channel, session.seal(channel, b"")))

    def _hear_sealed(
        self, channel: Channel, data: bytes, now_ns: int
    ) -> tuple[Opened | None, tuple[Outgoing, ...]]:
        if len(data) < OVERHEAD_BYTES:
            raise SealError("truncated")
        known = self._by_index.get(data[2 : 2 + handshake.SESSION_INDEX_BYTES])
        if known is None:
            raise SealError("unknown session")
        conversation, session = known
        identity = self._keyring.identity_of(conversation.name)
        if identity is None or identity.exchange_key != conversation.public_key:
            # Its gateway has other keys now: whoever holds the old ones is not heard any more.
            self.forget(conversation.name)
            raise SealError("superseded keys")
        if now_ns - session.made_ns > _SESSION_AGE_MAX_NS:
            raise SealError("old session")
        payload = session.open(channel, data)
        if not session.superseded:
            conversation.heard_ns = now_ns
        out: tuple[Outgoing, ...] = ()
        if not session.confirmed:
            session.confirmed = True
            _supersede_other_boots(conversation, session)
            if session.initiated:
                out = self._flush(conversation, session)
            else:
                out = self._confirm(conversation, session, channel)
        if not payload:
            return None, out
        return Opened(Holder(conversation.name, session.boot), payload), out

    def _add(self, conversation: _Conversation, session: _Session, now_ns: int) -> None:
        """Sessions in use go by age only: the peer may be sending on any of them."""
        for old in tuple(conversation.sessions):
            if now_ns - old.made_ns > _SESSION_AGE_MAX_NS:
                self._drop(conversation, old)
        conversation.sessions.append(session)
        self._by_index[session.own_index] = (conversation, session)
        for confirmed, most in ((False, _UNCONFIRMED_SESSIONS_MAX), (True, _CONFIRMED_SESSIONS_MAX)):
            alike = [old for old in conversation.sessions if old.confirmed is confirmed]
            for old in alike[: max(0, len(alike) - most)]:
                self._drop(conversation, old)

    def _drop(self, conversation: _Conversation, session: _Session) -> None:
        conversation.sessions.remove(session)
        del self._by_index[session.own_index]


def _supersede_other_boots(conversation: _Conversation, session: _Session) -> None:
    """A new boot is spoken to. What an older one still says is heard: if two hosts have one identity, the
    words by which one of them yields."""
    for old in conversation.sessions:
        if old.boot != session.boot and old.made_ns <= session.made_ns:
            old.superseded = True
