"""The simulated driver shares what two records of one client need in the kernel, as the daemon does."""

from __future__ import annotations

from gossipsa.effects import RemoveClient, RouteClient
from gossipsa.identifiers import BootId, ClientId, Epoch
from sim.cluster import Cluster, ClusterSettings
from sim.driver import Driver
from sim.virtual_clock import SECOND_NS

BEFORE, ANEW = ClientId(bytes(16)), ClientId(bytes([1]) * 16)
"""Two records of one client: of the connection that it gave up, and of the one it has."""


def _cluster() -> Cluster:
    cluster = Cluster(ClusterSettings(gateways=1, clients=1), seed=1)
    cluster.start()
    cluster.run_for(2 * SECOND_NS)
    return cluster


def test_block_stays_until_no_record_of_the_client_needs_it() -> None:
    cluster = _cluster()
    host, client = cluster.hosts["g1"], cluster.clients["c1"]
    assert host.ike_daemon is not None
    (known,) = host.ike_daemon
    driver = Driver(host, boot=9)
    for record in (BEFORE, ANEW):
        assert driver.block(record, known.state) == (None,)
    driver.unblock(BEFORE)
    assert host.kernel.is_blocked(client.virtual_address)
    driver.unblock(ANEW)
    assert not host.kernel.is_blocked(client.virtual_address)


def test_route_stays_until_no_record_of_the_client_needs_it() -> None:
    cluster = _cluster()
    host, client = cluster.hosts["g1"], cluster.clients["c1"]
    assert host.ike_daemon is not None
    (known,) = host.ike_daemon
    assert host.process is not None
    driver = Driver(host, boot=9)
    driver.process = host.process
    epoch = Epoch(1, BootId(bytes(16)))
    for record in (BEFORE, ANEW):
        driver.carry_out(RouteClient(client=record, state=known.state, present=True))
    driver.carry_out(RemoveClient(client=BEFORE, epoch=epoch, state=known.state))
    cluster.run_for(SECOND_NS // 10)
    assert host.kernel.routes() == (client.virtual_address,)
    driver.carry_out(RouteClient(client=ANEW, state=known.state, present=False))
    cluster.run_for(SECOND_NS // 10)
    assert host.kernel.routes() == ()
