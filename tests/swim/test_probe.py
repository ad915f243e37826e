from __future__ import annotations

from dataclasses import replace

from gossipsa.identifiers import GatewayName
from gossipsa.swim.messages import IndirectAck, Message, Nack, Ping, PingRequest
from gossipsa.swim.probe import OUTSTANDING_MAX, REQUESTERS_MAX, RESTARTS_MAX, Post, Probe, Prober
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS
from tests.swim.claims import BOOT, OTHERS, THEM

WAIT_NS = 50 * MILLISECOND_NS
RELAYS = list(OTHERS[:3])


def relays_for(target: GatewayName) -> list[GatewayName]:
    return RELAYS


def no_relays(target: GatewayName) -> list[GatewayName]:
    return []


def start(prober: Prober, *, accuse: bool = True, multiplier: int = 1) -> int:
    posts = prober.start(THEM, ack_wait_ns=WAIT_NS, multiplier=multiplier, accuse=accuse, now_ns=0)
    [(to, ping)] = posts
    assert to == THEM
    return sequence_of(ping)


def sequence_of(message: Message) -> int:
    assert isinstance(message, Ping | PingRequest)
    return message.sequence


def run_out(prober: Prober, *, nack: bool = True) -> tuple[list[tuple[int, Post]], list[Probe], int]:
    """Let every deadline pass unanswered; relays report that they are well, if they are."""
    posts: list[tuple[int, Post]] = []
    while (deadline_ns := prober.next_deadline_ns()) is not None:
        step, failed = prober.due(relays_for=relays_for, now_ns=deadline_ns)
        posts += [(deadline_ns, post) for post in step]
        for to, message in step:
            if nack and isinstance(message, PingRequest):
                prober.nacked(to, message.sequence)
        if failed:
            return posts, failed, deadline_ns
    raise AssertionError("the probe ended without a result")


def test_silence_is_established_by_pings_spaced_over_the_wait() -> None:
    prober = Prober(LAN)
    start(prober)
    posts, [failed], end_ns = run_out(prober)
    pings_ns = [at_ns for at_ns, (to, message) in posts if isinstance(message, Ping)]
    gap_ns = LAN.ping_gap_ns
    assert pings_ns == [WAIT_NS + index * gap_ns for index in range(LAN.ping_attempts - 1)]
    assert end_ns == pings_ns[-1] + WAIT_NS
    assert failed.target == THEM
    assert THEM not in prober


def test_relays_are_asked_with_the_attempts_configured() -> None:
    prober = Prober(LAN)
    start(prober)
    posts, [failed], _ = run_out(prober)
    asked = [(at_ns, to) for at_ns, (to, message) in posts if isinstance(message, PingRequest)]
    first_ns, second_ns = WAIT_NS + LAN.ping_gap_ns, WAIT_NS + 4 * LAN.ping_gap_ns
    assert asked == [(first_ns, relay) for relay in RELAYS] + [(second_ns, relay) for relay in RELAYS]
    assert failed.relays == RELAYS
    assert list(failed.nacks) == RELAYS


def test_silent_relays_earn_the_target_a_second_run() -> None:
    with_nacks, without = Prober(LAN), Prober(LAN)
    start(with_nacks)
    start(without)
    *_, short_ns = run_out(with_nacks)
    *_, [failed], long_ns = run_out(without, nack=False)
    assert long_ns > short_ns
    assert failed.extended


def test_probe_without_accusation_asks_no_relays() -> None:
    prober = Prober(LAN)
    start(prober, accuse=False)
    posts, _, _ = run_out(prober)
    assert all(isinstance(message, Ping) for _, (_, message) in posts)


def test_poor_local_health_stretches_the_probe() -> None:
    healthy, poor = Prober(LAN), Prober(LAN)
    start(healthy)
    start(poor, multiplier=3)
    assert run_out(poor)[2] == 3 * run_out(healthy)[2]


def test_answer_to_any_ping_ends_the_probe_and_measures_that_ping() -> None:
    prober = Prober(LAN)
    first = start(prober)
    [(_, again)], _ = prober.due(relays_for=no_relays, now_ns=WAIT_NS)
    answer, posts = prober.acked(THEM, first, BOOT, now_ns=WAIT_NS + 5)
    assert answer is not None
    assert answer.rtt_ns == WAIT_NS + 5
    assert answer.probe is not None
    assert posts == []
    assert prober.next_deadline_ns() is None
    # The answer to the second ping is no news, but a sample.
    late, _ = prober.acked(THEM, sequence_of(again), BOOT, now_ns=WAIT_NS + 9)
    assert late is not None
    assert (late.rtt_ns, late.probe) == (9, None)


