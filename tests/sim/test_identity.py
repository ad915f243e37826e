"""Identities in a running mesh: the real core, real sealed bytes, a virtual clock."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec

from gossipsa.gateway import Gateway
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import TrustListGiven
from gossipsa.wire.authority import add_successor, retire, revoke
from gossipsa.wire.codec import encode
from gossipsa.wire.signing import SigningKey
from sim.cluster import MESH_PORT, Cluster, ClusterSettings
from sim.mesh_authority import START_S, Enrolment, MeshAuthority
from sim.virtual_clock import SECOND_NS

SUCCESSOR = SigningKey.from_seed(b"successor" + bytes(23))
_CLIENTLESS = ClusterSettings(gateways=5, clients=0)


def started(settings: ClusterSettings = _CLIENTLESS, *, seed: int = 1) -> Cluster:
    """A mesh whose members all know each other."""
    cluster = Cluster(settings, seed=seed)
    cluster.start()
    cluster.run_for(4 * SECOND_NS)
    assert all(live_members(cluster, name) == len(cluster.hosts) - 1 for name in cluster.hosts)
    return cluster


def live_members(cluster: Cluster, name: str) -> int:
    return sum(state == "alive" for state in members(cluster, name).values())


def members(cluster: Cluster, name: str) -> dict[str, str]:
    return {member.name: member.state for member in cluster.statuses()[name].members}


def versions(cluster: Cluster) -> dict[str, int]:
    return {name: status.identity.trust_version for name, status in cluster.statuses().items()}


def counts(cluster: Cluster, name: str) -> dict[str, int]:
    return cluster.statuses()[name].counts


def hand_over(cluster: Cluster, name: str) -> None:
    """The operator hands the newest trust list to one gateway."""
    process = cluster.hosts[name].process
    assert process is not None
    process.feed(TrustListGiven(trust_list=encode(cluster.authority.trust)))


def restart(cluster: Cluster, name: str, enrolment: Enrolment | None = None) -> None:
    host = cluster.hosts[name]
    host.kill_process()
    if enrolment is not None:
        host.enrolment, host.trust = enrolment, None
    host.start_process()


def test_revocation_spreads_from_one_gateway_and_expels_for_good() -> None:
    cluster = started()
    authority = cluster.authority
    authority.trust = revoke(authority.trust, authority.key, names=("g5",), now_s=START_S)
    hand_over(cluster, "g2")
    cluster.run_for(SECOND_NS)

    others = ["g1", "g2", "g3", "g4"]
    assert {versions(cluster)[name] for name in others} == {2}
    assert not any("g5" in members(cluster, name) for name in others)
    assert all(counts(cluster, name)["gateway-expelled"] == 1 for name in others)
    restart(cluster, "g5")
    cluster.run_for(20 * SECOND_NS)
    assert not any(members(cluster, name).get("g5") == "alive" for name in others)
    assert all(live_members(cluster, name) == 3 for name in others)
    assert sum(counts(cluster, name).get("identity-refused", 0) for name in others) > 0


def test_revoked_gateway_comes_back_with_an_identity_issued_later() -> None:
    cluster = started()
    authority = cluster.authority
    authority.trust = revoke(authority.trust, authority.key, names=("g5",), now_s=START_S)
    hand_over(cluster, "g1")
    cluster.run_for(2 * SECOND_NS)
    restart(cluster, "g5", authority.enrol("g5", issued_s=START_S + 1))
    cluster.run_for(5 * SECOND_NS)
    assert all(live_members(cluster, name) == 4 for name in cluster.hosts)


def test_gateway_that_was_off_hears_of_revocations_when_it_is_back() -> None:
    cluster = started()
    cluster.hosts["g4"].power_off()
    authority = cluster.authority
    authority.trust = revoke(authority.trust, authority.key, names=("g5",), now_s=START_S)
    hand_over(cluster, "g1")
    cluster.run_for(3 * SECOND_NS)
    cluster.hosts["g4"].power_on()
    cluster.run_for(5 * SECOND_NS)
    assert versions(cluster)["g4"] == 2
    assert members(cluster, "g4").get("g5") != "alive"
    assert cluster.hosts["g4"].trust == authority.trust


def test_list_that_changed_while_a_gateway_was_off_comes_before_it_believes_anybody() -> None:
    """Too long a list to be shown in answer to an introduction."""
    cluster = started()
    for name in ("g4", "g5"):
        cluster.hosts[name].power_off()
    authority = cluster.authority
    revoked = ("g5", *(f"gone{number}" for number in range(100)))
    authority.trust = revoke(authority.trust, authority.key, names=revoked, now_s=START_S)
    hand_over(cluster, "g1")
    cluster.run_for(3 * SECOND_NS)
    notes = len(cluster.trace.notes)
    cluster.hosts["g4"].power_on()
    cluster.run_for(5 * SECOND_NS)
    said = [note.text.split(" ", 1)[0] for note in cluster.trace.notes[notes:] if note.node == "g4"]
    assert said.index("trust-list-accepted") < said.index("gateway-alive")
    assert live_members(cluster, "g4") == 3


def test_new_keys_of_a_gateway_take_its_name_from_the_old_ones_for_good() -> None:
    cluster = started()
    host = cluster.hosts["g5"]
    old = host.enrolment
    restart(cluster, "g5", cluster.authority.enrol("g5", issued_s=START_S))
    cluster.run_for(5 * SECOND_NS)
    assert all(live_members(cluster, name) == 4 for name in cluster.hosts)
    restart(cluster, "g5", old)
    cluster.run_for(15 * SECOND_NS)
    others = ("g1", "g2", "g3", "g4")
    assert all(members(cluster, name)["g5"] == "failed" for name in others)
    assert any(counts(cluster, name).get("identity-refused", 0) for name in others)


def test_trust_list_is_kept_over_a_restart() -> None:
    cluster = started()
    authority = cluster.authority
    authority.trust = revoke(authority.trust, authority.key, names=("g5",), now_s=START_S)
    hand_over(cluster, "g1")
    cluster.run_for(SECOND_NS)
    for host in cluster.hosts.values():
        host.power_off()
    cluster.hosts["g1"].power_on()
    assert versions(cluster) == {"g1": 2}


def test_authority_is_rotated_without_anybody_leaving() -> None:
    cluster = started()
    authority = cluster.authority
    old = authority.key
    authority.trust = add_successor(authority.trust, old, SUCCESSOR.public)
    hand_over(cluster, "g1")
    cluster.run_for(2 * SECOND_NS)
    assert set(versions(cluster).values()) == {2}
    authority.key = SUCCESSOR
    for name in cluster.hosts:
        keys = cluster.hosts[name].enrolment
        assert keys is not None
        restart(cluster, name, authority.enrol(name, keys=keys.keys, issued_s=START_S))
        cluster.run_for(3 * SECOND_NS)
        assert all(live_members(cluster, other) == 4 for other in cluster.hosts)
    authority.trust = retire(authority.trust, SUCCESSOR, old.public)
    hand_over(cluster, "g3")
    cluster.run_for(3 * SECOND_NS)
    assert set(versions(cluster).values()) == {3}
    assert all(live_members(cluster, other) == 4 for other in cluster.hosts)


def test_gateway_that_slept_through_a_rotation_follows_when_its_identity_is_renewed() -> None:
    """It knows the old authority only, whose key is gone; all that it meets is signed by the new one."""
    cluster = started()
    authority = cluster.authority
    sleeper = cluster.hosts["g5"]
    sleeper.power_off()
    slept_with, old = sleeper.enrolment, authority.key
    assert slept_with is not None
    authority.trust = retire(add_successor(authority.trust, old, SUCCESSOR.public), SUCCESSOR, old.public)
    authority.key = SUCCESSOR
    for name in ("g1", "g2", "g3", "g4"):
        keys = cluster.hosts[name].enrolment
        assert keys is not None
        restart(cluster, name, authority.enrol(name, keys=keys.keys, issued_s=START_S))
    cluster.run_for(5 * SECOND_NS)
    sleeper.power_on()
    cluster.run_for(5 * SECOND_NS)
    assert sleeper.trust == authority.trust, "shown in answer to its introductions"
    assert live_members(cluster, "g1") == 3, "its identity is not trusted any more"
    assert counts(cluster, "g5")["own-identity-refused"] == 1
    renewed = authority.enrol("g5", keys=slept_with.keys, issued_s=START_S)
    sleeper.kill_process()
    sleeper.enrolment = renewed
    sleeper.start_process()
    cluster.run_for(5 * SECOND_NS)
    assert all(live_members(cluster, name) == 4 for name in cluster.hosts)


def test_gateway_of_another_mesh_or_authority_is_refused() -> None:
    cluster = started(ClusterSettings(gateways=4, clients=0))
    stream = cluster.streams.stream("another operator")
    stranger = MeshAuthority(stream.randbytes)
    restart(cluster, "g4", stranger.enrol("g4"))
    cluster.run_for(10 * SECOND_NS)
    refusing = ["g1", "g2", "g3"]
    assert not any(members(cluster, name).get("g4") == "alive" for name in refusing)
    assert live_members(cluster, "g4") == 0
    assert any(counts(cluster, name).get("identity-refused", 0) for name in refusing)


def test_stolen_key_cannot_speak_for_another_gateway() -> None:
    """A thief with g4's key says to be g1: nobody listens, and g1 stays."""
    cluster = started(ClusterSettings(gateways=4, clients=0))
    own, victim = cluster.hosts["g4"].enrolment, cluster.hosts["g1"].enrolment
    assert own is not None
    assert victim is not None
    forged = msgspec.structs.replace(own.identity, name=victim.identity.name)
    for name in ("g2", "g3"):
        process = cluster.hosts[name].process
        assert process is not None
        assert isinstance(process.core, Gateway)
        assert not process.core._keyring.admit(victim.identity.name, encode(forged))
        assert members(cluster, name)["g1"] == "alive"


def test_gateway_restarts_at_a_new_address_and_keeps_its_name() -> None:
    cluster = started()
    host = cluster.hosts["g5"]
    host.kill_process()
    cluster.run_for(3 * SECOND_NS)
    assert members(cluster, "g1")["g5"] == "failed"
    del cluster._by_mesh[host.mesh]
    host.mesh = Endpoint(IPv4Address("10.255.7.7"), MESH_PORT)
    cluster._by_mesh[host.mesh] = host
    host.start_process()
    cluster.run_for(2 * SECOND_NS)
    assert all(live_members(cluster, name) == 4 for name in cluster.hosts)


def test_mesh_is_found_again_without_seeds_by_what_was_remembered() -> None:
    cluster = started()
    cluster.run_for(15 * SECOND_NS)
    host = cluster.hosts["g5"]
    assert host.members
    seeds = ["g1", "g2", "g3"]
    for name in seeds:
        cluster.hosts[name].power_off()
    host.kill_process()
    host.start_process()
    cluster.run_for(5 * SECOND_NS)
    assert members(cluster, "g5")["g4"] == "alive"
