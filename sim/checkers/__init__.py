"""What must never happen, and what must happen in time. Each checker watches one promise of the design."""

from __future__ import annotations

from sim.checkers.checker import Checker, Patience, Violation
from sim.checkers.clients_are_served import ClientsAreServed
from sim.checkers.convergence import Convergence
from sim.checkers.key_holders import KeyHoldersAreFew
from sim.checkers.memory_is_bounded import MemoryIsBounded
from sim.checkers.moves import BystandersStay, MovedOncePerFailure, NoDismissal
from sim.checkers.records_survive import RecordsSurvive
from sim.checkers.replays import CorruptionIsRefused, NoReplayBeyondBound
from sim.checkers.sequence_numbers import (
    NoDoubleDelivery,
    NoSendingBeforeAnswer,
    NumbersAreUsedOnce,
    VectorsAreUsedOnce,
)
from sim.checkers.single_owner import SingleOwner
from sim.cluster import Cluster

__all__ = ["CHECKERS", "Checker", "Patience", "Violation", "watch"]

CHECKERS: tuple[type[Checker], ...] = (
    NumbersAreUsedOnce,
    VectorsAreUsedOnce,
    NoSendingBeforeAnswer,
    NoDoubleDelivery,
    NoReplayBeyondBound,
    CorruptionIsRefused,
    MovedOncePerFailure,
    BystandersStay,
    NoDismissal,
    RecordsSurvive,
    ClientsAreServed,
    SingleOwner,
    KeyHoldersAreFew,
    MemoryIsBounded,
    Convergence,
)


def watch(cluster: Cluster, patience: Patience) -> tuple[Checker, ...]:
    """Sets all checkers on a cluster that has not started."""
    checkers = tuple(checker(cluster, patience) for checker in CHECKERS)
    cluster.watchers.extend(checkers)
    return checkers
