"""What the table shows."""

from __future__ import annotations

import io
from ipaddress import IPv4Address

from rich.console import Console

from tests.bench.state.anti_entropy import measure_anti_entropy
from tests.bench.state.figures import Planning, Replication, StateFigures
from tests.bench.state.floor import measure_floor
from tests.bench.state.table import state_table


def test_figures_stand_beside_their_floor() -> None:
    floor = measure_floor(records=200, differences=20, claims=200, gateway=IPv4Address("10.0.0.1"))
    assert floor.kept_bytes_a_record > floor.encoded_bytes_a_record
    figures = StateFigures(
        floor=floor,
        replication=Replication(
            records=1_000,
            owner_bytes_a_record=4 * floor.kept_bytes_a_record,
            replica_bytes_a_record=3_000,
            first_copies_s=1.0,
            updates=1_000,
            updates_a_second=floor.updates_a_second / 8,
            updates_a_cpu_second=floor.updates_a_second / 4,
            again_s=2.5,
        ),
        anti_entropy=measure_anti_entropy(records=1_000, differences=20),
        planning=Planning(clients=1_000, first_install_s=0.0125, longest_step_s=0.01, all_planned_s=0.05),
    )
    assert figures.anti_entropy.found == 20
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(state_table(figures))
    lines = console.export_text().splitlines()

    def line(what: str) -> str:
        return next(line for line in lines if what in line)

    assert "4.00" in line("owner: resident bytes")
    assert "0.12" in line("record updates a second")
    assert "0.25" in line("the same a second of CPU time")
    assert "at most 100" in line("verdict to first install")
    assert "12.5" in line("verdict to first install")
    assert "2.50" in line("one replica that was lost")
