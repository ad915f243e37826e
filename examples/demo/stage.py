"""Everything that takes part in a run, and how it looks at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from examples.demo.client import Client
from examples.demo.gateway_processes import GatewayProcess
from examples.demo.happenings import EventFiles
from examples.demo.palette import colours_of
from examples.demo.picture import Legend
from examples.demo.screen import ClientCell, GatewayRow, ScreenState
from examples.demo.timeline import reported_timeline
from gossipsa.identifiers import Endpoint

_NS_PER_S = 1_000_000_000


class Stage:
    """The gateways and the clients of a run.

    Args:
        silent_after_ns: a client that received nothing for so long is shown as silent.
    """

    def __init__(
        self,
        *,
        gateways: Sequence[GatewayProcess],
        clients: Sequence[Client],
        events: EventFiles,
        silent_after_ns: int,
    ) -> None:
        self.gateways = {gateway.files.ike: gateway for gateway in gateways}
        self.clients = clients
        self.events = events
        self.legend = Legend(
            names={endpoint: gateway.files.name for endpoint, gateway in self.gateways.items()},
            colours=colours_of(tuple(self.gateways)),
        )
        self.phase = ""
        self.killed: tuple[Endpoint, int] | None = None
        """Which gateway was killed, and when (ns)."""
        self._silent_after_ns = silent_after_ns
        self._home = {client.client: client.gateway for client in clients}
        self._read_packets = [0] * len(clients)
        self._looked_at_ns: int | None = None

    def is_silent(self, client: Client, *, now_ns: int) -> bool:
        """True if the client waits for packets longer than it should."""
        return not client.packets or now_ns - client.packets[-1].at_ns > self._silent_after_ns

    def look(self, *, now_ns: int) -> ScreenState:
        """What to show now. Rates are over the time since the last look."""
        self.events.look()
        packets = self._packets_since_last_look()
        elapsed_ns = now_ns - (self._looked_at_ns if self._looked_at_ns is not None else now_ns)
        self._looked_at_ns = now_ns
        rows = []
        for endpoint, gateway in self.gateways.items():
            opinions = self.events.opinions_about(gateway.files.name)
            rows.append(
                GatewayRow(
                    name=gateway.files.name,
                    colour=self.legend.colours[endpoint],
                    process="killed" if gateway.is_killed else "running",
                    seen_as=", ".join(f"{state} ({count})" for state, count in sorted(opinions.items())),
                    clients=[
                        ClientCell(
                            colour=self.legend.colours[self._home[client.client]],
                            is_silent=self.is_silent(client, now_ns=now_ns),
                        )
                        for client in self.clients
                        if client.gateway == endpoint
                    ],
                    packets_a_second=packets[endpoint] * _NS_PER_S // elapsed_ns if elapsed_ns else 0,
                )
            )
        return ScreenState(phase=self.phase, rows=rows, happenings=self._story(now_ns))

    def _story(self, now_ns: int) -> list[str]:
        if self.killed is None:
            return []
        killed, killed_at_ns = self.killed
        entries = reported_timeline(self.events, name=self.legend.names[killed], killed_at_ns=killed_at_ns)
        orphans = [client for client in self.clients if self._home[client.client] == killed]
        moved = [client for client in orphans if client.gateway != killed]
        silent = sum(self.is_silent(client, now_ns=now_ns) for client in orphans)
        return [
            *map(str, entries),
            f"{len(moved)} of {len(orphans)} clients have answered their redirect, {silent} are silent",
        ]

    def _packets_since_last_look(self) -> Counter[Endpoint]:
        counted: Counter[Endpoint] = Counter()
        for index, client in enumerate(self.clients):
            counted.update(packet.gateway for packet in client.packets[self._read_packets[index] :])
            self._read_packets[index] = len(client.packets)
        return counted
