"""Faults after which no client may move: the gateway still serves, whatever the mesh believes."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture, repeated_sequence_numbers
from tests.lab.gossipsa_node import filter_mesh
from tests.lab.laboratory import Laboratory

_CLIENTS = 10
_SETTLE_S = 2.0
# Several times what the mesh needs to find a gateway dead.
_WATCH_S = 12.0
_GOSSIPSA_RESTART_S = 5.0
_CHARON_RESTART_S = 3.0


def gossipsa_killed(results: Path) -> dict[str, Any]:
    """The daemon of gateway a is killed, and started again by its supervisor after some seconds."""

    def fault(lab: Laboratory) -> None:
        lab.nodes["a"].kill()
        time.sleep(_GOSSIPSA_RESTART_S)
        lab.nodes["a"].start()
        lab.timeline.note("a", "gossipsa started again")

    return _watch(results, "gossipsa killed", fault)


def mesh_filtered(results: Path) -> dict[str, Any]:
    """The mesh port of gateway a is filtered; its IKE daemon answers."""

    def fault(lab: Laboratory) -> None:
        filter_mesh(topology.GATEWAY["a"])

    return _watch(results, "mesh port filtered", fault)


def charon_restarted(results: Path) -> dict[str, Any]:
    """The IKE daemon of gateway a is killed, and started again by its supervisor."""

    def fault(lab: Laboratory) -> None:
        charon = lab.gateways["a"]
        charon.kill()
        time.sleep(_CHARON_RESTART_S)
        charon.start()
        charon.wait_ready()
        lab.timeline.note("a", "charon started again, configuration loaded")

    return _watch(results, "charon killed", fault)


def _watch(results: Path, what: str, fault: Callable[[Laboratory], None]) -> dict[str, Any]:
    with Laboratory(results, clients=_CLIENTS) as lab:
        lab.start_gateways()
        lab.start_gossipsa()
        lab.connect_bystanders()
        lab.connect_clients()
        lab.wait_replicated(copies=1)
        capture = Capture(topology.CLIENT.name, topology.CLIENT.wan, lab.scratch / "client.pcap")
        before = lab.client_statuses()
        pings, bystander_pings = lab.ping_clients(), lab.ping_bystanders()
        time.sleep(_SETTLE_S)
        fault_ns = lab.timeline.set_origin("a", what)
        fault(lab)
        time.sleep(_WATCH_S)
        end_ns = time.time_ns()
        serving = lab.gateways_serving()
        names = list(before)
        # IKE still works at the gateway that serves them.
        rekeyed_children = lab.rekey_children(names)
        rekeyed_ike = lab.rekey_ike(names)
        logs, bystander_logs = pings.stop(), bystander_pings.stop()
        packets = capture.stop()
        lab.add_daemon_events(lab.timeline, fault_ns, end_ns)
        print(lab.timeline.table())
        return {
            "clients": names,
            "serving": serving,
            "exchanges": dict(packets.exchanges_between(fault_ns, end_ns)),
            "pings_lost": {
                name: logs[status.virtual_address].lost_between(fault_ns, end_ns)
                for name, status in before.items()
            },
            "silence_s": {
                name: logs[status.virtual_address].silence_s(fault_ns, end_ns)
                for name, status in before.items()
            },
            "bystander_pings_lost": sum(
                log.lost_between(fault_ns, end_ns) for log in bystander_logs.values()
            ),
            "rekeyed_children": rekeyed_children,
            "rekeyed_ike": rekeyed_ike,
            "repeated_sequence_numbers": repeated_sequence_numbers(packets.esp),
            "reported": {
                name: dict(Counter(report.event for report in node.reports()))
                for name, node in lab.nodes.items()
            },
            "timeline": lab.timeline.rows(),
        }
