"""A gateway dies as in a power cut: its clients go on at another, and at a third when that dies too."""

import time
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture, repeated_sequence_numbers
from tests.lab.laboratory import ClientStatus, Laboratory
from tests.lab.takeover_report import add_to_timeline, moves, new_connections, summary
from tests.lab.timeline import Timeline

# With two replicas of every record any one gateway of the other two can take over.
_COPIES = 2
_REKEYED_CLIENTS_MAX = 5
_REKEY_TIMEOUT_S = 30.0
_SETTLE_S = 3.0
_MOVE_TIMEOUT_S = 30.0


def takeover_one(results: Path) -> dict[str, Any]:
    """One client."""
    return _takeover(results, clients=1)


def takeover_fifty(results: Path) -> dict[str, Any]:
    """Fifty clients."""
    return _takeover(results, clients=50)


def _takeover(results: Path, *, clients: int) -> dict[str, Any]:
    with Laboratory(results, clients=clients) as lab:
        lab.start_gateways()
        lab.start_gossipsa()
        lab.connect_bystanders()
        lab.connect_clients()
        lab.wait_replicated(copies=_COPIES)
        client_capture = Capture(topology.CLIENT.name, topology.CLIENT.wan, lab.scratch / "client.pcap")
        bystander_capture = Capture(
            topology.BYSTANDER.name, topology.BYSTANDER.wan, lab.scratch / "bystander.pcap"
        )
        clients_before, bystanders_before = lab.client_statuses(), lab.bystander_statuses()
        pings, bystander_pings = lab.ping_clients(), lab.ping_bystanders()
        stream = lab.stream(clients_before["c000"].virtual_address)
        time.sleep(_SETTLE_S)

        # The first failover: gateway a dies, nobody else does.
        first_ns = lab.power_cut("a")
        first_moved = lab.wait_until_moved(clients_before, away_from="a", timeout_s=_MOVE_TIMEOUT_S)
        time.sleep(_SETTLE_S)
        serving_after_first = lab.gateways_serving()
        first_end_ns = time.time_ns()
        some = [client.name for client in lab.clients][:_REKEYED_CLIENTS_MAX]
        rekeyed_children = lab.rekey_children(some)
        rekeyed_ike = lab.rekey_ike(some)
        rekeyed_by_taker = lab.wait_rekeyed(clients_before, timeout_s=_REKEY_TIMEOUT_S)
        first_timeline, lab.timeline = lab.timeline, Timeline()

        # The second: the gateway that serves client c000 now dies too, with its own clients.
        lab.wait_replicated(copies=1, without=("a",))
        taker = serving_after_first.get("c000", "b")
        second_before = {
            name: status
            for name, status in lab.client_statuses().items()
            if serving_after_first.get(name) == taker
        }
        time.sleep(_SETTLE_S)
        second_ns = lab.power_cut(taker)
        second_moved = lab.wait_until_moved(second_before, away_from=taker, timeout_s=_MOVE_TIMEOUT_S)
        time.sleep(_SETTLE_S)
        end_ns = time.time_ns()
        serving_at_end = lab.gateways_serving()

        stream_result = stream.stop()
        ping_logs, bystander_logs = pings.stop(), bystander_pings.stop()
        packets, bystander_packets = client_capture.stop(), bystander_capture.stop()
        first_moves = moves(
            packets, before=clients_before, pings=ping_logs, fault_ns=first_ns, end_ns=first_end_ns
        )
        second_moves = moves(
            packets, before=second_before, pings=ping_logs, fault_ns=second_ns, end_ns=end_ns
        )
        for timeline, some_moves, start_ns, stop_ns in (
            (first_timeline, first_moves, first_ns, first_end_ns),
            (lab.timeline, second_moves, second_ns, end_ns),
        ):
            add_to_timeline(timeline, some_moves)
            lab.add_daemon_events(timeline, start_ns, stop_ns)
        print(first_timeline.table(), "\n\n", lab.timeline.table(), sep="")
        return {
            "clients": clients,
            "first": {
                "all_moved": first_moved,
                "serving": serving_after_first,
                **summary(first_moves),
                "detected_s": lab.detection_s("a", first_ns),
                "exchanges": dict(packets.exchanges_between(first_ns, first_end_ns)),
                "bystander_pings_lost": _lost(
                    bystander_logs, bystanders_before, first_ns - 10**9, first_end_ns
                ),
                "bystander_exchanges": dict(bystander_packets.exchanges_between(first_ns, first_end_ns)),
                "timeline": first_timeline.rows(),
            },
            "rekeyed_children": rekeyed_children,
            "rekeyed_ike": rekeyed_ike,
            "rekeyed_by_taker": len(rekeyed_by_taker),
            "rekeys_wanted": some,
            "second": {
                "taker_that_died": taker,
                "all_moved": second_moved,
                "serving": serving_at_end,
                **summary(second_moves),
                "detected_s": lab.detection_s(taker, second_ns),
                "exchanges": dict(packets.exchanges_between(second_ns, end_ns)),
                "timeline": lab.timeline.rows(),
            },
            "new_connections": new_connections(packets, start_ns=first_ns, end_ns=end_ns)
            + new_connections(bystander_packets, start_ns=first_ns, end_ns=end_ns),
            "repeated_sequence_numbers": [
                *repeated_sequence_numbers(packets.esp),
                *repeated_sequence_numbers(bystander_packets.esp),
            ],
            "esp_packets": len(packets.esp),
            "stream": {
                "sent": stream_result.sent,
                "echoed": stream_result.echoed,
                "error": stream_result.error,
            },
            "pings_lost_by_end": {
                name: not _answered_since(ping_logs[status.virtual_address], end_ns - 10**9)
                for name, status in clients_before.items()
            },
        }


def _lost(
    logs: dict[str, Any], clients: dict[str, ClientStatus], start_ns: int, end_ns: int
) -> dict[str, int]:
    return {
        name: logs[status.virtual_address].lost_between(start_ns, end_ns) for name, status in clients.items()
    }


def _answered_since(log: Any, wall_ns: int) -> bool:
    return log.first_reply_from_ns(wall_ns) is not None
