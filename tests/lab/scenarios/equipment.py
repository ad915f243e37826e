"""The lab without a daemon under test: do clients connect, do pings and streams pass, do captures tell?"""

import time
from pathlib import Path
from typing import Any

from tests.lab import topology
from tests.lab.capture import Capture, repeated_sequence_numbers
from tests.lab.laboratory import Laboratory
from tests.lab.traffic.programs import lost_in_total


def equipment(results: Path, *, clients: int = 5) -> dict[str, Any]:
    """Connect clients, run all traffic for some seconds, rekey, and lose nothing."""
    with Laboratory(results, clients=clients) as lab:
        capture = Capture(topology.CLIENT.name, topology.CLIENT.wan, lab.scratch / "client.pcap")
        lab.start_gateways()
        lab.connect_bystanders()
        connected_in_s = lab.connect_clients()
        pings, bystander_pings = lab.ping_clients(), lab.ping_bystanders()
        stream = lab.stream(lab.client_statuses()["c000"].virtual_address)
        start_ns = lab.timeline.set_origin("lab", "all traffic runs")
        time.sleep(3)
        names = [client.name for client in lab.clients]
        rekeyed_children = lab.rekey_children(names)
        lab.timeline.note("client", "CHILD_SAs rekeyed")
        rekeyed_ike = lab.rekey_ike(names)
        lab.timeline.note("client", "IKE_SAs rekeyed")
        stream_result = stream.stop()
        logs, bystander_logs = pings.stop(), bystander_pings.stop()
        packets = capture.stop()
        print(lab.timeline.table())
        return {
            "connected_in_s": connected_in_s,
            "pings": sum(len(log.sent_us) for log in logs.values()),
            "pings_lost": lost_in_total(logs.values()),
            "bystander_pings_lost": lost_in_total(bystander_logs.values()),
            "stream_sent": stream_result.sent,
            "stream_echoed": stream_result.echoed,
            "stream_error": stream_result.error,
            "rekeyed_children": rekeyed_children,
            "rekeyed_ike": rekeyed_ike,
            "esp_packets": len(packets.esp),
            "repeated_sequence_numbers": repeated_sequence_numbers(packets.esp),
            "exchanges_after_connecting": dict(packets.exchanges_between(start_ns, time.time_ns())),
            "timeline": lab.timeline.rows(),
        }
