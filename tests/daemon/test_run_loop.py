from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gossipsa.daemon.run_loop import RunLoop
from gossipsa.effects import Effect, Report
from gossipsa.identifiers import Endpoint
from gossipsa.inputs import DatagramReceived, Input, LeaveRequested, Started, TimerDue
from tests.daemon.loopback import HERE

NS_PER_S = 1_000_000_000


class ScriptedCore:
    """A core that notes what it is fed, and whose deadline the test sets."""

    def __init__(self) -> None:
        self.fed: list[tuple[Input, int]] = []
        self.deadline_ns: int | None = None
        self.effects: tuple[Effect, ...] = ()
        self.on_input: Callable[[Input], None] = lambda event: None

    def handle(self, event: Input, *, now_ns: int) -> tuple[Effect, ...]:
        self.fed.append((event, now_ns))
        if isinstance(event, TimerDue):
            self.deadline_ns = None
        self.on_input(event)
        return self.effects

    def next_deadline_ns(self) -> int | None:
        return self.deadline_ns

    def kinds(self) -> list[type[Input]]:
        return [type(event) for event, _ in self.fed]


def _trio_ns() -> int:
    return round(trio.current_time() * NS_PER_S)


def _nothing(effects: Sequence[Effect]) -> Sequence[Input]:
    return ()


def _datagram(number: int) -> DatagramReceived:
    return DatagramReceived(source=Endpoint(HERE, 1), data=bytes([number]))


async def test_timer_comes_at_its_deadline(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    core = ScriptedCore()
    core.deadline_ns = _trio_ns() + 3 * NS_PER_S
    wanted_ns = core.deadline_ns
    loop = RunLoop(core, carry_out=_nothing, clock_ns=_trio_ns)
    nursery.start_soon(loop.run)
    await trio.sleep(10)

    ((event, now_ns),) = core.fed
    assert isinstance(event, TimerDue)
    assert abs(now_ns - wanted_ns) < 1_000_000


async def test_input_that_moves_the_deadline_is_obeyed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    core = ScriptedCore()
    core.deadline_ns = _trio_ns() + 100 * NS_PER_S

    def hurry(event: Input) -> None:
        if isinstance(event, Started):
            core.deadline_ns = _trio_ns() + NS_PER_S

    core.on_input = hurry
    loop = RunLoop(core, carry_out=_nothing, clock_ns=_trio_ns)
    nursery.start_soon(loop.run)
    await loop.inputs.send(Started())
    await trio.sleep(2)

    assert core.kinds() == [Started, TimerDue]


async def test_deadline_in_the_past_comes_at_once(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    core = ScriptedCore()
    core.deadline_ns = _trio_ns() - 5 * NS_PER_S
    loop = RunLoop(core, carry_out=_nothing, clock_ns=_trio_ns)
    nursery.start_soon(loop.run)
    await wait_all_tasks_blocked()

    assert core.kinds() == [TimerDue]


async def test_waiting_inputs_go_in_order_and_the_effects_of_each_go_out_at_once(
    nursery: trio.Nursery,
) -> None:
    core = ScriptedCore()
    core.effects = (Report(event="seen"),)
    handled_before: list[int] = []

    def carry_out(effects: Sequence[Effect]) -> Sequence[Input]:
        handled_before.append(len(core.fed))
        return ()

    loop = RunLoop(core, carry_out=carry_out, clock_ns=lambda: 0)
    for number in range(10):
        loop.inputs.send_nowait(_datagram(number))
    nursery.start_soon(loop.run)
    await wait_all_tasks_blocked()

    assert [event for event, _ in core.fed] == [_datagram(number) for number in range(10)]
    assert handled_before == list(range(1, 11))


async def test_slow_core_lets_others_have_their_turn(nursery: trio.Nursery) -> None:
    core = ScriptedCore()
    now_ns = 0

    def take_long(event: Input) -> None:
        nonlocal now_ns
        now_ns += NS_PER_S

    core.on_input = take_long
    loop = RunLoop(core, carry_out=_nothing, clock_ns=lambda: now_ns)
    for number in range(10):
        loop.inputs.send_nowait(_datagram(number))
    nursery.start_soon(loop.run)
    turns = 0
    while len(core.fed) < 10:
        await trio.lowlevel.checkpoint()
        turns += 1

    assert turns >= 10


async def test_answers_that_lie_ready_are_heard_before_anybody_is_blamed(nursery: trio.Nursery) -> None:
    core = ScriptedCore()
    now_ns = 0
    loop = RunLoop(core, carry_out=_nothing, clock_ns=lambda: now_ns)
    heard = trio.Event()

    async def read_when_woken() -> None:
        await heard.wait()
        await loop.inputs.send(_datagram(1))

    def answer_is_there(event: Input) -> None:
        # As after a stall: the deadline has passed, and the reader of the socket is only just woken.
        nonlocal now_ns
        if isinstance(event, Started):
            heard.set()
            now_ns = 10 * NS_PER_S
        if isinstance(event, DatagramReceived):
            core.deadline_ns = None

    core.on_input = answer_is_there
    core.deadline_ns = NS_PER_S
    nursery.start_soon(read_when_woken)
    nursery.start_soon(loop.run)
    await wait_all_tasks_blocked()
    await loop.inputs.send(Started())
    await wait_all_tasks_blocked()

    assert core.kinds() == [Started, DatagramReceived]


async def test_refusals_come_back_as_inputs(nursery: trio.Nursery) -> None:
    core = ScriptedCore()
    core.effects = (Report(event="do it"),)
    refusals: list[Input] = [LeaveRequested()]

    def carry_out(effects: Sequence[Effect]) -> Sequence[Input]:
        refused = refusals.copy()
        refusals.clear()
        return refused

    loop = RunLoop(core, carry_out=carry_out, clock_ns=_trio_ns)
    nursery.start_soon(loop.run)
    await loop.inputs.send(Started())
    await wait_all_tasks_blocked()

    assert core.kinds() == [Started, LeaveRequested]


async def test_timer_is_not_starved_by_inputs(nursery: trio.Nursery) -> None:
    core = ScriptedCore()
    core.deadline_ns = 0
    loop = RunLoop(core, carry_out=_nothing, clock_ns=lambda: 1)

    async def flood() -> None:
        while True:
            await loop.inputs.send(_datagram(0))

    nursery.start_soon(flood)
    nursery.start_soon(loop.run)
    for _ in range(200):
        await trio.lowlevel.checkpoint()
    nursery.cancel_scope.cancel()

    assert TimerDue in core.kinds()
