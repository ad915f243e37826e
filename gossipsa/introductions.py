"""First contact by address: seeds are called until they are members, and callers are answered.

What an introduction says is public and may be replayed by anybody, so it decides little: which identity is
known, and where a gateway is greeted that is no member yet. Who it is shows in the handshake.

A call that was not answered goes over a stream too: datagrams may be filtered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import msgspec

from gossipsa.effects import SendDatagram, SendFrame
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.outbox import Outbox
from gossipsa.swim.allowance import Allowance
from gossipsa.wire.codec import encode
from gossipsa.wire.introduction import (
    ANSWER,
    INTRODUCTION,
    INTRODUCTION_BYTES,
    NONCE_BYTES,
    Introduction,
    IntroductionError,
    decode_introduction,
    encode_introduction,
    is_endpoint_genuine,
    stranger_notice,
    trust_datagram,
)
from gossipsa.wire.keyring import Keyring, Met
from gossipsa.wire.sessions import Channel

REMEMBERED_MAX = 48
"""Members of an earlier boot that are called beside the seeds."""

_MS = 1_000_000
_INTERVAL_NS = 100 * _MS
_INTERVAL_MAX_NS = 5_000 * _MS
_CALLED_AT_ONCE = 4
_ONCE_CALLS_MAX = 256
_ONCE_TRIES = 6
_ANSWERS_PER_SECOND = 200
_ANSWERS_BURST = 400
_STREAM_ANSWERS_PER_SECOND = 20
_STREAM_ANSWERS_BURST = 64
"""Each takes a connection."""
_HELLOS_PER_SECOND = 500
_HELLOS_BURST = 2_048
"""Each costs four exchanges of keys, and anybody can make one that looks like a gateway's."""
_STREAM_HELLOS_PER_SECOND = 50
_STREAM_HELLOS_BURST = 256


class CallKind(Enum):
    """Why an address is called, and for how long."""

    SEED = "seed"
    """The operator named it: called whenever nobody who answered there is a live member."""
    REMEMBERED = "remembered"
    """A member of an earlier boot was there: called until we have joined."""
    ONCE = "once"
    """A gateway there has to know us, or we it: called a few times."""


class _Call(msgspec.Struct, kw_only=True):
    endpoint: Endpoint
    kind: CallKind
    nonce: bytes
    due_ns: int
    wait_ns: int = _INTERVAL_NS
    tries: int = 0
    answered_by: GatewayName | None = None


class Answered(msgspec.Struct, frozen=True):
    """Somebody answered a call."""

    name: GatewayName
    endpoint: Endpoint
    """Where the answer came from; if over a stream, where it was called."""
    kind: CallKind
    trust_version: int
    """Of its trust list."""


