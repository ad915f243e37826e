from __future__ import annotations

from gossipsa.daemon.metrics import render_metrics
from gossipsa.status import GatewayStatus, IdentityStatus, MemberStatus


def _member(name: str, state: str, round_trip_ms: float | None) -> MemberStatus:
    return MemberStatus(
        name=name,
        state=state,
        boot="00",
        incarnation=1,
        round_trip_ms=round_trip_ms,
        estimate_ms=round_trip_ms,
        closed=("stream",) if state == "alive" else (),
        flapping=state == "failed",
        heard_ms_ago=0.0,
        site="",
        zone="",
    )


def test_metrics_are_in_the_format_of_prometheus() -> None:
    status = GatewayStatus(
        name="a",
        boot="00",
        identity=IdentityStatus(
            mesh="m", site="", zone="", serial="00", ends_s=1_900_000_000, ends_in_s=86_400, trust_version=3
        ),
        members=(_member('b"\\', "alive", 80.5), _member("c", "failed", None)),
        clients=(),
        copies={"2": 1},
        counts={},
        roles={"owner": 1},
        short_since_s=2.5,
    )
    text = render_metrics(
        status, events={"gateway-failed": 2}, driver=[("frames_sent", 7)], gauges={"inputs_waiting": 0}
    )

    assert text == (
        "# HELP gossipsa_members Gateways of the mesh by state.\n"
        "# TYPE gossipsa_members gauge\n"
        'gossipsa_members{state="alive"} 1\n'
        'gossipsa_members{state="failed"} 1\n'
        "# HELP gossipsa_closed_ways Live gateways to which a way is closed.\n"
        "# TYPE gossipsa_closed_ways gauge\n"
        'gossipsa_closed_ways{way="stream"} 1\n'
        "# HELP gossipsa_clients Clients whose record is here, by role.\n"
        "# TYPE gossipsa_clients gauge\n"
        'gossipsa_clients{role="owner"} 1\n'
        "# HELP gossipsa_copies Own clients by acknowledged copies.\n"
        "# TYPE gossipsa_copies gauge\n"
        'gossipsa_copies{copies="2"} 1\n'
        "# HELP gossipsa_round_trip_seconds Round-trip time to a gateway.\n"
        "# TYPE gossipsa_round_trip_seconds gauge\n"
        'gossipsa_round_trip_seconds{gateway="b\\"\\\\"} 0.0805\n'
        "# HELP gossipsa_round_trip_estimate_seconds "
        "Round-trip time to a gateway as network coordinates tell it.\n"
        "# TYPE gossipsa_round_trip_estimate_seconds gauge\n"
        'gossipsa_round_trip_estimate_seconds{gateway="b\\"\\\\"} 0.0805\n'
        "# HELP gossipsa_events_total Reported events by name.\n"
        "# TYPE gossipsa_events_total counter\n"
        'gossipsa_events_total{event="gateway-failed"} 2\n'
        "# TYPE gossipsa_members_flapping gauge\n"
        "gossipsa_members_flapping 1\n"
        "# TYPE gossipsa_name_lost gauge\n"
        "gossipsa_name_lost 0\n"
        "# TYPE gossipsa_frames_sent_total counter\n"
        "gossipsa_frames_sent_total 7\n"
        "# HELP gossipsa_short_of_copies_seconds Age of the oldest lack of copies; 0 without.\n"
        "# TYPE gossipsa_short_of_copies_seconds gauge\n"
        "gossipsa_short_of_copies_seconds 2.5\n"
        "# TYPE gossipsa_inputs_waiting gauge\n"
        "gossipsa_inputs_waiting 0\n"
    )
