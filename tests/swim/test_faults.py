"""Any sequence of faults, then peace: everybody must find everybody, and the events must add up."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import MemberState
from gossipsa.swim.outputs import MemberFailed, MemberJoined, MemberLeft, MemberRestarted
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network, uniform_latency

COUNT = 4
indexes = st.integers(0, COUNT - 1)


class Faults(RuleBasedStateMachine):
    """Gateways die, restart, leave, pause and are cut off from each other, in any order."""

    @initialize(
        seed=st.integers(0, 1 << 32),
        latency_ms=st.sampled_from([0.1, 5, 40]),
        watched=st.integers(0, COUNT - 1),
        loss=st.sampled_from([0, 0.05, 0.25]),
    )
    def start(self, seed: int, latency_ms: float, watched: int, loss: float) -> None:
        self.network = Network(
            COUNT, seed=seed, latency=uniform_latency(latency_ms), watched=watched, loss=loss
        )
        self.network.start_all(settle_ns=SECOND_NS)

    def name(self, index: int) -> GatewayName:
        return self.network.names[index]

    @rule(index=indexes)
    def kill_or_start(self, index: int) -> None:
        if self.network.hosts[self.name(index)].swim is None:
            self.network.start(self.name(index))
        else:
            self.network.kill(self.name(index))

    @rule(index=indexes)
    def leave(self, index: int) -> None:
        host = self.network.hosts[self.name(index)]
        if host.swim is not None and not host.paused:
            self.network.leave(host.name)
            self.network.run(50 * MILLISECOND_NS)
            self.network.kill(host.name)

    @rule(index=indexes)
    def pause_or_resume(self, index: int) -> None:
        host = self.network.hosts[self.name(index)]
        if host.paused:
            self.network.resume(host.name)
        else:
            self.network.pause(host.name)

    @rule(sides=st.lists(st.integers(0, 1), min_size=COUNT, max_size=COUNT))
    def partition(self, sides: list[int]) -> None:
        here = [self.name(index) for index, side in enumerate(sides) if side]
        there = [self.name(index) for index, side in enumerate(sides) if not side]
        self.network.partition(here, there)

    @rule(sender=indexes, receiver=indexes)
    def break_path(self, sender: int, receiver: int) -> None:
        broken = (self.name(sender), self.name(receiver))
        self.network.blocked = lambda *path: path == broken

    @rule()
    def heal(self) -> None:
        self.network.heal()

    @rule(index=indexes, metadata=st.binary(max_size=8))
    def describe(self, index: int, metadata: bytes) -> None:
        swim = self.network.hosts[self.name(index)].swim
        if swim is not None:
            swim.set_metadata(metadata, now_ns=self.network.now_ns)

    @rule(duration_ms=st.sampled_from([1, 30, 300, 3_000]))
    def let_time_pass(self, duration_ms: int) -> None:
        self.network.run(duration_ms * MILLISECOND_NS)

    @invariant()
    @precondition(lambda self: hasattr(self, "network"))
    def nothing_piles_up(self) -> None:
        for name in self.network.running():
            assert len(self.network.swim(name).members) < COUNT

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        network = self.network
        network.heal()
        network.loss = 0.0
        for name, host in network.hosts.items():
            if host.swim is None:
                network.start(name)
            elif host.paused:
                network.resume(name)
        assert network.run(20 * SECOND_NS, until=network.agreed) < 20 * SECOND_NS
        self.check_metadata()
        self.check_events()

    def check_metadata(self) -> None:
        """What a member says of itself last is what the others know."""
        network = self.network
        network.run(20 * SECOND_NS)
        assert network.agreed()
        for name in network.names:
            said = network.swim(name).metadata
            assert all(
                network.swim(other).members[name].metadata == said for other in network.names if other != name
            )

    def check_events(self) -> None:
        """The events of an observer, since it started, tell who is live and in which boot."""
        for observer in self.network.names:
            began_ns = self.network.hosts[observer].began_ns
            live: dict[GatewayName, BootId] = {}
            for told in self.network.history:
                if told.observer != observer or told.at_ns < began_ns:
                    continue
                match told.event:
                    case MemberJoined(name=name, boot=boot):
                        assert name not in live
                        live[name] = boot
                    case MemberRestarted(name=name, old_boot=old, new_boot=new):
                        if name in live:
                            assert live[name] == old != new
                            live[name] = new
                    case MemberFailed(name=name, boot=boot):
                        assert live.pop(name) == boot
                    case MemberLeft(name=name):
                        live.pop(name, None)
            assert live == {
                view.name: view.boot
                for view in self.network.swim(observer).members.values()
                if view.state in (MemberState.ALIVE, MemberState.SUSPECT)
            }


Faults.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestFaults = Faults.TestCase
