"""The status of a gateway as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gossipsa.status import GatewayStatus, MemberStatus

CLIENTS_SHOWN = 50
_DAYS_FEW = 30

_STATE_STYLES = {"alive": "green", "suspect": "yellow", "failed": "bold red", "left": "dim"}


def render_status(status: GatewayStatus, *, all_clients: bool) -> RenderableType:
    """Members, copies, clients and events.

    Args:
        all_clients: not only the first CLIENTS_SHOWN.
    """
    parts: list[RenderableType] = [_identity(status)]
    if status.name_lost:
        parts.append(
            Text("name lost: a newer host has it, and this one is out of the mesh", style="bold red")
        )
    parts += [_members(status), _copies(status)]
    if status.draining:
        text = f"draining: {status.owned} clients left, {status.moving} on the move"
        parts.insert(1, Text(text, "yellow"))
    if status.clients:
        parts.append(_clients(status, len(status.clients) if all_clients else CLIENTS_SHOWN))
    if status.counts:
        parts.append(_table("events since the start", ("event", "count"), sorted(status.counts.items())))
    return Group(*parts)


def _identity(status: GatewayStatus) -> Text:
    identity = status.identity
    days = identity.ends_in_s // 86_400
    return Text.assemble(
        ("gateway ", "dim"),
        (status.name, "bold"),
        ("  mesh ", "dim"),
        identity.mesh,
        ("  boot ", "dim"),
        status.boot[:8],
        ("  identity ends in ", "dim"),
        (f"{days} days", "bold red" if days < _DAYS_FEW else ""),
        ("  trust list ", "dim"),
        str(identity.trust_version),
    )


def _members(status: GatewayStatus) -> Table:
    table = Table(title=f"{len(status.members)} members", title_justify="left")
    for heading in ("name", "state", "round trip", "estimate", "heard", "site", "zone", "boot"):
        is_number = heading in ("round trip", "estimate", "heard")
        table.add_column(heading, justify="right" if is_number else "left")
    for member in sorted(status.members, key=lambda member: member.name):
        is_self = member.name == status.name
        table.add_row(
            f"{member.name} (this one)" if is_self else member.name,
            _state(member),
            _milliseconds(member.round_trip_ms),
            _milliseconds(member.estimate_ms),
            "" if is_self else f"{member.heard_ms_ago / 1000:.1f} s ago",
            member.site,
            member.zone,
            member.boot[:8],
        )
    return table


def _state(member: MemberStatus) -> Text:
    """With what does not pass though the member is alive, and whether it is being emptied."""
    state = Text(member.state, _STATE_STYLES.get(member.state, ""))
    if member.flapping:
        state.append("\nflapping", "yellow")
    if member.draining:
        state.append("\ndraining", "yellow")
    for way in member.closed:
        state.append(f"\nno {way}", "yellow")
    return state


def _milliseconds(duration_ms: float | None) -> str:
    return "" if duration_ms is None else f"{duration_ms:.1f} ms"


def _copies(status: GatewayStatus) -> Table:
    rows = [(f"{copies} copies", str(count)) for copies, count in sorted(status.copies.items())]
    if status.short_since_s is not None:
        rows.append(("too few, for", f"{status.short_since_s:.1f} s"))
    return _table("own clients by acknowledged copies", ("copies", "clients"), rows or [("none", "0")])


def _clients(status: GatewayStatus, shown: int) -> Table:
    title = f"{len(status.clients)} clients"
    if len(status.clients) > shown:
        title += f", the first {shown}"
    table = Table(title=title, title_justify="left")
    for heading in (
        "client",
        "role",
        "owner",
        "remote",
        "virtual addresses",
        "children",
        "replicas",
        "acked",
    ):
        table.add_column(heading)
    for client in status.clients[:shown]:
        table.add_row(
            client.client[:12],
            client.role,
            client.owner,
            client.remote,
            ", ".join(client.virtual_addresses),
            str(client.children),
            ", ".join(client.replicas),
            str(client.acknowledged) if client.role == "owner" else "",
        )
    return table


def _table(title: str, headings: Sequence[str], rows: Sequence[tuple[str, object]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(str, row))
    return table
