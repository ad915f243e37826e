"""What happened when: a list of moments relative to one that everything is counted from."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One entry.

    Attributes:
        wall_ns: nanoseconds of the wall clock, which packet captures share.
        who: the box it happened on.
        what: what happened.
    """

    wall_ns: int
    who: str
    what: str


class Timeline:
    """Collects moments; the origin is set once, at the fault."""

    def __init__(self) -> None:
        self._moments: list[Moment] = []
        self.origin_ns = time.time_ns()

    def set_origin(self, who: str, what: str) -> int:
        """Take now as the origin, note why, and return it."""
        self.origin_ns = time.time_ns()
        self.add(self.origin_ns, who, what)
        return self.origin_ns

    def note(self, who: str, what: str) -> None:
        self.add(time.time_ns(), who, what)

    def add(self, wall_ns: int, who: str, what: str) -> None:
        self._moments.append(Moment(wall_ns=wall_ns, who=who, what=what))

    def seconds_after_origin(self, wall_ns: int) -> float:
        return (wall_ns - self.origin_ns) / 1e9

    def rows(self) -> list[dict[str, Any]]:
        """Return the moments in order, as JSON can hold them: at_s (relative), who, what."""
        return [
            {
                "at_s": round(self.seconds_after_origin(moment.wall_ns), 4),
                "who": moment.who,
                "what": moment.what,
            }
            for moment in sorted(self._moments, key=lambda moment: moment.wall_ns)
        ]

    def table(self) -> str:
        """Return the moments as a table to print."""
        lines = [f"{row['at_s']:9.3f} s  {row['who']:<10} {row['what']}" for row in self.rows()]
        return "\n".join(lines)


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Summarise: count, least, median, 95th percentile, greatest. Empty input gives only the count."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "least": round(ordered[0], 4),
        "median": round(ordered[len(ordered) // 2], 4),
        "p95": round(ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)], 4),
        "greatest": round(ordered[-1], 4),
    }
