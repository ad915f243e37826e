"""The figures beside their floor."""

from __future__ import annotations

from rich.table import Table

from tests.bench.state.figures import StateFigures

_HEADINGS = ("what", "measured", "floor", "of the floor", "wanted")


def state_table(figures: StateFigures) -> Table:
    """One line a figure. The floor is plain MessagePack and PyNaCl in one process, in the same run."""
    floor, replication = figures.floor, figures.replication
    audit, planning = figures.anti_entropy, figures.planning
    table = Table(
        title=f"State of {replication.records} clients on three gateways: the real core, UDP and TCP on "
        "loopback, a process each; clients come from the bench, and there is no kernel and no IKE daemon"
    )
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("what", "wanted") else "right")
    at_floor = floor.kept_bytes_a_record
    _add(table, "owner: resident bytes a record", replication.owner_bytes_a_record, at_floor)
    _add(table, "replica: resident bytes a record", replication.replica_bytes_a_record, at_floor)
    _add(table, "encoded bytes a record", None, floor.encoded_bytes_a_record)
    table.add_section()
    _add(
        table,
        "record updates a second, both replicas acknowledging",
        replication.updates_a_second,
        floor.updates_a_second,
    )
    _add(
        table,
        "the same a second of CPU time, of all three processes",
        replication.updates_a_cpu_second,
        floor.updates_a_second,
    )
    _add(
        table,
        "first copies: records a second at both replicas",
        replication.records / replication.first_copies_s,
        floor.updates_a_second,
    )
    _add(
        table,
        "all records again at one replica that was lost, s",
        replication.again_s,
        replication.records / floor.copies_a_second,
        digits=2,
    )
    table.add_section()
    what = f"{audit.differences} differences in {audit.records}"
    _add(table, f"{what}: found", audit.found, audit.differences)
    _add(table, f"{what}: sealed bytes, both ways", audit.sealed_bytes, floor.versions_bytes)
    _add(table, f"{what}: round trips", audit.round_trips, 1)
    table.add_section()
    what = f"takeover of {planning.clients} clients"
    _add(
        table,
        f"{what}: verdict to first install, ms",
        planning.first_install_s * 1000,
        None,
        digits=1,
        wanted="at most 100",
    )
    _add(table, f"{what}: longest input handled, ms", planning.longest_step_s * 1000, None, digits=1)
    _add(
        table,
        f"{what}: CPU of the taker until all are claimed, ms",
        planning.all_planned_s * 1000,
        floor.claims_s * 1000,
        digits=1,
    )
    return table


def _add(
    table: Table, what: str, measured: float | None, floor: float | None, *, digits: int = 0, wanted: str = ""
) -> None:
    texts = ("" if value is None else f"{value:.{digits}f}" for value in (measured, floor))
    ratio = f"{measured / floor:.2f}" if measured is not None and floor else ""
    table.add_row(what, *texts, ratio, wanted)
