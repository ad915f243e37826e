"""The timeline of a run: what was broken when, who owned each client under which epoch, and how it moved."""

from __future__ import annotations

from collections.abc import Iterator

from gossipsa.status import ClientStatus
from sim.cluster import Cluster
from sim.observations import Observation
from sim.schedule import Schedule
from sim.standard import run_schedule

LEGEND = (
    "gateways: # up, x off, z stands still, g without gossipsa, i without IKE daemon\n"
    "clients: which gateway serves them, - for nobody; under each, who owns it: a gateway, ! for two, - for "
    "nobody;\n  or the step of its takeover: w waiting, c claiming, q queued, i installing, r redirecting, "
    "a activating, y yielded, h held\n"
    "msgs: messages between gateways, the more the higher"
)
_STEPS = {
    "waiting": "w",
    "claiming": "c",
    "queued": "q",
    "installing": "i",
    "redirecting": "r",
    "activating": "a",
    "removing": "x",
    "yielded": "y",
    "held": "h",
}
_STEPS_IN_ORDER = "arxiqcwhy"
_BARS = " .:-=+*#%@"
_MESSAGES_A_BAR = 6


class Timeline:
    """Watches a cluster and writes into its trace what a reader wants to know; changes nothing of the run."""

    observes = ()

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._said: dict[tuple[str, str], str] = {}
        self._messages = 0

    def observe(self, observation: Observation) -> None:
        """Nothing to do: the trace has it."""

    def sample(self) -> None:
        trace = self._cluster.trace
        for client, holders in self._cluster.holders().items():
            trace.mark(f"{client}'", self._symbol(holders))
            for gateway, entry in holders.items():
                words = f"owner, epoch {entry.epoch}" if entry.role == "owner" else entry.role
                if self._said.get((client, gateway)) != words and (
                    entry.role != "replica" or (client, gateway) in self._said
                ):
                    self._said[client, gateway] = words
                    trace.remark(client, f"{gateway} is {words}")
            for gateway in [known for name, known in self._said if name == client and known not in holders]:
                del self._said[client, gateway]
                trace.remark(client, f"{gateway} holds nothing")
        counts = self._cluster.network.counts
        sent = counts.sent_mesh + counts.frames
        bar = min(len(_BARS) - 1, -(-(sent - self._messages) // _MESSAGES_A_BAR))
        self._messages = sent
        trace.mark("msgs", _BARS[bar])

    def settle(self) -> None:
        """Nothing to judge."""

    @staticmethod
    def _symbol(holders: dict[str, ClientStatus]) -> str:
        owners = [gateway for gateway, entry in holders.items() if entry.role == "owner"]
        if len(owners) == 1:
            return owners[0][-1]
        if owners:
            return "!"
        steps = {_STEPS.get(entry.role, "") for entry in holders.values()}
        return next((step for step in _STEPS_IN_ORDER if step in steps), "-")


def draw_timeline(schedule: Schedule, seed: int) -> Iterator[str]:
    """Runs a schedule again and yields lines for people."""
    outcome = run_schedule(schedule, seed, make_watchers=(Timeline,))
    trace = outcome.cluster.trace
    yield from trace.lines()
    yield ""
    yield from trace.chart()
    yield LEGEND
    yield f"trace {trace.digest()}, {outcome.cluster.clock.steps} events"
    yield "faults:"
    yield from (f"  {fault}" for fault in schedule.faults)
    yield f"VIOLATED {outcome.violation}" if outcome.violation is not None else "nothing violated"
    yield f"  again: {outcome.reproduction}"
