"""What one member that lies about others can do, in whole meshes: little, and nothing for good."""

from __future__ import annotations

import msgspec
import pytest

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim import messages, statements
from gossipsa.swim.member import endpoint_of
from gossipsa.swim.messages import (
    Heard,
    IndirectAck,
    MemberState,
    Message,
    Nack,
    PingRequest,
    SwimPacket,
    Update,
)
from gossipsa.swim.outputs import (
    ClaimsForged,
    MemberFailed,
    MemberFlapping,
    MemberJoined,
    MemberLeft,
    MemberRestarted,
    MemberSuspected,
    MetadataChanged,
    NameClash,
    Output,
    Outputs,
    Send,
)
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from gossipsa.swim.swim import Swim
from gossipsa.swim.verifier import FORGERIES_PER_SECOND
from sim.mesh.credentials import MemberCredentials, issue, member_key
from sim.mesh.network import Network, boot_id, uniform_latency

ALIVE, SUSPECT, FAILED, LEFT = MemberState


class Mesh:
    """A settled mesh whose last member lies, and whose first one is lied about."""

    def __init__(self, count: int = 5, *, seed: int = 1, watched: int = 3) -> None:
        self.network = Network(count, seed=seed, watched=watched, latency=uniform_latency(1))
        self.network.start_all()
        assert self.network.agreed()
        self.victim, *self.others, self.liar = self.network.names

    def words(self) -> Update:
        """The victim's own, as the liar knows them."""
        return self.network.swim(self.victim)._own.update()

    def testimony(self, witness: GatewayName, *, author: GatewayName | None = None) -> messages.Testimony:
        words = self.words()
        statement = statements.suspicion(words.member, words.boot, words.incarnation)
        return messages.Testimony(
            witness=witness, signature=MemberCredentials(author or witness).sign(statement)
        )

    def accuse(self, state: MemberState, *evidence: messages.Testimony) -> Update:
        words = self.words()
        return Update(
            member=words.member,
            boot=words.boot,
            incarnation=words.incarnation,
            state=state,
            evidence=evidence,
        )

    def lie(self, *updates: Update, to: list[GatewayName] | None = None) -> None:
        """The liar tells everybody, or some."""
        host = self.network.hosts[self.liar]
        packet = SwimPacket(boot=boot_id(self.liar, host.boots), updates=updates)
        for name in self.others if to is None else to:
            receiver = self.network.hosts[name]
            if receiver.swim is not None:
                self.network._receive(receiver, self.liar, msgspec.msgpack.encode(packet))

    def count(self, kind: type[object]) -> int:
        return sum(isinstance(told.event, kind) for told in self.network.told if told.observer != self.liar)

    def check_nothing_happened(self, *, suspected: bool = False) -> None:
        self.network.run(5 * SECOND_NS)
        for kind in (
            MemberFailed,
            MemberJoined,
            MemberLeft,
            MemberRestarted,
            MetadataChanged,
            MemberFlapping,
            NameClash,
        ):
            assert self.count(kind) == 0, kind
        assert suspected or self.count(MemberSuspected) == 0
        assert self.network.agreed()


# Suspicions and verdicts.


def test_forged_suspicion_is_reported_and_suspects_nobody() -> None:
    mesh = Mesh()
    mesh.lie(mesh.accuse(SUSPECT, mesh.testimony(mesh.others[0], author=mesh.liar)))
    # The one whose word it is said to be knows better.
    assert mesh.count(ClaimsForged) == len(mesh.others) - 1
    mesh.check_nothing_happened()


def test_liars_own_suspicion_is_refuted() -> None:
    mesh = Mesh()
    mesh.lie(mesh.accuse(SUSPECT, mesh.testimony(mesh.liar)))
    mesh.check_nothing_happened(suspected=True)
    assert mesh.count(MemberSuspected) <= len(mesh.others)
    assert mesh.network.swim(mesh.victim).incarnation == 1


