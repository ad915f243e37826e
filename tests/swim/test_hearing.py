"""Who hears nobody calls nobody dead, as long as there is somebody left to be heard."""

from __future__ import annotations

from gossipsa.swim.hearing import LOST_MAX, Hearing
from gossipsa.swim.outputs import MemberFailed
from gossipsa.swim.settings import LAN, SECOND_NS
from sim.mesh.network import Network


def test_hearing_works_while_somebody_was_heard_just_now() -> None:
    hearing = Hearing(LAN)
    assert not hearing.works(now_ns=0)
    hearing.heard(now_ns=SECOND_NS)
    assert hearing.works(now_ns=SECOND_NS + LAN.suspicion_min_ns)
    assert not hearing.works(now_ns=SECOND_NS + LAN.suspicion_min_ns + 1)


def test_verdicts_wait_for_what_is_unread_once_somebody_is_heard_again() -> None:
    hearing = Hearing(LAN)
    hearing.wait(now_ns=0)
    assert hearing.wait_until_ns == LAN.ack_wait_initial_ns
    hearing.heard(now_ns=1)
    hearing.heard(now_ns=2)
    assert hearing.wait_until_ns == 1 + LAN.ack_wait_min_ns


def test_lone_survivor_waits_longer_the_more_it_lost() -> None:
    hearing = Hearing(LAN)
    hearing.heard(now_ns=0)
    waits_ns = [hearing.lone_ns(lost=lost) for lost in (1, 2, 16, LOST_MAX, 1_000)]
    assert waits_ns == [factor * LAN.suspicion_max_ns for factor in (1, 2, 16, LOST_MAX, LOST_MAX)]


def test_members_that_are_starved_together_fail_nobody_that_is_healthy() -> None:
    """They suspect the same ones, share it when they wake up, and are starved again before an answer."""
    network = Network(24, seed=1)
    network.start_settled()
    network.run(5 * SECOND_NS)
    slow = network.names[:5]
    for _ in range(3):
        for name in slow:
            network.hold(name)
        network.run(8 * SECOND_NS)
        for name in slow:
            network.release(name)
        network.run(SECOND_NS // 16)
    false = [
        told for told in network.told if isinstance(told.event, MemberFailed) and told.event.name not in slow
    ]
    assert false == []
