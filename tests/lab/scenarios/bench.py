"""How long 200 clients take to connect anew, and how long to be moved: the same lab, the same run."""

import time
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture
from tests.lab.laboratory import Laboratory
from tests.lab.takeover_report import add_to_timeline, moves, new_connections, summary

_CLIENTS = 200
# 200 clients at 20 pings a second each would be all that one emulated CPU can do.
_PING_INTERVAL_MS = 500
_SETTLE_S = 3.0


def bench_200(results: Path) -> dict[str, Any]:
    """Time 200 connections, then cut the power of their gateway and time the moves."""
    with Laboratory(results, clients=_CLIENTS, bystanders=1) as lab:
        lab.start_gateways()
        lab.start_gossipsa()
        lab.connect_bystanders()
        connected_s = lab.connect_clients()
        lab.wait_replicated(copies=1)
        capture = Capture(topology.CLIENT.name, topology.CLIENT.wan, lab.scratch / "client.pcap")
        before = lab.client_statuses()
        pings = lab.ping_clients(interval_ms=_PING_INTERVAL_MS)
        time.sleep(_SETTLE_S)
        cpu_before_s = lab.cpu_seconds()
        fault_ns = lab.power_cut("a")
        moved = lab.wait_until_moved(before, away_from="a", timeout_s=60)
        cpu_after_s = lab.cpu_seconds()
        time.sleep(_SETTLE_S)
        end_ns = time.time_ns()
        serving = lab.gateways_serving()
        logs = pings.stop()
        packets = capture.stop()
        all_moves = moves(packets, before=before, pings=logs, fault_ns=fault_ns, end_ns=end_ns)
        add_to_timeline(lab.timeline, all_moves)
        lab.add_daemon_events(lab.timeline, fault_ns, end_ns)
        print(lab.timeline.table())
        answers_s = [move.answer_s for move in all_moves if move.answer_s is not None]
        detected_s = lab.detection_s("a", fault_ns)
        return {
            "clients": _CLIENTS,
            "connected_anew_s": connected_s,
            "all_moved": moved,
            "moved": len(answers_s),
            "last_answer_s": max(answers_s, default=None),
            "detected_s": detected_s,
            "cpu_s": {
                name: round(used_s - cpu_before_s[name], 2)
                for name, used_s in cpu_after_s.items()
                if name in cpu_before_s
            },
            "moved_after_detection_s": (
                None if detected_s is None or not answers_s else round(max(answers_s) - detected_s, 3)
            ),
            "serving": {name: list(serving.values()).count(name) for name in sorted(set(serving.values()))},
            **summary(all_moves),
            "new_connections": new_connections(packets, start_ns=fault_ns, end_ns=end_ns),
            "timeline": lab.timeline.rows(),
        }