def test_false_alarm_without_end_is_soon_ignored() -> None:
    mesh = Mesh()
    for _ in range(100):
        mesh.lie(mesh.accuse(SUSPECT, mesh.testimony(mesh.liar)))
        mesh.network.run(100 * MILLISECOND_NS)
    mesh.check_nothing_happened(suspected=True)
    assert mesh.network.swim(mesh.victim).incarnation < 15


@pytest.mark.parametrize("witnesses", [0, 1, 2])
def test_verdict_of_one_liar_fails_nobody(witnesses: int) -> None:
    """It testifies itself, and forges as many testimonies of others."""
    mesh = Mesh()
    forged = [mesh.testimony(name, author=mesh.liar) for name in mesh.others[:witnesses]]
    for _ in range(5):
        mesh.lie(mesh.accuse(FAILED, mesh.testimony(mesh.liar), *forged))
        mesh.network.run(300 * MILLISECOND_NS)
    mesh.check_nothing_happened()
    assert (mesh.count(ClaimsForged) > 0) == (witnesses > 0)


def test_witness_counts_once_in_a_verdict() -> None:
    mesh = Mesh()
    mesh.lie(mesh.accuse(FAILED, *[mesh.testimony(mesh.liar)] * 3))
    mesh.check_nothing_happened()


def test_accused_is_no_witness_against_itself() -> None:
    mesh = Mesh()
    mesh.lie(mesh.accuse(FAILED, mesh.testimony(mesh.victim), mesh.testimony(mesh.liar)))
    mesh.check_nothing_happened()


def test_replayed_testimonies_are_worth_nothing_once_they_were_refuted() -> None:
    mesh = Mesh()
    old = mesh.accuse(FAILED, *(mesh.testimony(name) for name in (*mesh.others[:2], mesh.liar)))
    mesh.lie(mesh.accuse(SUSPECT, mesh.testimony(mesh.others[0])))
    mesh.network.run(2 * SECOND_NS)
    assert mesh.network.swim(mesh.victim).incarnation == 1
    mesh.network.told.clear()
    mesh.lie(old)
    mesh.check_nothing_happened()


def test_liar_and_an_honest_member_on_a_broken_path_fail_nobody() -> None:
    """Two witnesses, one of them honest: the suspect still has its time, and others who hear it."""
    mesh = Mesh()
    mistaken = mesh.others[0]
    mesh.network.blocked = lambda *path: set(path) == {mistaken, mesh.victim}
    # The liar, asked to relay, does not: so does nobody else in this test.
    ours = mesh.testimony(mistaken)
    for _ in range(5):
        for state in (SUSPECT, FAILED):
            mesh.lie(mesh.accuse(state, ours, mesh.testimony(mesh.liar)))
        mesh.network.run(500 * MILLISECOND_NS)
        ours = mesh.testimony(mistaken)
    mesh.check_nothing_happened(suspected=True)


# What members say of themselves.


def moved(words: Update, **changes: object) -> Update:
    return msgspec.structs.replace(words, address=b"\x0a\x09\x09\x09", **changes)


def test_forged_words_move_rename_resurrect_and_dismiss_nobody() -> None:
    mesh = Mesh()
    words = mesh.words()
    higher = words.incarnation + 1
    forger = member_key(mesh.liar)
    lies = [
        # With the true signature of other words.
        moved(words, incarnation=higher),
        msgspec.structs.replace(words, incarnation=higher),
        msgspec.structs.replace(words, state=LEFT),
        msgspec.structs.replace(words, metadata=b"x", incarnation=higher),
        msgspec.structs.replace(words, boot=BootId(b"z" * 16), incarnation=higher),
        # Signed by the liar, under its own identity, one made up, or the victim's.
        signed_by_liar(mesh, moved(words, incarnation=higher), issue(mesh.liar, forger)),
        signed_by_liar(mesh, moved(words, incarnation=higher), issue(mesh.victim, forger, genuine=False)),
        signed_by_liar(mesh, moved(words, incarnation=higher), words.identity),
        # The victim's identity under another name.
        msgspec.structs.replace(words, member=GatewayName("alias")),
        msgspec.structs.replace(words, member=mesh.others[0], incarnation=higher),
    ]
    for update in lies:
        mesh.lie(update, to=[mesh.victim, *mesh.others])
        mesh.network.run(100 * MILLISECOND_NS)
    assert mesh.count(ClaimsForged) > 0
    mesh.check_nothing_happened()
    for name in mesh.others:
        view = mesh.network.swim(name).member(mesh.victim)
        assert view is not None
        assert (view.endpoint, view.incarnation) == (endpoint_of(words), words.incarnation)


