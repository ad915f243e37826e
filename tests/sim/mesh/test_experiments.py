"""The experiments in small: what a member pays and waits does not grow with the mesh."""

from __future__ import annotations

from functools import cache

import pytest

from gossipsa.swim.messages import DigestReply, DigestRequest, Fetch, StateReply, StateRequest, SwimPacket
from gossipsa.swim.outputs import MemberFailed
from gossipsa.swim.settings import LAN, MILLISECOND_NS, SECOND_NS, SwimSettings
from sim.mesh import detection, healing, idle, starvation
from sim.mesh.experiment import settled, sites_of
from sim.mesh.network import Network, names
from sim.mesh.site_map import SiteMap


@cache
def idle_of(members: int) -> idle.Idle:
    return idle.measure(members)


@pytest.mark.parametrize("members", [32, 64])
def test_idle_member_pays_the_same_in_every_mesh(members: int) -> None:
    small, large = idle_of(16), idle_of(members)
    assert large.packets < 1.1 * small.packets
    assert large.payload_bytes < 1.15 * small.payload_bytes
    assert large.packets_most < 2 * small.packets
    # Trials of the stream: so many a member, whatever the size.
    assert large.streams <= 1.2 * small.streams * members / small.members


def test_death_is_noticed_in_a_mesh_of_sites_and_nobody_else_is_blamed() -> None:
    found = detection.measure(48, watched=6, seeds=range(1))
    assert max(found.all_failed.values_ns) < SECOND_NS // 2
    assert found.falsely_failed == 0
    unwatched = detection.measure(48, watched=0, seeds=range(2))
    assert max(unwatched.all_failed.values_ns) < 3 * SECOND_NS


def test_halves_of_a_mesh_of_sites_find_each_other_within_two_seconds_of_the_cuts_end() -> None:
    found = healing.measure(32, seeds=range(1))
    assert max(found.detected.values_ns) < 4 * SECOND_NS
    assert max(found.healed.values_ns) < 2 * SECOND_NS


def test_dark_site_is_found_about_as_fast_as_a_dead_member() -> None:
    network = settled(60, seed=1)
    dark = [name for name in network.names if network.site_map and network.site_map.site_of(name) == "site03"]
    assert len(dark) == 60 // sites_of(60)
    for name in dark:
        network.kill(name)
    took_ns = network.run(10 * SECOND_NS, until=network.agreed)
    assert took_ns < 3 * SECOND_NS
    assert network.count(MemberFailed) == len(dark) * (60 - len(dark))


@pytest.mark.parametrize(("members", "loss"), [(10, 0.25), (20, 0.25), (32, 0.25), (32, 0.0)])
def test_members_booted_at_once_are_complete_within_a_second(members: int, loss: float) -> None:
    for seed in range(3):
        network = Network(members, seed=seed, loss=loss, site_map=SiteMap(names(members), sites=4, seed=seed))
        for name in network.names:
            network.start(name)
        assert network.run(5 * SECOND_NS, until=network.agreed) < SECOND_NS


def test_join_that_nobody_was_told_of_is_repaired_within_about_a_second() -> None:
    network = settled(24, seed=1)
    name = network.names[5]
    network.kill(name)
    network.run(10 * SECOND_NS)
    # The first seed alone hears of it, and is cut off from all others while the news of it is fresh.
    only = network.names[0]
    network.blocked = lambda sender, receiver: {sender, receiver} != {name, only}
    network.start(name, seeds=[only])
    network.run(400 * MILLISECOND_NS)
    network.heal()
    assert network.run(10 * SECOND_NS, until=network.agreed) < 1_500 * MILLISECOND_NS


def test_equal_tables_exchange_one_digest_and_a_short_answer() -> None:
    network = settled(24, seed=1)
    network.run(40 * SECOND_NS)
    seen: list[SwimPacket] = []
    decode = network.decode

    def spy(data: bytes) -> SwimPacket:
        packet = decode(data)
        seen.append(packet)
        return packet

    network.decode = spy
    network.run(30 * SECOND_NS)
    said = [message for packet in seen for message in packet.messages]
    replies = [message for message in said if isinstance(message, DigestReply)]
    assert len(replies) == sum(isinstance(message, DigestRequest) for message in said) > 10
    assert not any(reply.buckets for reply in replies)
    assert not any(isinstance(message, Fetch | StateRequest | StateReply) for message in said)
    assert not any(packet.updates for packet in seen)


def test_members_starved_of_cpu_convince_nobody_that_healthy_ones_are_dead() -> None:
    def starved(settings: SwimSettings) -> starvation.Starvation:
        return starvation.measure(
            settings,
            starved=3,
            still_ms=14_000,
            running_ms=2_000,
            seed=1,
            members=16,
            run_ns=32 * SECOND_NS,
        )

    swim = starved(starvation.PLAIN_SWIM)
    assert swim.at_healthy > 50
    lan = starved(LAN)
    assert lan.at_healthy == 0
    # Lifeguard's share, with a hundredth of its patience.
    assert lan.false_positives < starvation.LIFEGUARD[0] * swim.false_positives
    patient = starved(starvation.PATIENT)
    assert patient.at_healthy == 0
    assert patient.false_positives < 0.05 * swim.false_positives
