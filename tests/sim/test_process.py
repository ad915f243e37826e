"""A process that is slow or paused loses nothing but datagrams beyond its bound."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

from gossipsa.effects import Effect
from gossipsa.identifiers import BootId, Endpoint
from gossipsa.inputs import DatagramReceived, Input, TimerDue
from gossipsa.status import ClientStatus, GatewayStatus
from sim.host_clock import HostClock
from sim.process import BACKLOG_MAX, Process
from sim.virtual_clock import MILLISECOND_NS, SECOND_NS, VirtualClock


class Recorder:
    """A core that notes what it is given, and when."""

    def __init__(self) -> None:
        self.handled: list[tuple[int, Input]] = []
        self.deadline_ns: int | None = None

    def handle(self, event: Input, *, now_ns: int) -> tuple[Effect, ...]:
        self.handled.append((now_ns, event))
        if isinstance(event, TimerDue):
            self.deadline_ns = None
        return ()

    def next_deadline_ns(self) -> int | None:
        return self.deadline_ns

    def status(self, *, now_ns: int) -> GatewayStatus:
        raise NotImplementedError

    def client_statuses(self) -> tuple[ClientStatus, ...]:
        raise NotImplementedError


def _process() -> tuple[Process, Recorder, VirtualClock, HostClock]:
    clock, core = VirtualClock(), Recorder()
    host_clock = HostClock(clock, uptime_ns=0)
    process = Process(
        core,
        boot=BootId(bytes(16)),
        clock=clock,
        host_clock=host_clock,
        random=Random(1),
        carry_out=lambda _: None,
    )
    return process, core, clock, host_clock


def _datagram(number: int) -> DatagramReceived:
    return DatagramReceived(source=Endpoint(IPv4Address("192.0.2.1"), 1), data=number.to_bytes(4, "big"))


def test_slow_process_takes_its_time_over_each_input_and_keeps_their_order() -> None:
    process, core, clock, _ = _process()
    process.handling_ns = 10 * MILLISECOND_NS
    for number in range(5):
        process.feed(_datagram(number))
    clock.run_until(2 * SECOND_NS)
    assert core.handled == [(10 * MILLISECOND_NS * number, _datagram(number)) for number in range(5)]


def test_timer_of_a_slow_process_comes_when_it_is_free() -> None:
    process, core, clock, _ = _process()
    process.handling_ns = 400 * MILLISECOND_NS
    core.deadline_ns = MILLISECOND_NS
    process.feed(_datagram(0))
    clock.run_until(2 * SECOND_NS)
    assert core.handled[1] == (400 * MILLISECOND_NS, TimerDue())


def test_paused_process_drops_datagrams_beyond_its_bound_and_nothing_else() -> None:
    process, core, _, _ = _process()
    process.pause()
    for number in range(BACKLOG_MAX + 3):
        process.feed(_datagram(number))
    process.feed(TimerDue())
    assert (process.dropped, process.backlog) == (3, BACKLOG_MAX + 1)
    process.go_on()
    assert len(core.handled) == BACKLOG_MAX + 1
    assert process.backlog == 0


def test_jump_of_the_clock_wakes_a_process_whose_deadline_it_passes() -> None:
    process, core, clock, host_clock = _process()
    core.deadline_ns = 30 * SECOND_NS
    process.feed(_datagram(0))
    host_clock.jump(40 * SECOND_NS)
    process.clock_changed()
    assert core.handled[-1] == (40 * SECOND_NS, TimerDue())
    assert clock.now_ns == SECOND_NS