def signed_by_liar(mesh: Mesh, words: Update, identity: bytes) -> Update:
    signature = MemberCredentials(mesh.liar).sign(statements.own_words(words))
    return msgspec.structs.replace(words, identity=identity, signature=signature)


def test_old_words_do_not_bring_back_what_they_said() -> None:
    mesh = Mesh()
    old = mesh.words()
    mesh.network.swim(mesh.victim).set_metadata(b"new", now_ns=mesh.network.now_ns)
    mesh.network.run(2 * SECOND_NS)
    mesh.network.told.clear()
    mesh.lie(old)
    mesh.check_nothing_happened()
    assert all(mesh.network.swim(name).members[mesh.victim].metadata == b"new" for name in mesh.others)


def test_words_of_the_dead_resurrect_nobody() -> None:
    mesh = Mesh()
    words = mesh.words()
    mesh.network.kill(mesh.victim)
    mesh.network.run(3 * SECOND_NS)
    mesh.network.told.clear()
    for _ in range(5):
        mesh.lie(words)
        mesh.network.run(300 * MILLISECOND_NS)
    assert mesh.count(MemberJoined) == 0
    for name in mesh.others:
        assert mesh.network.swim(name).members[mesh.victim].state is FAILED


def test_words_of_an_earlier_boot_take_nothing_from_the_present_one() -> None:
    mesh = Mesh()
    old = mesh.words()
    mesh.network.kill(mesh.victim)
    mesh.network.run(100 * MILLISECOND_NS)
    mesh.network.start(mesh.victim)
    mesh.network.run(2 * SECOND_NS)
    mesh.network.told.clear()
    mesh.lie(old, to=[mesh.victim, *mesh.others])
    mesh.check_nothing_happened()


# Relays.


class LyingRelay:
    """Reports a member alive, or silent, whatever it finds, and says so to everybody all the time."""

    def __init__(self, swim: Swim, victim: GatewayName, *, says_alive: bool) -> None:
        self._swim = swim
        self._victim = victim
        self._says_alive = says_alive

    def __getattr__(self, name: str) -> object:
        return getattr(self._swim, name)

    def handle(self, sender: GatewayName, packet: SwimPacket, *, now_ns: int) -> Outputs:
        asked = [
            message
            for message in packet.messages
            if isinstance(message, PingRequest) and message.target == self._victim
        ]
        honest = tuple(message for message in packet.messages if message not in asked)
        outputs = self._swim.handle(sender, msgspec.structs.replace(packet, messages=honest), now_ns=now_ns)
        lies = tuple(self._report(message.sequence) for message in asked)
        outputs = self._without_testimony(outputs)
        return (*outputs, *self._send(sender, *lies)) if lies else outputs

    def handle_tick(self, *, now_ns: int) -> Outputs:
        outputs = self._without_testimony(self._swim.handle_tick(now_ns=now_ns))
        member = self._swim.member(self._victim)
        if not self._says_alive or member is None:
            return outputs
        heard = Heard(member=self._victim, boot=member.boot, incarnation=member.incarnation)
        return (
            *outputs,
            *(
                send
                for name in self._swim.members
                if name != self._victim
                for send in self._send(name, heard)
            ),
        )

    def _without_testimony(self, outputs: Outputs) -> Outputs:
        """What it finds itself it keeps for itself."""
        if not self._says_alive:
            return outputs
        kept: list[Output] = []
        for output in outputs:
            if isinstance(output, Send):
                told = tuple(
                    update
                    for update in output.packet.updates
                    if not (update.accuses and update.member == self._victim)
                )
                packet = msgspec.structs.replace(output.packet, updates=told)
                kept.append(msgspec.structs.replace(output, packet=packet))
            else:
                kept.append(output)
        return tuple(kept)

    def _report(self, sequence: int) -> Message:
        member = self._swim.member(self._victim)
        assert member is not None
        return (
            IndirectAck(sequence=sequence, boot=member.boot) if self._says_alive else Nack(sequence=sequence)
        )

    def _send(self, to: GatewayName, *said: Message) -> Outputs:
        return (Send(to=to, packet=SwimPacket(boot=self._swim._boot, messages=said)),)


