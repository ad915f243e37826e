"""The whole lab in one place: network, charons, daemons under test, traffic, and what is asked of them."""

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture
from tests.lab.gossipsa_configuration import write_configurations
from tests.lab.gossipsa_node import FAILED_EVENT, GossipsaNode, Report
from tests.lab.inner_routes import InnerRoutes
from tests.lab.kernel import SCRATCH_ENVIRONMENT_NAME
from tests.lab.strongswan import (
    CHILD,
    Charon,
    client_charon,
    client_connections,
    gateway_charon,
)
from tests.lab.timeline import Timeline
from tests.lab.traffic.programs import Pings, Stream
from tests.lab.waiting import wait_until

PING_INTERVAL_MS = 50


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """A client as its own charon sees it.

    Attributes:
        gateway_address: where its IKE_SA points.
        ike_spis: initiator's and responder's SPI of the IKE_SA, hexadecimal.
        virtual_address: leased by the gateway it first connected to.
        esp_spi_in: SPI of ESP from the gateway to it.
        child_spis: SPIs of every CHILD_SA that is installed, inbound first.
    """

    name: str
    gateway_address: str
    ike_spis: tuple[str, str]
    virtual_address: str
    esp_spi_in: int
    child_spis: tuple[tuple[str, str], ...]


