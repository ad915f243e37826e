"""What gateways say to each other before they share keys: introductions, notices, trust lists.

None of it is sealed. It decides whom we greet and where; who that is shows in the handshake.
"""

from __future__ import annotations

from gossipsa.contacts import Contacts
from gossipsa.identifiers import Endpoint, GatewayName
from gossipsa.introductions import Answered, CallKind, Introductions
from gossipsa.membership_changes import MembershipChanges
from gossipsa.mesh_message import OfferTrust
from gossipsa.mesh_port import MeshPort, whence
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox
from gossipsa.swim.swim import Swim
from gossipsa.trust_keeper import TrustKeeper
from gossipsa.wire import introduction
from gossipsa.wire.handshake import WIRE_VERSION
from gossipsa.wire.introduction import IntroductionError
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import Channel, Sessions

_TRUST_WAIT_NS = 500_000_000
_UNSEALED = tuple(
    bytes((WIRE_VERSION, kind))
    for kind in (introduction.INTRODUCTION, introduction.ANSWER, introduction.STRANGER, introduction.TRUST)
)


def is_unsealed(data: bytes) -> bool:
    """True for what a gateway may say to one that does not know it."""
    return data[:2] in _UNSEALED


class FirstContact:
    """Follows up on what `Introductions` hears: who was met is greeted, and joined if it was a seed."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        sessions: Sessions,
        introductions: Introductions,
        contacts: Contacts,
        trust: TrustKeeper,
        swim: Swim,
        mesh: MeshView,
        port: MeshPort,
        membership: MembershipChanges,
        outbox: Outbox,
    ) -> None:
        self._keyring = keyring
        self._sessions = sessions
        self._introductions = introductions
        self._contacts = contacts
        self._trust = trust
        self._swim = swim
        self._mesh = mesh
        self._port = port
        self._membership = membership
        self._outbox = outbox
        # Trust list versions that are waited for before we join, and until when.
        self._joins: dict[GatewayName, tuple[int, int]] = {}

    def tick(self, *, now_ns: int) -> None:
        """Introduces us to whom it is time to call."""
        if not self._port.is_silent:
            self._introductions.tick(joined=self._swim.joined, is_live=self._mesh.is_live, now_ns=now_ns)

    def next_deadline_ns(self) -> int | None:
        """When waiting for a trust list ends; calls have deadlines of their own."""
        return min(due_ns for _, due_ns in self._joins.values()) if self._joins else None

    def finish(self, *, now_ns: int) -> None:
        """Ends a run of the core: joins by way of those whose trust list has come, or is late."""
        if not self._joins:
            return
        for name, (version, due_ns) in tuple(self._joins.items()):
            if self._keyring.trust.version >= version or now_ns >= due_ns:
                del self._joins[name]
                self._membership.join(name, now_ns=now_ns)

    def hear(self, data: bytes, source: Endpoint | None, *, now_ns: int) -> None:
        """Takes in what `is_unsealed`; `source` is None if it came over a stream."""
        try:
            self._hear(data, source, now_ns)
        except IntroductionError as error:
            self._outbox.report("message-refused", detail=f"{error}, {whence(source)}")

    def _hear(self, data: bytes, source: Endpoint | None, now_ns: int) -> None:
        """Raises IntroductionError."""
        channel = Channel.STREAM if source is None else Channel.DATAGRAM
        match data[1]:
            case introduction.INTRODUCTION:
                heard = self._introductions.hear_introduction(data, source, now_ns=now_ns)
                if heard is not None and heard[0].is_admitted:
                    met, there = heard
                    self._met(met.identity.name, there)
                    self._greet_again(met.identity.name, there, channel, now_ns)
            case introduction.ANSWER:
                answered = self._introductions.hear_answer(data, source, now_ns=now_ns)
                if answered is not None:
                    self._met(answered.name, answered.endpoint)
                    if answered.kind is not CallKind.ONCE:
                        self._join_with_trust(answered, channel, now_ns)
                    self._greet_again(answered.name, answered.endpoint, channel, now_ns)
            case introduction.STRANGER if source is not None:
                name = self._sessions.greeted(introduction.ephemeral_of_notice(data))
                if name is not None:
                    self._introductions.call(source, now_ns=now_ns)
                    self.tick(now_ns=now_ns)
            case introduction.TRUST:
                self._trust.hear_unsealed(data[2:], now_ns=now_ns)
            case _:
                raise IntroductionError("a notice that came over a stream")

    def _met(self, name: GatewayName, there: Endpoint) -> None:
        """An identity was shown by whoever is there."""
        self._contacts.introduced(name, there)
        self._swim.readmit(name)

    def _join_with_trust(self, answered: Answered, channel: Channel, now_ns: int) -> None:
        """Joins; whoever has a newer trust list is asked for that first, so that nobody is believed who was
        revoked while we were away. What it says of its list is not proven, and not waited for long."""
        version = self._keyring.trust.version
        if answered.trust_version <= version:
            self._membership.join(answered.name, now_ns=now_ns)
        elif answered.name not in self._joins:
            self._joins[answered.name] = (answered.trust_version, now_ns + _TRUST_WAIT_NS)
            self._port.seal(answered.name, OfferTrust(version=version), channel, now_ns=now_ns)

    def _greet_again(self, name: GatewayName, there: Endpoint, channel: Channel, now_ns: int) -> None:
        """The hello that is under way, if there is one, to where the gateway is, by the way that is open."""
        outgoing = self._sessions.greet_again(name, channel=channel, now_ns=now_ns)
        self._port.emit(outgoing, there, now_ns=now_ns)