def with_lying_relay(mesh: Mesh, *, says_alive: bool) -> None:
    host = mesh.network.hosts[mesh.liar]
    assert host.swim is not None
    host.swim = LyingRelay(host.swim, mesh.victim, says_alive=says_alive)  # type: ignore[assignment]
    # Its timer belongs to what was there before.
    host.wake_ns = None
    mesh.network._do(host, ())


@pytest.mark.parametrize("count", [4, 5, 8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_liar_that_vouches_for_the_dead_delays_the_verdict_by_a_bounded_time(count: int, seed: int) -> None:
    mesh = Mesh(count, seed=seed)
    with_lying_relay(mesh, says_alive=True)
    mesh.network.kill(mesh.victim)
    took_ns = mesh.network.run(
        20 * SECOND_NS,
        until=lambda: all(
            mesh.network.swim(name).members[mesh.victim].state is FAILED for name in mesh.others
        ),
    )
    assert took_ns < 3 * SECOND_NS
    assert mesh.count(MemberFailed) == len(mesh.others)


@pytest.mark.parametrize("oneway", [False, True])
def test_liar_that_denies_the_living_fails_nobody(oneway: bool) -> None:
    mesh = Mesh()
    with_lying_relay(mesh, says_alive=False)
    cut_off = mesh.others[0]
    paths = {(cut_off, mesh.victim)} if oneway else {(cut_off, mesh.victim), (mesh.victim, cut_off)}
    mesh.network.blocked = lambda *path: path in paths
    mesh.network.run(20 * SECOND_NS)
    mesh.check_nothing_happened(suspected=True)


def test_other_one_of_two_survivors_can_withhold_the_verdict_and_no_more() -> None:
    """With two honest members less than three, nobody can tell who lies: the suspicion stands."""
    mesh = Mesh(3, watched=2)
    with_lying_relay(mesh, says_alive=True)
    mesh.network.kill(mesh.victim)
    mesh.network.run(20 * SECOND_NS)
    [honest] = mesh.others
    assert mesh.count(MemberFailed) == 0
    mesh.network.kill(mesh.liar)
    took_ns = mesh.network.run(20 * SECOND_NS, until=mesh.network.agreed)
    assert took_ns < 3 * SECOND_NS
    assert not mesh.network.live_view(honest)


# Cost.


def test_forgeries_cost_a_bounded_number_of_verifications() -> None:
    mesh = Mesh()
    honest = mesh.network.swim(mesh.others[0])
    credentials = honest._verifier._credentials
    assert isinstance(credentials, MemberCredentials)
    words = mesh.words()
    # What the burst allows is used up.
    for number in range(5_000):
        mesh.lie(moved(words, incarnation=number + 1), to=mesh.others[:1])
    credentials.verified = 0
    seconds = 5
    for number in range(200 * seconds):
        mesh.lie(moved(words, incarnation=number + 1), to=mesh.others[:1])
        mesh.network.run(SECOND_NS // 200)
    assert credentials.verified <= (seconds + 1) * FORGERIES_PER_SECOND
    assert mesh.network.agreed()
    assert mesh.count(MemberFailed) == 0
