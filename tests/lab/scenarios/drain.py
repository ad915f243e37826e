"""A gateway is emptied by plan while it lives, stopped, and used again."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture, repeated_sequence_numbers
from tests.lab.laboratory import Laboratory
from tests.lab.leftovers import clients_in
from tests.lab.takeover_report import add_to_timeline, moves, new_connections, summary
from tests.lab.waiting import wait_until

_CLIENTS = 10
# A client is only moved to a gateway that has a copy.
_COPIES = 2
_SETTLE_S = 2.0
_DRAIN_TIMEOUT_S = 40.0
_ASK_TIMEOUT_S = 20.0
_REKEY_TIMEOUT_S = 30.0
_STOPPED_S = 3.0
_COPIES_TIMEOUT_S = 20.0


def drain(results: Path) -> dict[str, Any]:
    """Move the clients of gateway a away by plan, stop it, and start it again."""
    with Laboratory(results, clients=_CLIENTS) as lab:
        lab.start_gateways()
        lab.start_gossipsa()
        lab.connect_bystanders()
        lab.connect_clients()
        lab.wait_replicated(copies=_COPIES)
        capture = Capture(topology.CLIENT.name, topology.CLIENT.wan, lab.scratch / "client.pcap")
        before = lab.client_statuses()
        addresses = [status.virtual_address for status in before.values()]
        held_before = clients_in(lab.gateways["a"], addresses)
        pings, backwards, bystander_pings = (
            lab.ping_clients(),
            lab.ping_clients_backwards(),
            lab.ping_bystanders(),
        )
        stream = lab.stream(before["c000"].virtual_address)
        time.sleep(_SETTLE_S)

        drain_ns = lab.timeline.set_origin("a", "gossipsa drain --wait")
        drained = lab.nodes["a"].command("drain", "--wait", timeout_s=_DRAIN_TIMEOUT_S)
        drained_s = (time.time_ns() - drain_ns) / 1e9
        lab.timeline.note("a", f"gossipsa drain ended with status {drained.returncode}")
        all_moved = lab.wait_until_moved(before, away_from="a", timeout_s=5.0)
        rekeyed_by_taker = lab.wait_rekeyed(before, timeout_s=_REKEY_TIMEOUT_S)
        serving = lab.gateways_serving()
        held_after = clients_in(lab.gateways["a"], addresses)
        moved_ns = time.time_ns()

        lab.stop_gateway("a")
        time.sleep(_STOPPED_S)
        stopped_until_ns = time.time_ns()
        serving_while_stopped = lab.gateways_serving()
        names = list(before)
        rekeyed_children = lab.rekey_children(names)
        rekeyed_ike = lab.rekey_ike(names)

        lab.start_gateway("a")
        _wait_for_copies(lab, "the restart", present=True)
        drained_again = lab.nodes["a"].command("drain", timeout_s=_ASK_TIMEOUT_S)
        _wait_for_copies(lab, "drain", present=False)
        undrained = lab.nodes["a"].command("undrain", timeout_s=_ASK_TIMEOUT_S)
        _wait_for_copies(lab, "undrain", present=True)
        end_ns = time.time_ns()
        serving_at_end = lab.gateways_serving()

        stream_result = stream.stop()
        logs, backward_logs, bystander_logs = pings.stop(), backwards.stop(), bystander_pings.stop()
        packets = capture.stop()
        all_moves = moves(packets, before=before, pings=logs, fault_ns=drain_ns, end_ns=moved_ns)
        add_to_timeline(lab.timeline, all_moves)
        lab.add_daemon_events(lab.timeline, drain_ns, end_ns)
        print(lab.timeline.table())

        def lost(start_ns: int, stop_ns: int) -> dict[str, list[int]]:
            """By client: pings lost from it, and to it."""
            return {
                name: [
                    log[status.virtual_address].lost_between(start_ns, stop_ns)
                    for log in (logs, backward_logs)
                ]
                for name, status in before.items()
            }

        return {
            "clients": names,
            "drain": {
                "status": drained.returncode,
                "said": (drained.stdout + drained.stderr).splitlines(),
                "took_s": round(drained_s, 3),
                "all_moved": all_moved,
                "serving": serving,
                **summary(all_moves),
                "exchanges": dict(packets.exchanges_between(drain_ns, moved_ns)),
                "pings_lost": lost(drain_ns - 10**9, moved_ns),
                "held_before": held_before,
                "held_after": held_after,
                "rekeyed_by_taker": rekeyed_by_taker,
            },
            "stopped": {
                "serving": serving_while_stopped,
                "pings_lost": lost(moved_ns, end_ns),
                "exchanges": dict(packets.exchanges_between(moved_ns, stopped_until_ns)),
                "rekeyed_children": rekeyed_children,
                "rekeyed_ike": rekeyed_ike,
            },
            "undrained": {
                "statuses": [drained_again.returncode, undrained.returncode],
                "serving": serving_at_end,
            },
            "ike_sas_deleted_by_gateways": lab.client_host.log.read_text().count(
                "received DELETE for IKE_SA"
            ),
            "new_connections": new_connections(packets, start_ns=drain_ns, end_ns=end_ns),
            "repeated_sequence_numbers": repeated_sequence_numbers(packets.esp),
            "esp_packets": len(packets.esp),
            "bystander_pings_lost": sum(
                log.lost_between(drain_ns - 10**9, end_ns) for log in bystander_logs.values()
            ),
            "stream": {
                "sent": stream_result.sent,
                "echoed": stream_result.echoed,
                "error": stream_result.error,
            },
            "reported": {
                name: dict(Counter(report.event for report in node.reports()))
                for name, node in lab.nodes.items()
            },
            "timeline": lab.timeline.rows(),
        }


def _wait_for_copies(lab: Laboratory, after: str, *, present: bool) -> None:
    """Wait until gateway a holds copies of others' clients, or none any more.

    Raises:
        TimeoutError: it does not.
    """
    what = f"{'has' if present else 'has no'} copies after {after}"
    wait_until(
        lambda: (lab.nodes["a"].records_held() > 0) == present,
        timeout_s=_COPIES_TIMEOUT_S,
        what=f"the time when a {what}",
    )
    lab.timeline.note("a", what)
