"""A real core, and other gateways of its mesh that say whatever a test wants them to say.

The others hold genuine keys: what they send is sealed as it should be, and only its content is hostile.
"""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Address
from random import Random

import msgspec

from gossipsa import inputs
from gossipsa.effects import Effect, Report, SendDatagram, SendFrame
from gossipsa.gateway import Gateway
from gossipsa.identifiers import BOOT_ID_BYTES, BootId, Endpoint, GatewayName, Holder
from gossipsa.mesh_message import MESSAGE_DECODER, PROTOCOL_VERSION, GatewayMetadata, Gossip, MeshMessage
from gossipsa.settings import GatewaySettings, ReplicationSettings, TakeoverSettings
from gossipsa.swim import statements
from gossipsa.swim.messages import Ack, MemberState, Message, Ping, StateReply, SwimPacket, Testimony, Update
from gossipsa.swim.settings import LAN
from gossipsa.wire.codec import encode
from gossipsa.wire.identity import Identity
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.sessions import Channel, SealError, Sessions
from tests.authorities import NOW_S, TRUST, identity_of, keys_of

OWN = GatewayName("own")
OTHERS = (GatewayName("a"), GatewayName("b"), GatewayName("c"))
MS = 1_000_000
SECOND = 1_000 * MS
_PORT = 4600
_SENT_MAX = 200


def endpoint_of(name: GatewayName) -> Endpoint:
    return Endpoint(IPv4Address("10.255.0.0") + sum(name.encode()), _PORT)


def keyring_of(name: GatewayName, everybody: tuple[GatewayName, ...]) -> Keyring:
    """A keyring that has admitted everybody."""
    keyring = Keyring(keys=keys_of(name), identity=_identity_of(name), trust=TRUST, unix_s=NOW_S)
    for other in everybody:
        assert keyring.admit(other, encode(_identity_of(other)))
    return keyring


@cache
def _identity_of(name: GatewayName) -> Identity:
    return identity_of(name, zone=name)


class Other:
    """Another gateway of the mesh: genuine keys, no manners."""

    def __init__(self, name: GatewayName, everybody: tuple[GatewayName, ...], *, boot: int = 1) -> None:
        random = Random(f"{name} {boot}")
        self.name = name
        self.boot = BootId(random.randbytes(BOOT_ID_BYTES))
        self.sessions = Sessions(
            keyring=keyring_of(name, everybody), boot=self.boot, entropy=random.randbytes
        )

    @property
    def holder(self) -> Holder:
        return Holder(self.name, self.boot)

    def gossip(self, *messages: Message, updates: tuple[Update, ...] = ()) -> Gossip:
        return Gossip(packet=SwimPacket(boot=self.boot, messages=messages, updates=updates))

    @staticmethod
    def payload(message: MeshMessage) -> bytes:
        """A message before it is sealed."""
        return encode(message)

    def replies(self, message: MeshMessage) -> list[Gossip]:
        """What any live gateway answers to probes."""
        if not isinstance(message, Gossip):
            return []
        asked = message.packet.messages
        acks: list[Message] = [Ack(sequence=ping.sequence) for ping in asked if isinstance(ping, Ping)]
        return [self.gossip(*acks)] if acks else []

    def claim_of_itself(self, *, incarnation: int = 1) -> Update:
        return update_about(self.name, boot=self.boot, incarnation=incarnation)


def update_about(
    name: str, *, boot: bytes = bytes(BOOT_ID_BYTES), incarnation: int = 1,
    state: MemberState = MemberState.ALIVE, witness: str = "",
) -> Update:  # fmt: skip
    """A complete claim about a gateway, invented or not, signed by whom it names."""
    metadata = GatewayMetadata(
        protocol_version=PROTOCOL_VERSION,
        capacity=100,
        ike_addresses=(IPv4Address("192.0.2.1"),),
    )
    endpoint = endpoint_of(GatewayName(name))
    words = Update(
        member=GatewayName(name),
        boot=BootId(boot),
        incarnation=incarnation,
        state=state,
        evidence=(testimony,) if (testimony := _testimony(witness, name, boot, incarnation)) else (),
        address=endpoint.address.packed,
        port=endpoint.port,
        metadata=encode(metadata),
    )
    credentials = credentials_of(name)
    signature = credentials.sign(statements.own_words(words))
    return msgspec.structs.replace(words, identity=credentials.identity, signature=signature)


