from __future__ import annotations

from dataclasses import replace

import pytest

from gossipsa.errors import ConfigurationError
from gossipsa.swim.messages import UPDATES_MAX
from gossipsa.swim.settings import LAN, LOCAL, NOT_NEGATIVE, POSITIVE, PROFILES, RELATIONS, WAN

IMPOSSIBLE: dict[str, dict[str, object]] = {
    "members_max must lie": {"members_max": 1},
    "witnesses_min must lie": {"witnesses_min": 0},
    "ping_attempts must be at least 2": {"ping_attempts": 1},
    "relay_attempts must lie": {"relay_attempts": (1,)},
    "relay_attempts must increase": {"relay_attempts": (5, 3)},
    "stream_attempt must be 0": {"stream_attempt": 1},
    "ack_wait_min_ns <= ack_wait_initial_ns <= ack_wait_max_ns": {
        "ack_wait_initial_ns": LAN.ack_wait_max_ns + 1
    },
    "ping_gap_ns must not exceed": {"ping_gap_ns": LAN.ack_wait_max_ns + 1},
    "late_ack_ns must not be below the longest probe": {"late_ack_ns": LAN.probe_max_ns - 1},
    "late_ack_ns must not be below suspicion_max_ns": {"suspicion_max_ns": LAN.late_ack_ns + 1},
    "stream_check_interval_ns must exceed": {"stream_check_interval_ns": LAN.late_ack_ns},
    "suspicion_min_ns must not exceed": {"suspicion_min_ns": LAN.suspicion_max_ns + 1},
    "suspicion_max_ns must outlast a probe": {
        "suspicion_min_ns": LAN.probe_min_ns // 2,
        "gossip_interval_ns": LAN.gossip_interval_ns // 2,
        "suspicion_max_ns": LAN.probe_min_ns - 1,
    },
    "suspicion_min_ns must leave two": {"suspicion_min_ns": 2 * LAN.gossip_interval_ns - 1},
    "stall_ns must not exceed": {"stall_ns": LAN.suspicion_min_ns + 1},
    "second_opinions must not be below": {"second_opinions": LAN.confirmations - 1},
    "watch_interval_ns must not exceed": {"watch_interval_ns": LAN.probe_interval_ns + 1},
    "probes_max must exceed": {"probes_max": LAN.watched_max},
    "join_retry_ns must not exceed": {"join_retry_ns": LAN.reunion_interval_ns + 1},
    "state_datagrams_max must not exceed": {"state_datagrams_max": 65},
    "encoded_bytes_max must leave room": {"encoded_bytes_max": 1_324},
    "flap_suppress_max_ns must not exceed": {"flap_suppress_max_ns": 65 * LAN.flap_half_life_ns},
    "flap_reuse_penalty must be below": {"flap_reuse_penalty": LAN.flap_suppress_penalty},
    "flap_suppress_max_ns must be so many": {"flap_suppress_max_ns": LAN.flap_half_life_ns},
    "exchange_soon_ns must not exceed": {"exchange_soon_ns": LAN.exchange_interval_ns + 1},
    "forget_ns must exceed exchange_interval_ns": {"forget_ns": LAN.exchange_interval_ns},
    "forget_ns must exceed reunion_interval_ns": {
        "exchange_interval_ns": LAN.exchange_soon_ns,
        "forget_ns": LAN.reunion_interval_ns,
    },
}
"""By the beginning of what is said about it."""


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_settings_that_do_not_go_together_are_refused_by_name(message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^swim: {message}"):
        replace(LAN, **IMPOSSIBLE[message])  # type: ignore[arg-type]


def test_every_relation_is_tried() -> None:
    assert len(RELATIONS) == len(IMPOSSIBLE)
    for _, message in RELATIONS:
        assert sum(message.startswith(beginning) for beginning in IMPOSSIBLE) == 1


@pytest.mark.parametrize(
    "impossible",
    [
        *({name: 0} for name in POSITIVE),
        *({name: -1} for name in NOT_NEGATIVE),
        {"members_max": UPDATES_MAX},
        {"witnesses_min": 4},
        {"relay_attempts": (LAN.ping_attempts + 1,)},
        {"relay_attempts": (3, 3)},
        {"stream_attempt": LAN.ping_attempts + 1},
        {"ack_wait_min_ns": LAN.ack_wait_initial_ns + 1},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(impossible: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"^swim: "):
        replace(LAN, **impossible)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_bound_between_settings_is_met_by_every_profile(profile: str) -> None:
    assert all(holds(PROFILES[profile]) for holds, _ in RELATIONS)


def test_profiles_are_ordered_by_patience() -> None:
    assert PROFILES == {"lan": LAN, "wan": WAN, "local": LOCAL}
    for field in (
        "probe_interval_ns",
        "watch_interval_ns",
        "ping_gap_ns",
        "ack_wait_initial_ns",
        "suspicion_min_ns",
        "suspicion_max_ns",
        "gossip_interval_ns",
        "exchange_interval_ns",
        "join_retry_ns",
        "stall_ns",
    ):
        assert getattr(LOCAL, field) < getattr(LAN, field) < getattr(WAN, field)
