"""The `move` table."""

from __future__ import annotations

from rich.table import Table

from tests.bench.move_or_connect import MoveOrConnect


def move_table(found: MoveOrConnect) -> Table:
    """Moving against connecting anew."""
    table = Table(title=f"{found.clients} clients: moved by gossipsa, against connecting anew (one lab run)")
    for heading in ("what", "seconds", "of connecting anew"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    rows = (
        ("all connect anew (IKE_SA_INIT, IKE_AUTH)", found.connect_s),
        ("all moved, from verdict to last answer", found.move_s),
        ("all moved, from power cut to last answer", found.detect_s + found.move_s),
    )
    for what, seconds in rows:
        table.add_row(what, f"{seconds:.2f}", f"{seconds / found.connect_s:.2f}")
    table.add_row("detected after the power cut", f"{found.detect_s:.2f}", "")
    table.add_section()
    # One emulated CPU does the work of all hosts: so the shares tell what is gossipsa's and what is not.
    for what, seconds in found.cpu_s.items():
        table.add_row(f"CPU time while moving: {what}", f"{seconds:.2f}", f"{seconds / found.connect_s:.2f}")
    return table