class Introductions:
    """Calls and answers. What is to be sent goes to the outbox.

    Args:
        own: where this gateway is reached; never called.
        entropy: returns that many unpredictable bytes.
    """

    def __init__(
        self, *, keyring: Keyring, own: Endpoint, entropy: Callable[[int], bytes], outbox: Outbox
    ) -> None:
        self._keyring = keyring
        self._own = own
        self._entropy = entropy
        self._outbox = outbox
        self._calls: dict[Endpoint, _Call] = {}
        self._by_nonce: dict[bytes, _Call] = {}
        self._shows_trust = True
        self._own_signature = keyring.sign_endpoint(own)
        self._answers = {
            Channel.DATAGRAM: Allowance(per_second=_ANSWERS_PER_SECOND, burst=_ANSWERS_BURST),
            Channel.STREAM: Allowance(per_second=_STREAM_ANSWERS_PER_SECOND, burst=_STREAM_ANSWERS_BURST),
        }
        self._hellos = {
            Channel.DATAGRAM: Allowance(per_second=_HELLOS_PER_SECOND, burst=_HELLOS_BURST),
            Channel.STREAM: Allowance(per_second=_STREAM_HELLOS_PER_SECOND, burst=_STREAM_HELLOS_BURST),
        }

    @property
    def is_alone(self) -> bool:
        """True if there is nobody to find: no seed but ourselves."""
        return not self._calls

    def start(self, *, seeds: Iterable[Endpoint], remembered: Iterable[Endpoint], now_ns: int) -> None:
        """Call these: the first few at once, the others after them."""
        wanted = dict.fromkeys(seeds, CallKind.SEED)
        for endpoint in list(remembered)[:REMEMBERED_MAX]:
            wanted.setdefault(endpoint, CallKind.REMEMBERED)
        for index, (endpoint, kind) in enumerate(wanted.items()):
            self._add(endpoint, kind, now_ns + index // _CALLED_AT_ONCE * _INTERVAL_NS)

    def stop(self) -> None:
        """Call nobody any more."""
        self._calls.clear()
        self._by_nonce.clear()

    def call(self, endpoint: Endpoint, *, now_ns: int) -> None:
        """Introduce ourselves to whoever is there, unless that is under way."""
        once = sum(call.kind is CallKind.ONCE for call in self._calls.values())
        if endpoint not in self._calls and once < _ONCE_CALLS_MAX:
            self._add(endpoint, CallKind.ONCE, now_ns)

    def tick(self, *, joined: bool, is_live: Callable[[GatewayName], bool], now_ns: int) -> None:
        """Calls whom it is time to call."""
        for call in tuple(self._calls.values()):
            if call.kind is CallKind.REMEMBERED and joined:
                self._end(call)
            elif now_ns >= call.due_ns:
                if call.kind is CallKind.SEED and call.answered_by and is_live(call.answered_by):
                    call.due_ns, call.wait_ns = now_ns + _INTERVAL_MAX_NS, _INTERVAL_NS
                elif call.kind is CallKind.ONCE and call.tries >= _ONCE_TRIES:
                    self._end(call)
                else:
                    self._say(call, now_ns)

    def next_deadline_ns(self) -> int | None:
        return min([call.due_ns for call in self._calls.values()], default=None)

    def hear_introduction(
        self, data: bytes, source: Endpoint | None, *, now_ns: int
    ) -> tuple[Met, Endpoint] | None:
        """Somebody shows who it is, and asks who we are.

        Args:
            source: where the datagram came from; None if it came over a stream.

        Returns:
            Whom we met, if it is genuine, and where it was answered.

        Raises:
            IntroductionError: malformed.
        """
        introduction = decode_introduction(data)
        channel = Channel.STREAM if source is None else Channel.DATAGRAM
        if not self._answers[channel].take(1, now_ns):
            whence = "streams" if source is None else str(source)
            self._outbox.report("introduction-dropped", detail=f"too many at once, from {whence}")
            return None
        met = self._keyring.meet(introduction.identity)
        if met is None:
            return None
        if source is None and not is_endpoint_genuine(met.identity, introduction):
            raise IntroductionError("not signed by the gateway that it shows")
        there = introduction.endpoint if source is None else source
        # Also if its authority is unknown to us: it may know better, and tell us. One datagram for one.
        if not (self._shows_trust and self._pass_trust(met, introduction, there, channel)):
            self._send(ANSWER, introduction.nonce, there, channel)
        self._shows_trust = not self._shows_trust
        return met, there

    def hear_answer(self, data: bytes, source: Endpoint | None, *, now_ns: int) -> Answered | None:
        """Somebody answers a call. Returns who, if it is genuine and was called.

        Args:
            source: where the datagram came from; None if it came over a stream.

        Raises:
            IntroductionError: malformed, or nobody asked.
        """
        introduction = decode_introduction(data)
        call = self._by_nonce.get(introduction.nonce)
        if call is None:
            raise IntroductionError("nobody asked")
        met = self._keyring.meet(introduction.identity)
        if met is None:
            return None
        if met.identity.name == self._keyring.name:
            # A seed list may be the same on all gateways: one of them is us.
            self._end(call)
            return None
        there = call.endpoint if source is None else source
        self._pass_trust(met, introduction, there, Channel.STREAM if source is None else Channel.DATAGRAM)
        if not met.is_admitted:
            return None
        call.answered_by = met.identity.name
        call.due_ns = max(call.due_ns, now_ns + _INTERVAL_NS)
        if call.kind is not CallKind.SEED:
            self._end(call)
        return Answered(met.identity.name, there, call.kind, introduction.trust_version)

    def admits_hello(self, channel: Channel, *, now_ns: int) -> bool:
        """True if one more hello may be looked at; of a flood most may not."""
        return bool(self._hellos[channel].take(1, now_ns))

    def answer_stranger(self, hello: bytes, source: Endpoint, *, now_ns: int) -> None:
        """A hello of a gateway that is not known: tell it, so that it introduces itself.

        Raises:
            IntroductionError: no hello.
        """
        notice = stranger_notice(hello)
        if self._answers[Channel.DATAGRAM].take(1, now_ns):
            self._outbox.do(SendDatagram(destination=source, data=notice))

    def _pass_trust(
        self, met: Met, introduction: Introduction, destination: Endpoint, channel: Channel
    ) -> bool:
        """Whoever is behind may not even be able to make a session with us before it has our list.

        Returns:
            True if the list was sent. One that is longer than an introduction comes over a session only, or
            from the operator.
        """
        trust = self._keyring.trust
        if introduction.trust_version < trust.version and trust.has_known(met.identity.authority):
            data = trust_datagram(encode(trust))
            if len(data) <= INTRODUCTION_BYTES:
                self._put(data, destination, channel)
                return True
        return False

    def _say(self, call: _Call, now_ns: int) -> None:
        call.due_ns = now_ns + call.wait_ns
        call.wait_ns = min(2 * call.wait_ns, _INTERVAL_MAX_NS)
        call.tries += 1
        self._send(INTRODUCTION, call.nonce, call.endpoint, Channel.DATAGRAM)
        if call.tries > 1:
            self._send(INTRODUCTION, call.nonce, call.endpoint, Channel.STREAM)

    def _send(self, kind: int, nonce: bytes, destination: Endpoint, channel: Channel) -> None:
        introduction = Introduction(
            nonce=nonce,
            trust_version=self._keyring.trust.version,
            identity=self._keyring.identity,
            endpoint=self._own,
            signature=self._own_signature,
        )
        self._put(encode_introduction(kind, introduction), destination, channel)

    def _put(self, data: bytes, destination: Endpoint, channel: Channel) -> None:
        if channel is Channel.DATAGRAM:
            self._outbox.do(SendDatagram(destination=destination, data=data))
        else:
            self._outbox.do(SendFrame(to=None, destination=destination, data=data))

    def _add(self, endpoint: Endpoint, kind: CallKind, due_ns: int) -> None:
        if endpoint == self._own:
            return
        call = _Call(endpoint=endpoint, kind=kind, nonce=self._entropy(NONCE_BYTES), due_ns=due_ns)
        self._calls[endpoint] = call
        self._by_nonce[call.nonce] = call

    def _end(self, call: _Call) -> None:
        del self._calls[call.endpoint]
        del self._by_nonce[call.nonce]
