"""What the experiments share: a settled mesh over sites, and how figures are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from gossipsa.swim.settings import LAN, SECOND_NS, SwimSettings
from sim.mesh.network import Network, names
from sim.mesh.site_map import SiteMap

SIZES = (8, 32, 100, 320, 1_000)
MEMBERS_A_SITE = 20
SITES_MIN = 4
"""Small meshes have small sites, so that all sizes cross some."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Durations of one thing in several runs."""

    values_ns: tuple[int, ...]

    @property
    def median_ns(self) -> float:
        return median(self.values_ns)

    def __str__(self) -> str:
        shortest, longest = min(self.values_ns), max(self.values_ns)
        return f"{self.median_ns / SECOND_NS:.2f} ({shortest / SECOND_NS:.2f} to {longest / SECOND_NS:.2f})"


def sites_of(count: int) -> int:
    """As many sites as this many members have: 50 for 1,000."""
    return min(count, max(SITES_MIN, count // MEMBERS_A_SITE))


def settled(
    count: int, *, seed: int, watched: int = 0, loss: float = 0.0, settings: SwimSettings = LAN
) -> Network:
    """A mesh over sites in which everybody knows everybody, with nobody's timers in step."""
    site_map = SiteMap(names(count), sites=sites_of(count), seed=seed)
    network = Network(count, seed=seed, settings=settings, watched=watched, loss=loss, site_map=site_map)
    network.start_settled()
    network.run(2 * SECOND_NS + network.random.randrange(SECOND_NS))
    network.forget()
    return network


def table_of(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table
