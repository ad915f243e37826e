"""One member, packet by packet."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gossipsa.swim
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import (
    Ack,
    DigestRequest,
    Heard,
    IndirectAck,
    MemberState,
    Nack,
    Ping,
    PingRequest,
    StateReply,
    StateRequest,
    SwimPacket,
    Update,
)
from gossipsa.swim.outputs import (
    MemberFailed,
    MemberJoined,
    MemberRestarted,
    MemberSuspected,
    NameClash,
    Outputs,
    Send,
    Stalled,
    UpdatesRefused,
)
from gossipsa.swim.settings import LAN, SECOND_NS
from gossipsa.swim.swim import Swim
from sim.mesh.credentials import MemberCredentials
from sim.mesh.network import names
from tests.swim.claims import BOOT, ENDPOINT, NEW_BOOT, OTHERS, THEM, US, claim, packets

START_NS = 10 * SECOND_NS


def member(**changes: int) -> Swim:
    return Swim(
        settings=replace(LAN, **changes),  # type: ignore[arg-type]
        name=US,
        boot=BOOT,
        endpoint=ENDPOINT,
        metadata=b"",
        random=Random(1),
        credentials=MemberCredentials(US),
    )


def packet(*messages: object, told: tuple[Update, ...] = (), boot: bytes = BOOT) -> SwimPacket:
    return SwimPacket(boot=boot, messages=messages, updates=told)  # type: ignore[arg-type]


def member_that_knows(*known: GatewayName, **changes: int) -> Swim:
    """Joined, and done with spreading the news of it."""
    swim = member(**changes)
    told = tuple(claim(member=name) for name in known)
    swim.handle(THEM, packet(StateReply(sequence=0), told=told), now_ns=START_NS)
    return swim


def messages_to(outputs: Outputs, name: GatewayName) -> list[object]:
    sends = [output for output in outputs if isinstance(output, Send) and output.to == name]
    return [message for send in sends for message in send.packet.messages]


def updates_to(outputs: Outputs, name: GatewayName) -> list[Update]:
    sends = [output for output in outputs if isinstance(output, Send) and output.to == name]
    return [update for send in sends for update in send.packet.updates]


def events(outputs: Outputs) -> list[object]:
    return [output for output in outputs if not isinstance(output, Send)]


@given(
    st.lists(st.tuples(st.sampled_from([US, THEM, *OTHERS]), packets, st.integers(0, SECOND_NS)), max_size=8)
)
def test_no_packet_of_an_authenticated_sender_raises_or_exceeds_the_bounds(
    traffic: list[tuple[GatewayName, SwimPacket, int]],
) -> None:
    swim = member(members_max=5)
    swim.watch(OTHERS)
    now_ns = START_NS
    for sender, received, later_ns in traffic:
        now_ns += later_ns
        for outputs in (
            swim.handle(sender, received, now_ns=now_ns),
            swim.handle_tick(now_ns=max(now_ns, swim.next_deadline_ns())),
        ):
            assert len(outputs) < 100
            assert len(swim.members) <= 5
            assert all(len(send.packet.updates) <= 50 for send in outputs if isinstance(send, Send))


def test_ping_is_answered_even_to_a_stranger_which_is_asked_who_it_is() -> None:
    outputs = member().handle(THEM, packet(Ping(sequence=9)), now_ns=START_NS)
    [request, ack] = messages_to(outputs, THEM)
    assert isinstance(request, DigestRequest)
    assert ack == Ack(sequence=9)
    assert [update.member for update in updates_to(outputs, THEM)] == [US]


def test_join_asks_all_seeds_but_ourselves() -> None:
    swim = member()
    outputs = swim.join([US, THEM, OTHERS[0]], now_ns=START_NS)
    assert [output.to for output in outputs if isinstance(output, Send)] == [THEM, OTHERS[0]]
    assert messages_to(outputs, THEM) == [StateRequest(sequence=0)]
    assert [update.member for update in updates_to(outputs, THEM)] == [US]
    assert not swim.joined
    swim.handle(THEM, packet(StateReply(sequence=0), told=(claim(),)), now_ns=START_NS)
    assert swim.joined


def test_state_request_is_answered_with_all_we_know() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    outputs = swim.handle(THEM, packet(StateRequest(sequence=4)), now_ns=START_NS)
    assert StateReply(sequence=4) in messages_to(outputs, THEM)
    assert [update.member for update in updates_to(outputs, THEM)] == [US, THEM, OTHERS[0]]


def test_suspicion_of_ourselves_is_refuted_at_once() -> None:
    swim = member_that_knows(THEM)
    accusation = claim(MemberState.SUSPECT, member=US)
    outputs = swim.handle(THEM, packet(Ping(sequence=1), told=(accusation,)), now_ns=START_NS)
    [refutation] = updates_to(outputs, THEM)
    assert (refutation.member, refutation.incarnation, refutation.state) == (US, 1, MemberState.ALIVE)
    assert swim.incarnation == 1
    assert swim.health_score == 1


def test_outdated_accusation_is_answered_without_raising_the_incarnation_again() -> None:
    swim = member_that_knows(THEM)
    accusation = claim(MemberState.SUSPECT, member=US)
    for _ in range(2):
        outputs = swim.handle(THEM, packet(told=(accusation,)), now_ns=START_NS)
        assert [update.incarnation for update in updates_to(outputs, THEM)] == [1]


def test_suspicion_of_another_makes_us_ask_it_and_tell_it() -> None:
    swim = member_that_knows(THEM, OTHERS[0], OTHERS[1])
    suspicion = claim(MemberState.SUSPECT, member=OTHERS[0], witness=THEM)
    outputs = swim.handle(THEM, packet(told=(suspicion,)), now_ns=START_NS)
    assert events(outputs) == [MemberSuspected(name=OTHERS[0], boot=BOOT, witnesses=1)]
    [ping] = messages_to(outputs, OTHERS[0])
    assert isinstance(ping, Ping)
    assert updates_to(outputs, OTHERS[0]) == [suspicion]

    # It answers: those who suspect it are told.
    outputs = swim.handle(OTHERS[0], packet(Ack(sequence=ping.sequence)), now_ns=START_NS + 1)
    assert messages_to(outputs, THEM) == [Heard(member=OTHERS[0], boot=BOOT, incarnation=0)]


def test_suspicion_of_one_that_we_found_silent_ourselves_is_confirmed_when_the_probe_fails() -> None:
    swim = member_that_knows(THEM, OTHERS[0], OTHERS[1])
    suspicion = claim(MemberState.SUSPECT, member=OTHERS[0], witness=THEM)
    swim.handle(THEM, packet(told=(suspicion,)), now_ns=START_NS)
    told: list[object] = []
    while not any(isinstance(event, MemberFailed) for event in told):
        told += events(swim.handle_tick(now_ns=swim.next_deadline_ns()))
    assert told[0] == MemberSuspected(name=OTHERS[0], boot=BOOT, witnesses=2)


def test_verdict_that_we_cannot_believe_is_checked_and_accepted_when_it_proves_true() -> None:
    swim = member_that_knows(THEM, OTHERS[0], OTHERS[1])
    verdict = claim(MemberState.FAILED, member=OTHERS[0], witnesses=(THEM, OTHERS[1]))
    outputs = swim.handle(THEM, packet(told=(verdict,)), now_ns=START_NS)
    assert events(outputs) == []
    assert updates_to(outputs, OTHERS[0]) == [verdict]
    told: list[object] = []
    while not told:
        now_ns = swim.next_deadline_ns()
        # Others are heard meanwhile.
        swim.handle(THEM, packet(), now_ns=now_ns)
        told += events(swim.handle_tick(now_ns=now_ns))
    assert told == [MemberFailed(name=OTHERS[0], boot=BOOT)]


def test_verdict_that_proves_false_changes_nothing() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    verdict = claim(MemberState.FAILED, member=OTHERS[0], witness=THEM)
    outputs = swim.handle(THEM, packet(told=(verdict,)), now_ns=START_NS)
    [ping] = messages_to(outputs, OTHERS[0])
    assert isinstance(ping, Ping)
    answer = packet(Ack(sequence=ping.sequence), told=(claim(member=OTHERS[0], incarnation=1),))
    assert events(swim.handle(OTHERS[0], answer, now_ns=START_NS + 1)) == []
    view = swim.member(OTHERS[0])
    assert view is not None
    assert (view.state, view.incarnation) == (MemberState.ALIVE, 1)


def test_verdict_of_one_witness_that_proves_true_gives_the_suspect_its_time() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    verdict = claim(MemberState.FAILED, member=OTHERS[0], witness=THEM)
    swim.handle(THEM, packet(told=(verdict,)), now_ns=START_NS)
    told: dict[type[object], int] = {}
    while MemberFailed not in told:
        now_ns = swim.next_deadline_ns()
        for event in events(swim.handle_tick(now_ns=now_ns)):
            told.setdefault(type(event), now_ns)
    assert told[MemberFailed] - told[MemberSuspected] == LAN.suspicion_min_ns


def test_the_failed_are_no_witnesses() -> None:
    swim = member_that_failed(OTHERS[0])
    for state in (MemberState.SUSPECT, MemberState.FAILED):
        accusation = claim(state, member=OTHERS[1], witness=OTHERS[0])
        assert events(swim.handle(OTHERS[0], packet(told=(accusation,)), now_ns=START_NS)) == []
    hearsay = claim(MemberState.SUSPECT, member=OTHERS[1], witness=OTHERS[0])
    assert events(swim.handle(OTHERS[2], packet(told=(hearsay,)), now_ns=START_NS)) == []


def test_restarted_member_learns_what_it_is_known_as_and_the_old_boot_dies_when_it_outbids_that() -> None:
    swim = member_that_knows(THEM)
    swim.handle(THEM, packet(told=(claim(incarnation=3),)), now_ns=START_NS)
    outputs = swim.handle(THEM, packet(Ping(sequence=1), boot=NEW_BOOT), now_ns=START_NS)
    [known_as] = updates_to(outputs, THEM)[:1]
    assert (known_as.boot, known_as.incarnation) == (BOOT, 3)
    outputs = swim.handle(
        THEM, packet(told=(claim(boot=NEW_BOOT, incarnation=4),), boot=NEW_BOOT), now_ns=START_NS
    )
    assert events(outputs) == [MemberRestarted(name=THEM, old_boot=BOOT, new_boot=NEW_BOOT)]


def test_relay_reports_what_it_finds() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    request = PingRequest(sequence=77, target=OTHERS[0])
    outputs = swim.handle(THEM, packet(request), now_ns=START_NS)
    [ping] = messages_to(outputs, OTHERS[0])
    assert isinstance(ping, Ping)
    outputs = swim.handle(OTHERS[0], packet(Ack(sequence=ping.sequence)), now_ns=START_NS + 1)
    assert messages_to(outputs, THEM) == [IndirectAck(sequence=77, boot=BOOT)]
    unknown = PingRequest(sequence=78, target=GatewayName("nobody"))
    outputs = swim.handle(THEM, packet(unknown), now_ns=START_NS + 2)
    assert messages_to(outputs, THEM) == [Nack(sequence=78)]


def test_late_tick_is_recognised_as_our_own_stall() -> None:
    swim = member_that_knows(THEM)
    late_ns = 3 * SECOND_NS
    outputs = swim.handle_tick(now_ns=swim.next_deadline_ns() + late_ns)
    assert Stalled(late_ns=late_ns) in outputs
    assert swim.health_score == 1
    outputs = swim.handle_tick(now_ns=swim.next_deadline_ns() + LAN.stall_ns)
    assert not any(isinstance(event, Stalled) for event in outputs)


def test_stall_restarts_the_probes_under_way() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    suspicion = claim(MemberState.SUSPECT, member=OTHERS[0], witness=THEM)
    swim.handle(THEM, packet(told=(suspicion,)), now_ns=START_NS)
    pings = 0
    while pings < LAN.ping_attempts - 2:
        outputs = swim.handle_tick(now_ns=swim.next_deadline_ns())
        pings += sum(isinstance(message, Ping) for message in messages_to(outputs, OTHERS[0]))
    outputs = swim.handle_tick(now_ns=swim.next_deadline_ns() + SECOND_NS)
    pings = 0
    while not any(isinstance(event, MemberSuspected) for event in outputs):
        pings += sum(isinstance(message, Ping) for message in messages_to(outputs, OTHERS[0]))
        outputs = swim.handle_tick(now_ns=swim.next_deadline_ns())
    assert pings == LAN.ping_attempts


def test_stall_gives_a_suspect_its_time_back() -> None:
    def failed_after_ns(stall_ns: int) -> int:
        # Nobody answers: those who are not asked are not suspected, too.
        swim = member_that_knows(THEM, *OTHERS, neighbours=0)
        suspicion = claim(MemberState.SUSPECT, member=OTHERS[0], witness=THEM)
        swim.handle(THEM, packet(told=(suspicion,)), now_ns=START_NS)
        outputs = swim.handle_tick(now_ns=swim.next_deadline_ns() + stall_ns)
        while MemberFailed(name=OTHERS[0], boot=BOOT) not in outputs:
            now_ns = swim.next_deadline_ns()
            outputs = swim.handle_tick(now_ns=now_ns)
        return now_ns - START_NS

    assert failed_after_ns(LAN.suspicion_max_ns) > failed_after_ns(0) + LAN.suspicion_max_ns // 2


def test_health_recovers_in_calm() -> None:
    swim = member_that_knows(THEM)
    accusation = claim(MemberState.SUSPECT, member=US)
    swim.handle(THEM, packet(told=(accusation,)), now_ns=START_NS)
    assert swim.health_score == 1
    while swim.next_deadline_ns() < START_NS + 3 * LAN.probe_interval_ns:
        now_ns = swim.next_deadline_ns()
        for message in messages_to(swim.handle_tick(now_ns=now_ns), THEM):
            if isinstance(message, Ping):
                swim.handle(THEM, packet(Ack(sequence=message.sequence)), now_ns=now_ns)
    assert swim.health_score == 0


def test_relays_that_were_asked_hear_of_the_suspicion_first() -> None:
    swim = member_that_knows(THEM, *OTHERS)
    swim.watch([THEM])
    asked: set[GatewayName] = set()
    outputs: Outputs = ()
    while not any(isinstance(event, MemberSuspected) for event in events(outputs)):
        outputs = swim.handle_tick(now_ns=swim.next_deadline_ns())
        for send in outputs:
            if isinstance(send, Send):
                for message in send.packet.messages:
                    if message == PingRequest(sequence=getattr(message, "sequence", 0), target=THEM):
                        asked.add(send.to)
                        swim.handle(send.to, packet(Nack(sequence=message.sequence)), now_ns=0)
    [suspected] = [event.name for event in events(outputs) if isinstance(event, MemberSuspected)]
    assert suspected == THEM
    assert asked
    for relay in asked:
        assert (THEM, MemberState.SUSPECT, [US]) in [
            (update.member, update.state, [said.witness for said in update.evidence])
            for update in updates_to(outputs, relay)
        ]


def test_doubted_verdict_reaches_the_member_though_a_probe_of_it_is_under_way() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    request = PingRequest(sequence=1, target=OTHERS[0])
    assert messages_to(swim.handle(THEM, packet(request), now_ns=START_NS), OTHERS[0])
    verdict = claim(MemberState.FAILED, member=OTHERS[0], witness=THEM)
    outputs = swim.handle(THEM, packet(told=(verdict,)), now_ns=START_NS)
    assert updates_to(outputs, OTHERS[0]) == [verdict]


def member_that_failed(name: GatewayName) -> Swim:
    swim = member_that_knows(THEM, *OTHERS[:4])
    for state in (MemberState.SUSPECT, MemberState.FAILED):
        accusation = claim(state, member=name, witnesses=OTHERS[2:4])
        swim.handle(OTHERS[2], packet(told=(accusation,)), now_ns=START_NS)
    while True:
        view = swim.member(name)
        assert view is not None
        if view.state is MemberState.FAILED:
            return swim
        swim.handle_tick(now_ns=swim.next_deadline_ns())


def test_failed_member_that_speaks_learns_at_once_that_it_was_failed() -> None:
    outputs = member_that_failed(THEM).handle(THEM, packet(), now_ns=START_NS)
    assert [(update.member, update.state) for update in updates_to(outputs, THEM)][:1] == [
        (THEM, MemberState.FAILED)
    ]


def test_failed_member_that_returns_is_asked_for_all_it_knows() -> None:
    outputs = member_that_failed(THEM).handle(THEM, packet(told=(claim(incarnation=1),)), now_ns=START_NS)
    assert MemberJoined(name=THEM, boot=BOOT) in outputs
    assert any(isinstance(message, DigestRequest) for message in messages_to(outputs, THEM))


def test_failed_member_that_another_takes_for_alive_is_called_at_once() -> None:
    outputs = member_that_failed(THEM).handle(OTHERS[0], packet(told=(claim(),)), now_ns=START_NS)
    assert events(outputs) == []
    assert [type(message) for message in messages_to(outputs, THEM)] == [Ping]


def test_other_traffic_of_a_watched_gateway_spares_the_pings() -> None:
    def pings_in_two_seconds(reached: bool) -> int:
        swim = member_that_knows(THEM)
        swim.watch([THEM])
        pings = 0
        for now_ns in range(START_NS, START_NS + 2 * SECOND_NS, LAN.watch_interval_ns // 5):
            if reached:
                swim.reached(THEM, now_ns=now_ns)
            for message in messages_to(swim.handle_tick(now_ns=now_ns), THEM):
                if isinstance(message, Ping):
                    pings += 1
                    swim.handle(THEM, packet(Ack(sequence=message.sequence)), now_ns=now_ns)
        return pings

    assert pings_in_two_seconds(reached=False) >= 12
    assert pings_in_two_seconds(reached=True) <= 4


def test_traffic_of_a_new_boot_is_no_sign_of_life_of_the_old_one() -> None:
    swim = member_that_knows(THEM)
    for boot, heard_ns in ((NEW_BOOT, START_NS), (BOOT, START_NS + 2), (None, START_NS + 3)):
        swim.reached(THEM, now_ns=heard_ns or START_NS, boot=boot)
        view = swim.member(THEM)
        assert view is not None
        assert view.heard_ns == heard_ns


def test_name_clash_is_told() -> None:
    outputs = member().handle(US, packet(Ping(sequence=1), boot=NEW_BOOT), now_ns=START_NS)
    assert outputs == (NameClash(boot=NEW_BOOT),)
    assert member().handle(US, packet(Ping(sequence=1)), now_ns=START_NS) == ()


def test_flood_of_updates_is_refused_beyond_the_rate() -> None:
    swim = member(members_max=2, updates_per_second_max=1)
    flood = tuple(claim(member=name) for name in names(30))
    outputs = swim.handle(THEM, packet(told=flood), now_ns=START_NS)
    refused = [event for event in outputs if isinstance(event, UpdatesRefused)]
    assert refused == [UpdatesRefused(sender=THEM, count=28)]
    assert len(swim.members) == 2
    assert [type(event) for event in events(outputs)].count(MemberJoined) == 2


def test_state_request_beyond_the_rate_is_not_answered() -> None:
    swim = member(members_max=2, updates_per_second_max=1)
    swim.handle(THEM, packet(told=(claim(),)), now_ns=START_NS)
    answered = 0
    for _ in range(20):
        outputs = swim.handle(THEM, packet(StateRequest(sequence=1)), now_ns=START_NS)
        answered += any(isinstance(message, StateReply) for message in messages_to(outputs, THEM))
    assert answered == 3


def test_who_left_says_so_at_once_and_probes_nobody() -> None:
    swim = member_that_knows(THEM, OTHERS[0])
    outputs = swim.leave(now_ns=START_NS)
    for name in (THEM, OTHERS[0]):
        assert MemberState.LEFT in [update.state for update in updates_to(outputs, name)]
    for _ in range(50):
        outputs = swim.handle_tick(now_ns=swim.next_deadline_ns())
        assert all(not send.packet.messages for send in outputs if isinstance(send, Send))


def test_metadata_spreads_from_the_next_tick() -> None:
    swim = member_that_knows(THEM)
    swim.set_metadata(b"full", now_ns=START_NS)
    assert swim.next_deadline_ns() <= START_NS
    outputs = swim.handle_tick(now_ns=START_NS)
    assert [update.metadata for update in updates_to(outputs, THEM)] == [b"full"]
    with pytest.raises(ConfigurationError):
        swim.set_metadata(bytes(513), now_ns=START_NS)


def test_no_module_looks_at_the_clock_or_the_world() -> None:
    forbidden = {"time", "os", "socket", "trio", "secrets", "random", "datetime", "asyncio"}
    folder = Path(gossipsa.swim.__file__).parent
    for module in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & forbidden, module
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in forbidden, module