def credentials_of(name: str) -> Keyring:
    return keyring_of(GatewayName(name), ())


def _testimony(witness: str, name: str, boot: bytes, incarnation: int) -> Testimony | None:
    if not witness:
        return None
    statement = statements.suspicion(GatewayName(name), BootId(boot), incarnation)
    return Testimony(witness=GatewayName(witness), signature=credentials_of(witness).sign(statement))


class Rig:
    """One core under test, called `own`, and the others.

    Attributes:
        core: the gateway.
        now_ns: its clock.
        reports: how often the core reported what, in all.
    """

    def __init__(self, *, others: tuple[GatewayName, ...] = OTHERS, seed: int = 0) -> None:
        everybody = (OWN, *others)
        random = Random(seed)
        self.now_ns = 1_000 * SECOND
        self.reports: dict[str, int] = {}
        self.silent: set[GatewayName] = set()
        """Others that answer no probe."""
        self.sent: list[bytes] = []
        """What the core sent last, newest last."""
        self.others = {name: Other(name, everybody) for name in others}
        self.settings = GatewaySettings(
            ike_addresses=(IPv4Address("192.0.2.1"),),
            ike_port=4500,
            mesh_endpoint=endpoint_of(OWN),
            swim=LAN,
            replication=ReplicationSettings(),
            takeover=TakeoverSettings(),
        )
        self.core = Gateway(
            settings=self.settings,
            keyring=keyring_of(OWN, everybody),
            boot=BootId(random.randbytes(BOOT_ID_BYTES)),
            random=random,
            entropy=random.randbytes,
        )
        self._by_endpoint = {endpoint_of(name): name for name in others}
        self.feed(inputs.Started())

    def join(self) -> None:
        """Everybody introduces itself, and is alive."""
        for other in self.others.values():
            self.say(other, other.gossip(StateReply(sequence=0), updates=(other.claim_of_itself(),)))

    def say(self, other: Other, message: MeshMessage, *, channel: Channel = Channel.STREAM) -> None:
        """Another gateway sends a message, sealed."""
        self.say_bytes(other, encode(message), channel=channel)

    def say_bytes(self, other: Other, payload: bytes, *, channel: Channel = Channel.STREAM) -> None:
        """Another gateway seals and sends bytes that may be no message at all."""
        for sealed in other.sessions.seal(OWN, payload, channel=channel, now_ns=self.now_ns):
            self.receive(sealed.data, source=other.name)

    def receive(self, data: bytes, *, source: GatewayName = OTHERS[0]) -> None:
        """Bytes arrive as a datagram."""
        self.feed(inputs.DatagramReceived(source=endpoint_of(source), data=data))

    def pass_time(self, duration_ns: int) -> None:
        """Timers run; nobody but `feed`'s handshakes answers."""
        end_ns = self.now_ns + duration_ns
        while (due_ns := self.core.next_deadline_ns()) is not None and due_ns <= end_ns:
            # A deadline in the past is due now; time goes on at least a little.
            self.now_ns = max(due_ns, self.now_ns + MS // 10)
            self.feed(inputs.TimerDue())
        self.now_ns = max(self.now_ns, end_ns)

    def feed(self, event: inputs.Input) -> tuple[Effect, ...]:
        """One input; what comes out reaches the others, whose handshakes answer."""
        effects = self.core.handle(event, now_ns=self.now_ns)
        for effect in effects:
            if isinstance(effect, Report):
                self.reports[effect.event] = self.reports.get(effect.event, 0) + effect.count
            elif isinstance(effect, SendDatagram | SendFrame):
                self.sent = [*self.sent[-_SENT_MAX:], effect.data]
                self._deliver(effect.destination, effect.data)
        return effects

    def _deliver(self, destination: Endpoint, data: bytes) -> None:
        name = self._by_endpoint.get(destination)
        if name is None:
            return
        other = self.others[name]
        try:
            opened, answers = other.sessions.open(data, now_ns=self.now_ns)
        except SealError:
            return
        for answer in answers:
            self.receive(answer.data, source=name)
        if opened is not None and name not in self.silent:
            for reply in other.replies(MESSAGE_DECODER.decode(opened.payload)):
                self.say(other, reply, channel=Channel.DATAGRAM)

    def states(self) -> dict[str, str]:
        """What the core believes of every member."""
        return {member.name: member.state for member in self.core.status(now_ns=self.now_ns).members}
