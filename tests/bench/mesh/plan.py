"""How much is measured."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench, of each system."""

    sizes: tuple[int, ...] = (8, 16, 32)
    faults_at: int = 16
    """The number of agents with which everything is measured, if it is one of the sizes; with others, what
    depends on their number: boots, kills, stops, the cost of rest."""
    boots: int = 10
    """With `faults_at` agents; `repetitions` with others."""
    repetitions: int = 5
    """Of kills, stops and splits, and of boots at once."""
    stalls: int = 12
    """Of each length."""
    stalls_s: tuple[float, ...] = (1.0, 3.0, 6.0)
    loss: float = 0.25
    loss_s: float = 120.0
    idle_s: float = 60.0
    settle_s: float = 5.0
    """Before anything is done to a new mesh: round trips are measured, the news of the boot has spread."""
    systems: tuple[str, ...] = ("serf", "gossipsa")


QUICK = Plan(sizes=(16,), boots=3, repetitions=3, stalls=2, loss_s=60.0, idle_s=30.0)
"""For the shape: some eight minutes."""