def test_answers_count_once_from_the_target_and_in_time_only() -> None:
    prober = Prober(LAN)
    sequence = start(prober)
    assert prober.acked(OTHERS[0], sequence, BOOT, now_ns=1) == (None, [])
    assert prober.acked(THEM, sequence + 1, BOOT, now_ns=1) == (None, [])
    assert prober.relayed(THEM, sequence) is None
    assert prober.acked(THEM, sequence, BOOT, now_ns=1)[0] is not None
    assert prober.acked(THEM, sequence, BOOT, now_ns=1) == (None, [])

    sequence = sequence_of(prober.ping(THEM, now_ns=0)[1])
    prober.due(relays_for=no_relays, now_ns=LAN.late_ack_ns + 1)
    assert prober.acked(THEM, sequence, BOOT, now_ns=LAN.late_ack_ns + 1) == (None, [])


def test_relays_word_ends_the_probe_if_that_relay_was_asked() -> None:
    prober = Prober(LAN)
    start(prober)
    prober.due(relays_for=relays_for, now_ns=WAIT_NS)
    posts, _ = prober.due(relays_for=relays_for, now_ns=WAIT_NS + LAN.ping_gap_ns)
    [sequence] = [sequence_of(message) for to, message in posts if to == RELAYS[1]]
    assert prober.relayed(RELAYS[0], sequence) is None
    assert prober.relayed(RELAYS[1], sequence) == THEM
    assert THEM not in prober


def test_requesters_hear_of_the_answer() -> None:
    prober = Prober(LAN)
    [(_, ping)] = relay_for(prober, OTHERS[0], 7)
    assert relay_for(prober, OTHERS[1], 8) == []
    _, posts = prober.acked(THEM, sequence_of(ping), BOOT, now_ns=1)
    assert posts == [
        (OTHERS[0], IndirectAck(sequence=7, boot=BOOT)),
        (OTHERS[1], IndirectAck(sequence=8, boot=BOOT)),
    ]


def test_requesters_hear_in_time_that_there_is_no_answer_yet() -> None:
    prober = Prober(LAN)
    relay_for(prober, OTHERS[0], 7)
    nack_ns = 2 * LAN.ping_gap_ns
    assert prober.next_deadline_ns() == nack_ns
    assert prober.due(relays_for=no_relays, now_ns=nack_ns) == ([(OTHERS[0], Nack(sequence=7))], [])


def test_requests_beyond_the_bounds_are_declined() -> None:
    prober = Prober(LAN)
    for index in range(REQUESTERS_MAX):
        relay_for(prober, GatewayName(f"requester{index}"), index)
    assert relay_for(prober, OTHERS[0], 99) == [(OTHERS[0], Nack(sequence=99))]

    busy = Prober(replace(LAN, probes_max=1, watched_max=0, neighbours=0))
    busy.start(OTHERS[5], ack_wait_ns=WAIT_NS, multiplier=1, accuse=True, now_ns=0)
    assert relay_for(busy, OTHERS[0], 99) == [(OTHERS[0], Nack(sequence=99))]
    assert THEM not in busy


def test_stall_uses_up_one_attempt_at_most() -> None:
    prober = Prober(LAN)
    start(prober)
    posts, failed = prober.due(relays_for=no_relays, now_ns=SECOND_NS)
    assert len(posts) == 1
    assert failed == []
    assert prober.next_deadline_ns() == SECOND_NS + LAN.ping_gap_ns


def test_probe_starts_again_after_a_stall_but_not_for_ever() -> None:
    prober = Prober(LAN)
    start(prober)
    for now_ns in range(0, RESTARTS_MAX * SECOND_NS, SECOND_NS):
        prober.restart(now_ns=now_ns)
        assert prober.next_deadline_ns() == now_ns
    *_, end_ns = run_out(prober)
    prober = Prober(LAN)
    start(prober)
    for _ in range(100):
        prober.restart(now_ns=0)
    *_, end_again_ns = run_out(prober)
    assert end_again_ns < end_ns


def test_unanswered_sequences_are_bounded() -> None:
    prober = Prober(LAN)
    first = sequence_of(prober.ping(THEM, now_ns=0)[1])
    for _ in range(OUTSTANDING_MAX):
        prober.ping(THEM, now_ns=0)
    assert prober.acked(THEM, first, BOOT, now_ns=0) == (None, [])


def relay_for(prober: Prober, requester: GatewayName, sequence: int) -> list[Post]:
    return prober.relay(
        THEM, requester=requester, sequence=sequence, ack_wait_ns=WAIT_NS, multiplier=1, now_ns=0
    )
