"""What is done to a cluster, by name. Times and victims follow from the seed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sim.scenarios.daemons import GOSSIPSA_KILLED, GOSSIPSA_STALLED, IKE_DAEMON_KILLED, MESH_FILTERED
from sim.scenarios.kills import KILL, LOSSY_KILL, RECONNECT, ROLLING_RESTART, SECOND_FAILOVER
from sim.scenarios.partitions import CUT_OFF, ONE_WAY, PARTITION_AND_HEAL, STALLED_HOST, TORN
from sim.scenarios.planned import (
    DRAIN,
    DRAIN_CUT_OFF,
    DRAIN_OWNER_DIES,
    DRAIN_OWNER_RESTARTS,
    DRAIN_TARGET_DIES,
    DRAIN_UNREACHABLE,
    LOSSY_DRAIN,
    RETURN,
    UNDRAIN,
)
from sim.scenarios.scenario import Scenario
from sim.scenarios.storms import BUSY_KILL, STORM

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            KILL,
            LOSSY_KILL,
            SECOND_FAILOVER,
            ROLLING_RESTART,
            RECONNECT,
            BUSY_KILL,
            GOSSIPSA_KILLED,
            GOSSIPSA_STALLED,
            MESH_FILTERED,
            IKE_DAEMON_KILLED,
            PARTITION_AND_HEAL,
            ONE_WAY,
            CUT_OFF,
            STALLED_HOST,
            TORN,
            DRAIN,
            UNDRAIN,
            DRAIN_TARGET_DIES,
            DRAIN_OWNER_DIES,
            DRAIN_OWNER_RESTARTS,
            LOSSY_DRAIN,
            DRAIN_CUT_OFF,
            DRAIN_UNREACHABLE,
            RETURN,
            STORM,
        )
    }
)

__all__ = ["SCENARIOS", "Scenario"]
