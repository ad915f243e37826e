from __future__ import annotations

from dataclasses import replace

import pytest

from gossipsa.errors import ConfigurationError
from gossipsa.swim.settings import LAN, LOCAL, PROFILES, WAN


@pytest.mark.parametrize(
    "impossible",
    [
        {"probe_interval_ns": 0},
        {"relays": -1},
        {"watch_interval_ns": LAN.probe_interval_ns + 1},
        {"suspicion_min_ns": LAN.suspicion_max_ns + 1},
        {"suspicion_min_ns": LAN.gossip_interval_ns},
        {"ack_wait_initial_ns": LAN.ack_wait_max_ns + 1},
        {"ack_wait_min_ns": LAN.ack_wait_initial_ns + 1},
        {"late_ack_ns": LAN.ack_wait_max_ns - 1},
        {"ping_attempts": 1},
        {"relay_attempts": (1,)},
        {"relay_attempts": (LAN.ping_attempts + 1,)},
        {"relay_attempts": (5, 3)},
        {"encoded_bytes_max": 999},
        {"members_max": 1},
        {"members_max": 8_192},
        {"state_datagrams_max": 65},
        {"join_retry_ns": LAN.reunion_interval_ns + 1},
        {"forget_ns": LAN.exchange_interval_ns},
        {"exchange_soon_ns": LAN.exchange_interval_ns + 1},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(impossible: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="swim: "):
        replace(LAN, **impossible)  # type: ignore[arg-type]


def test_profiles_are_ordered_by_patience() -> None:
    assert PROFILES == {"lan": LAN, "wan": WAN, "local": LOCAL}
    for field in ("watch_interval_ns", "ping_gap_ns", "suspicion_min_ns", "suspicion_max_ns", "stall_ns"):
        assert getattr(LOCAL, field) < getattr(LAN, field) < getattr(WAN, field)
