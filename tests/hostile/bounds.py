"""What bounds everything that a core holds, whatever others send."""

from __future__ import annotations

from gossipsa.ipsec.security_association import CHILDREN_MAX
from gossipsa.replication.lane_ledger import _BURNT_KEYS_MAX
from gossipsa.replication.recall import RETURNED_MAX
from gossipsa.replication.replicator import _DROPS_MAX
from gossipsa.replication.store import PARTS_MAX
from gossipsa.swim.probe import OUTSTANDING_MAX
from gossipsa.swim.settings import SwimSettings
from gossipsa.wire import sessions
from tests.hostile.memory import containers_of
from tests.hostile.rig import Rig

MEMBERS = SwimSettings().members_max
GENERAL = 2 * MEMBERS
"""Of every container that the table does not name: members, and what there is one of for each of them."""

BOUNDS = {
    "PiggybackQueue.items": SwimSettings().queued_updates_max,
    "PiggybackQueue.by_age": 2 * SwimSettings().queued_updates_max,
    "Prober.outstanding": OUTSTANDING_MAX,
    "Prober.probes": SwimSettings().probes_max,
    "SeedCalls.calls": SwimSettings().seeds_max,
    "Conversation.queue": sessions._QUEUE_MESSAGES_MAX,
    "Conversation.sessions": sessions._CONFIRMED_SESSIONS_MAX + sessions._UNCONFIRMED_SESSIONS_MAX,
    "Conversation.answered": sessions._UNCONFIRMED_SESSIONS_MAX,
    "RecordStore.records": PARTS_MAX,
    "RecordStore.of_owner[]": PARTS_MAX,
    "RecordStore.of_address": PARTS_MAX,
    "RecordStore.of_address[]": PARTS_MAX,
    # Takeovers are of records in the store.
    "Coordinator.attempts": PARTS_MAX,
    "Coordinator.by_spis": PARTS_MAX,
    "Timers.deadlines": PARTS_MAX,
    "Timers.heap": 64 + 4 * PARTS_MAX,
    "LaneLedger.books": PARTS_MAX,
    "LaneLedger.burnt": _BURNT_KEYS_MAX,
    "Replicator.drops[]": _DROPS_MAX,
    "Recall.records": RETURNED_MAX,
    "Recall.keepers": RETURNED_MAX,
    "Adoption.recalled": RETURNED_MAX,
    "Attempt.ranges": CHILDREN_MAX,
}
"""Longest that a container may get, by class and attribute. `PARTS_MAX` bounds all records together, in units
of memory (`ClientRecord.parts`). Owned clients are the IKE daemon's, and bounded by its adapter."""


def check_bounds(rig: Rig) -> None:
    """Every container of the core is within its bound."""
    found = containers_of(rig.core)
    assert {path: length for path, length in found.items() if length > BOUNDS.get(path, GENERAL)} == {}, (
        "longer than their bounds"
    )


def named_in_the_table_and_found_nowhere(rig: Rig) -> set[str]:
    return set(BOUNDS) - set(containers_of(rig.core))
