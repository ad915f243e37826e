"""The picture: every client a row, time to the right, the colour says who serves. Silence is white."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from examples.demo.analysis import Run
from examples.demo.observation import ClientObservation, PacketSeen
from examples.demo.timeline import TimelineEntry
from gossipsa.identifiers import Endpoint

_NS_PER_S = 1e9
_SIZE_INCHES = (14.0, 9.0)
_DOTS_AN_INCH = 110
_ROW_FILLING = 0.8
_MARK_COLOUR = "#222222"
_ZOOM_BEFORE_S = 0.6
_ZOOM_AFTER_S = 0.8
_BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """How gateways are shown."""

    names: Mapping[Endpoint, str]
    colours: Mapping[Endpoint, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A time in which one gateway served a client without a gap."""

    gateway: Endpoint
    begins_at_ns: int
    ends_at_ns: int


def services_of(packets: Sequence[PacketSeen], *, gap_max_ns: int) -> Iterator[Service]:
    """Join packets of one gateway that follow each other within `gap_max_ns`."""
    begin: PacketSeen | None = None
    last: PacketSeen | None = None
    for packet in packets:
        if (
            begin is None
            or last is None
            or packet.gateway != last.gateway
            or packet.at_ns - last.at_ns > gap_max_ns
        ):
            if begin is not None and last is not None:
                yield Service(gateway=begin.gateway, begins_at_ns=begin.at_ns, ends_at_ns=last.at_ns)
            begin = packet
        last = packet
    if begin is not None and last is not None:
        yield Service(gateway=begin.gateway, begins_at_ns=begin.at_ns, ends_at_ns=last.at_ns)


def draw_picture(
    file: Path,
    *,
    title: str,
    observations: Sequence[ClientObservation],
    run: Run,
    timeline: Sequence[TimelineEntry],
    legend: Legend,
    packet_interval_ns: int,
) -> None:
    """Write the picture; the file's suffix decides on the format (`.png`, `.svg`, `.pdf`).

    Args:
        timeline: begins with the kill.
        packet_interval_ns: how often a client sends; two missed echoes in a row show as silence.
    """
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    everyone, orphans = figure.subplots(2, 1, height_ratios=(3, 2))
    figure.suptitle(title, fontsize=12)
    gap_max_ns = 5 * packet_interval_ns // 2

    order = list(legend.names)
    rows = sorted(observations, key=lambda each: order.index(each.first_gateway))
    _draw_rows(everyone, rows, run, legend, gap_max_ns)
    _draw_kill(everyone)
    everyone.set_xlim(_seconds(run, run.started_at_ns), _seconds(run, run.ended_at_ns))
    everyone.set_ylabel(f"{len(rows)} clients, by first gateway")
    everyone.legend(
        handles=[
            *(Patch(color=legend.colours[gateway], label=legend.names[gateway]) for gateway in order),
            Patch(facecolor="white", edgecolor="black", label="silence"),
        ],
        title="served by",
        **_BESIDE,
    )

    moved = [each for each in rows if each.first_gateway == run.killed]
    moved.sort(key=lambda each: each.moves[0].at_ns if each.moves else run.ended_at_ns)
    _draw_packets(orphans, moved, run, legend)
    _draw_timeline(orphans, timeline)
    last_move_ns = max((move.at_ns for each in moved for move in each.moves), default=run.killed_at_ns)
    orphans.set_xlim(-_ZOOM_BEFORE_S, _seconds(run, last_move_ns) + _ZOOM_AFTER_S)
    orphans.set_ylabel(f"{len(moved)} clients of {legend.names[run.killed]}")
    orphans.set_xlabel("seconds since the kill")
    figure.savefig(file, dpi=_DOTS_AN_INCH)


def _draw_rows(
    axes: Axes, rows: Sequence[ClientObservation], run: Run, legend: Legend, gap_max_ns: int
) -> None:
    lines, colours = [], []
    for row, observation in enumerate(rows):
        for service in services_of(observation.packets, gap_max_ns=gap_max_ns):
            begins_s = _seconds(run, service.begins_at_ns)
            lines.append([(begins_s, row), (_seconds(run, service.ends_at_ns), row)])
            colours.append(legend.colours[service.gateway])
    points_a_row = _SIZE_INCHES[1] * 0.5 * 72 / max(1, len(rows))
    axes.add_collection(
        LineCollection(lines, colors=colours, linewidths=_ROW_FILLING * points_a_row, capstyle="butt")
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])


def _draw_packets(axes: Axes, rows: Sequence[ClientObservation], run: Run, legend: Legend) -> None:
    """Every packet a dot, every redirect answered a bar."""
    for row, observation in enumerate(rows):
        for gateway in {packet.gateway for packet in observation.packets}:
            times = [
                _seconds(run, packet.at_ns) for packet in observation.packets if packet.gateway == gateway
            ]
            axes.plot(times, [row] * len(times), ".", color=legend.colours[gateway], markersize=5)
        redirects = [_seconds(run, move.at_ns) for move in observation.moves]
        axes.plot(redirects, [row] * len(redirects), "|", color=_MARK_COLOUR, markersize=6)
    axes.plot([], [], ".", color=_MARK_COLOUR, label="packet received, in the sender's colour")
    axes.plot([], [], "|", color=_MARK_COLOUR, label="redirect answered")
    axes.legend(**_BESIDE)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])


def _draw_kill(axes: Axes) -> None:
    axes.axvline(0.0, color=_MARK_COLOUR, linewidth=1.0)


def _draw_timeline(axes: Axes, timeline: Sequence[TimelineEntry]) -> None:
    """A numbered line each, and what the numbers mean beside the axes."""
    for index, entry in enumerate(timeline):
        at_s = entry.after_kill_ns / _NS_PER_S
        axes.axvline(at_s, color=_MARK_COLOUR, linewidth=0.8, linestyle="--")
        axes.annotate(
            str(index + 1),
            xy=(at_s, 1.0),
            xycoords=("data", "axes fraction"),
            # Two heights, for lines that stand close together.
            xytext=(0, 3 + 11 * (index % 2)),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.text(
        1.01,
        0.0,
        "\n".join(f"{index + 1}  {entry}" for index, entry in enumerate(timeline)),
        transform=axes.transAxes,
        va="bottom",
        fontsize=9,
        linespacing=1.5,
    )


def _seconds(run: Run, at_ns: int) -> float:
    return (at_ns - run.killed_at_ns) / _NS_PER_S
