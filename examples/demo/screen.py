"""What the terminal shows while the demo runs: who serves whom, and what has happened so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_CLIENT_SERVED = "■"
_CLIENT_SILENT = "□"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCell:
    """One client: a square in its first gateway's colour, hollow while it is silent."""

    colour: str
    is_silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """One gateway."""

    name: str
    colour: str
    process: str
    """What we know: running, killed."""
    seen_as: str
    """What the other gateways say."""
    clients: Sequence[ClientCell]
    """Those that use it now."""
    packets_a_second: int
    """Sealed packets that clients received from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenState:
    """Everything on the screen."""

    phase: str
    rows: Sequence[GatewayRow]
    happenings: Sequence[str]
    """Oldest first."""


def render(state: ScreenState) -> RenderableType:
    """Lay the screen out."""
    table = Table(expand=True, pad_edge=False)
    table.add_column("gateway", no_wrap=True)
    table.add_column("process", no_wrap=True)
    table.add_column("the others say", no_wrap=True)
    table.add_column("serves", justify="right", no_wrap=True)
    table.add_column("packets/s", justify="right", no_wrap=True)
    table.add_column("clients, in the first gateway's colour", ratio=1, overflow="fold")
    for row in state.rows:
        table.add_row(
            Text(row.name, style=f"bold {row.colour}"),
            Text(row.process, style="bold red" if row.process == "killed" else ""),
            Text(row.seen_as, style="bold red" if "failed" in row.seen_as else ""),
            str(len(row.clients)),
            str(row.packets_a_second),
            Text.assemble(
                *((_CLIENT_SILENT if cell.is_silent else _CLIENT_SERVED, cell.colour) for cell in row.clients)
            ),
        )
    return Group(
        Text(state.phase, style="bold"),
        table,
        *(Text(line, overflow="ellipsis", no_wrap=True) for line in state.happenings),
    )