class Laboratory:
    """Everything that runs inside the kernel for one scenario.

    Args:
        results: directory that outlives the kernel.
        clients: how many clients connect to gateway a.
        bystanders: how many connect to b, and how many to c, from a host of their own.
    """

    def __init__(self, results: Path, *, clients: int, bystanders: int = 2) -> None:
        self.results = results
        self.scratch = Path(os.environ[SCRATCH_ENVIRONMENT_NAME])
        self.timeline = Timeline()
        self.clients = client_connections("c", "a", clients)
        self.bystanders = client_connections("y", "b", bystanders) + client_connections("z", "c", bystanders)
        everyone = self.clients + self.bystanders
        topology.build()
        self.gateways = {
            gateway.name: gateway_charon(gateway, self.scratch, clients=everyone)
            for gateway in topology.GATEWAYS
        }
        self.client_host = client_charon(topology.CLIENT, self.scratch, clients=self.clients, start=True)
        self.bystander_host = client_charon(
            topology.BYSTANDER, self.scratch, clients=self.bystanders, start=True
        )
        self.inner_routes = InnerRoutes(topology.GATEWAYS)
        self.nodes: dict[str, GossipsaNode] = {}

    def __enter__(self) -> "Laboratory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            node.close()
        self.inner_routes.close()
        self._keep_logs()

    @property
    def charons(self) -> tuple[Charon, ...]:
        return (*self.gateways.values(), self.client_host, self.bystander_host)

    def start_gateways(self) -> None:
        """Start every charon, and wait until the gateways accept clients."""
        for charon in self.charons:
            charon.start()
        for charon in self.gateways.values():
            charon.wait_ready()
        self.timeline.note("lab", "gateways accept clients")

    def start_gossipsa(self) -> None:
        """Start the daemon on every gateway and wait until each sees all others."""
        configurations = write_configurations(self.scratch)
        self.nodes = {
            name: GossipsaNode(topology.GATEWAY[name], path) for name, path in configurations.items()
        }
        for node in self.nodes.values():
            node.start()
        for name, node in self.nodes.items():
            wait_until(node.sees_all_members, timeout_s=60, what=f"gossipsa of {name} to see the mesh")
        self.timeline.note("lab", "every gossipsa sees the others")

    def wait_replicated(self, *, copies: int, without: Sequence[str] = ()) -> None:
        """Wait until each client has so many acknowledged copies, whoever owns it, but for dead gateways."""
        wanted = len(self.clients) + len(self.bystanders)
        alive = [node for name, node in self.nodes.items() if name not in without]

        def replicated() -> bool:
            return sum(node.clients_with_copies(copies) for node in alive) >= wanted

        wait_until(replicated, timeout_s=60, what=f"{wanted} clients with {copies} copies", interval_s=0.5)
        self.timeline.note("lab", f"{wanted} clients have {copies} copies or more")

    def add_daemon_events(self, timeline: Timeline, start_ns: int, end_ns: int) -> None:
        """Note what the daemons reported in [start, end): first and last of each kind of event."""
        for name, node in self.nodes.items():
            by_event: dict[str, list[Report]] = {}
            for report in node.reports():
                if start_ns <= report.wall_ns < end_ns:
                    by_event.setdefault(report.event, []).append(report)
            for event, reports in by_event.items():
                times = f" (1 of {len(reports)})" if len(reports) > 1 else ""
                timeline.add(reports[0].wall_ns, name, f"gossipsa: {event}{times} {reports[0].about}")
                if len(reports) > 1:
                    timeline.add(reports[-1].wall_ns, name, f"gossipsa: {event} (last of {len(reports)})")

    def detection_s(self, dead: str, fault_ns: int) -> float | None:
        """Return when the first daemon reported the gateway failed, in seconds after the fault."""
        times = [
            report.wall_ns
            for node in self.nodes.values()
            for report in node.reports()
            if report.event == FAILED_EVENT and report.gateway == dead and report.wall_ns >= fault_ns
        ]
        return round((min(times) - fault_ns) / 1e9, 4) if times else None

    def connect_bystanders(self) -> None:
        self.bystander_host.wait_ready()
        _wait_for_children(self.bystander_host, len(self.bystanders))
        self.timeline.note("bystander", f"{len(self.bystanders)} bystanders connected")

    def connect_clients(self) -> float:
        """Connect all clients at once; return the seconds until the last CHILD_SA stood."""
        wait_until(self.client_host.answers, timeout_s=30, what="the clients' charon to answer")
        started = time.monotonic()
        self.client_host.load_all()
        _wait_for_children(self.client_host, len(self.clients))
        took_s = time.monotonic() - started
        self.timeline.note("client", f"{len(self.clients)} clients connected in {took_s:.2f} s")
        return took_s

    def client_statuses(self) -> dict[str, ClientStatus]:
        return statuses(self.client_host)

    def bystander_statuses(self) -> dict[str, ClientStatus]:
        return statuses(self.bystander_host)

    def power_cut(self, name: str) -> int:
        """Kill a gateway's charon and daemon and take its links down at once; return when, wall clock."""
        origin_ns = self.timeline.set_origin(name, "power cut")
        if name in self.nodes:
            self.nodes[name].kill()
        self.gateways[name].kill()
        topology.cut(topology.GATEWAY[name])
        return origin_ns

    def stop_gateway(self, name: str) -> None:
        """Stop a gateway as an operator does: its daemons may say goodbye, then its links go down."""
        self.gateways[name].stop()
        self.nodes[name].stop()
        topology.cut(topology.GATEWAY[name])
        self.timeline.note(name, "gateway stopped")

    def start_gateway(self, name: str) -> None:
        """Start a stopped gateway again, and wait until its daemon sees all others."""
        topology.mend(topology.GATEWAY[name])
        self.gateways[name].start()
        self.gateways[name].wait_ready()
        self.nodes[name].start()
        wait_until(
            self.nodes[name].sees_all_members, timeout_s=30, what=f"gossipsa of {name} to see the mesh"
        )
        self.timeline.note(name, "gateway started again")

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each daemon has used since its start; user and system together."""
        pids = {f"gossipsa of {name}": node.pid for name, node in self.nodes.items()}
        pids |= {f"charon of {charon.namespace}": charon.pid for charon in self.charons}
        return {name: _cpu_seconds(pid) for name, pid in pids.items() if pid is not None}

    def gateways_serving(self) -> dict[str, str]:
        """Return the gateway's name for each client, as the clients see it."""
        names = {gateway.address: gateway.name for gateway in topology.GATEWAYS}
        return {name: names[status.gateway_address] for name, status in self.client_statuses().items()}

    def wait_until_moved(self, names: Iterable[str], *, away_from: str, timeout_s: float) -> bool:
        """Wait until these clients' IKE_SAs point elsewhere; tell whether they all do."""
        old = topology.GATEWAY[away_from].address
        wanted = set(names)

        def moved() -> bool:
            seen = self.client_statuses()
            return all(name in seen and seen[name].gateway_address != old for name in wanted)

        try:
            wait_until(moved, timeout_s=timeout_s, what="the clients to move", interval_s=0.5)
        except TimeoutError:
            return False
        return True

    def wait_rekeyed(self, before: dict[str, ClientStatus], *, timeout_s: float) -> list[str]:
        """Wait until these clients have other CHILD_SAs, as they do some time after a takeover; name them."""

        def rekeyed() -> list[str]:
            now = self.client_statuses()
            return [
                name for name, old in before.items() if name in now and now[name].esp_spi_in != old.esp_spi_in
            ]

        with contextlib.suppress(TimeoutError):
            wait_until(
                lambda: len(rekeyed()) == len(before), timeout_s=timeout_s, what="rekeys", interval_s=0.5
            )
        return rekeyed()

    def rekey_ike(self, names: Sequence[str], *, timeout_s: float = 10.0) -> list[str]:
        """Have clients rekey their IKE_SAs; return the names of those that now have a new one."""
        before = self.client_statuses()
        with self.client_host.vici() as vici:
            for name in names:
                vici.request("rekey", {"ike": name})
        return self._changed(names, before, lambda status: status.ike_spis, timeout_s)

    def rekey_children(self, names: Sequence[str], *, timeout_s: float = 10.0) -> list[str]:
        """Have clients rekey their CHILD_SAs; return the names of those that now have a new one."""
        before = self.client_statuses()
        with self.client_host.vici() as vici:
            for name in names:
                vici.request("rekey", {"child": CHILD, "ike": name})
        return self._changed(names, before, lambda status: status.child_spis, timeout_s)

    @contextlib.contextmanager
    def capturing(self, host: topology.ClientHost) -> Iterator[Capture]:
        """Capture a client host's link; the caller stops it, or leaving does."""
        yield Capture(host.name, host.wan, self.scratch / f"{host.name}.pcap")

    def ping_clients(self, *, interval_ms: int = PING_INTERVAL_MS) -> Pings:
        return self._ping(topology.CLIENT, self.client_statuses().values(), interval_ms)

    def ping_clients_backwards(self, *, interval_ms: int = PING_INTERVAL_MS) -> Pings:
        """Ping the clients from the server."""
        return Pings(
            topology.SERVER,
            [status.virtual_address for status in self.client_statuses().values()],
            interval_ms=interval_ms,
            output=self.scratch / "pings-backwards.json",
            backwards=True,
        )

    def ping_bystanders(self, *, interval_ms: int = PING_INTERVAL_MS) -> Pings:
        return self._ping(topology.BYSTANDER, self.bystander_statuses().values(), interval_ms)

    def stream(self, source: str, *, interval_ms: int = PING_INTERVAL_MS) -> Stream:
        return Stream(
            topology.CLIENT.name, source, interval_ms=interval_ms, output=self.scratch / "stream.json"
        )

    def _ping(self, host: topology.ClientHost, clients: Iterable[ClientStatus], interval_ms: int) -> Pings:
        sources = [status.virtual_address for status in clients]
        output = self.scratch / f"pings-{host.name}.json"
        return Pings(host.name, sources, interval_ms=interval_ms, output=output)

    def _changed(
        self, names: Sequence[str], before: dict[str, ClientStatus], what: Any, timeout_s: float
    ) -> list[str]:
        def changed() -> list[str]:
            after = self.client_statuses()
            return [name for name in names if name in after and what(after[name]) != what(before[name])]

        with contextlib.suppress(TimeoutError):
            wait_until(lambda: len(changed()) == len(names), timeout_s=timeout_s, what="rekeys")
        return changed()

    def _keep_logs(self) -> None:
        logs = self.results / "logs"
        logs.mkdir(exist_ok=True)
        for charon in self.charons:
            if charon.log.exists():
                shutil.copyfile(charon.log, logs / f"charon-{charon.namespace}.log")
        for name, node in self.nodes.items():
            if node.log.exists():
                shutil.copyfile(node.log, logs / f"gossipsa-{name}.log")


def statuses(host: Charon) -> dict[str, ClientStatus]:
    """Return every client of a host that has an IKE_SA and a CHILD_SA up, by name."""
    found = {}
    for name, fields in host.sas():
        children = [child for child in fields.get("child-sas", {}).values() if child["state"] == "INSTALLED"]
        if fields["state"] != "ESTABLISHED" or not children:
            continue
        found[name] = ClientStatus(
            name=name,
            gateway_address=fields["remote-host"],
            ike_spis=(fields["initiator-spi"], fields["responder-spi"]),
            virtual_address=fields["local-vips"][0],
            esp_spi_in=int(children[-1]["spi-in"], 16),
            child_spis=tuple(sorted((child["spi-in"], child["spi-out"]) for child in children)),
        )
    return found


def _cpu_seconds(pid: int) -> float:
    # proc(5): the fields after the command, which ends with the last parenthesis, begin with the third.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait_for_children(host: Charon, count: int) -> None:
    wait_until(
        lambda: host.established_children() >= count,
        timeout_s=180,
        what=f"{count} CHILD_SAs on {host.namespace}",
        interval_s=0.2,
    )
