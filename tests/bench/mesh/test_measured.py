"""The measurements themselves, of three daemons: everything happens and is seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.bench.mesh import network
from tests.bench.mesh.figures import SystemFigures
from tests.bench.mesh.plan import Plan

_REPOSITORY = Path(__file__).resolve().parents[3]
_REASON = network.why_unavailable()


@pytest.mark.skipif(_REASON is not None, reason=str(_REASON))
def test_three_daemons_boot_die_return_and_are_split(tmp_path: Path) -> None:
    plan = Plan(
        sizes=(3,),
        faults_at=3,
        boots=1,
        repetitions=1,
        stalls=1,
        stalls_s=(0.5,),
        loss=1.0,
        loss_s=2.0,
        idle_s=1.0,
        settle_s=0.2,
        systems=("gossipsa",),
    )
    file = tmp_path / "mesh.json"
    command = [sys.executable, "-m", "tests.bench.mesh", msgspec.json.encode(plan).decode(), str(file)]
    subprocess.run(network.in_own_namespaces(command), cwd=_REPOSITORY, check=True, timeout=120)

    (found,) = msgspec.json.decode(file.read_bytes(), type=list[SystemFigures])
    assert found.unfinished == []
    for made in (
        found.boots_in_turn,
        found.boots_at_once,
        found.kills,
        found.stops,
        found.stalls,
        found.splits,
    ):
        assert len(made) == 1
    for joined in (*found.boots_in_turn, *found.boots_at_once):
        assert joined.all_seen_s > 0
        assert joined.running_s > 0
    assert found.kills[0].back_s > found.kills[0].back_from_running_s > 0
    assert found.kills[0].all_told_s == found.kills[0].all_know_s > 0
    assert found.splits[0].detected_s > 0
    assert found.splits[0].healed_s > 0
    assert found.idle is not None
    assert found.idle.octets_a_second > 28 * found.idle.packets_a_second > 0
    assert found.idle.pss_bytes > 2**20
    # A network that loses everything.
    assert found.loss is not None
    assert found.loss.suspicion_reports >= found.loss.suspicions > 0
