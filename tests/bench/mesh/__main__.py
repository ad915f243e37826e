"""Measures in namespaces of its own, and leaves the figures as JSON; `tests.bench` starts it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import msgspec
import trio

from tests.bench.mesh.campaign import Campaign, MeshMaker
from tests.bench.mesh.figures import SystemFigures
from tests.bench.mesh.gossipsa import GossipsaMesh
from tests.bench.mesh.network import open_network
from tests.bench.mesh.plan import Plan
from tests.bench.mesh.serf import SerfMesh

_SYSTEMS: tuple[tuple[str, MeshMaker], ...] = ((SerfMesh.name, SerfMesh), (GossipsaMesh.name, GossipsaMesh))


def main() -> int:
    """Arguments: the plan as JSON, and the file to write."""
    plan_text, results = sys.argv[1:]
    plan = msgspec.json.decode(plan_text, type=Plan)
    figures: list[SystemFigures] = []
    for size in plan.sizes:
        with open_network(size) as network:
            for system, make in _SYSTEMS:
                if system not in plan.systems:
                    continue
                campaign = Campaign(system, make, network, plan, partial(print, file=sys.stderr, flush=True))
                figures.append(campaign.figures)
                trio.run(campaign.run)
                Path(results).write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
