"""What all checkers have in common."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cluster import Cluster
from sim.observations import Observation
from sim.virtual_clock import SECOND_NS


class Violation(Exception):  # noqa: N818 - the word of the field
    """A promise of the design was broken.

    Attributes:
        checker: name of the promise.
    """

    def __init__(self, checker: str, at_ns: int, text: str) -> None:
        super().__init__(f"{checker} at {(at_ns - SECOND_NS) / SECOND_NS:.3f} s: {text}")
        self.checker = checker


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a scenario gives the mesh for what takes time, counted from the last fault."""

    served_again_ns: int = 4 * SECOND_NS
    """Until a client whose gateway died is served again, if anybody alive can."""
    settled_ns: int = 8 * SECOND_NS
    """Until there is one owner, and no superfluous copy."""
    may_lose_clients: bool = False
    """True if owner and replicas may die faster than records are copied: nobody is left for a client then."""


class Checker:
    """A promise. Raises Violation as soon as it is seen broken."""

    observes: tuple[type[Observation], ...] = ()
    """Of what it is told."""

    def __init__(self, cluster: Cluster, patience: Patience) -> None:
        self.cluster = cluster
        self.patience = patience

    def observe(self, observation: Observation) -> None:
        """Something happened."""

    def sample(self) -> None:
        """A tenth of a second passed."""

    def settle(self) -> None:
        """All was healed, and more time passed than anything may take."""

    @property
    def now_ns(self) -> int:
        return self.cluster.clock.now_ns

    def violated(self, text: str) -> Violation:
        return Violation(type(self).__name__, self.now_ns, text)

    def undisturbed_for(self, duration_ns: int) -> bool:
        """True if nothing was broken or repaired for that long."""
        return self.now_ns - self.cluster.disturbed_ns >= duration_ns
