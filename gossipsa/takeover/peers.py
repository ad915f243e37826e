"""What takeover asks of membership."""

from __future__ import annotations

from typing import Protocol

from gossipsa.identifiers import GatewayName, Holder, IpAddress


class Peers(Protocol):
    """The other gateways, as membership sees them now."""

    def is_alive(self, name: GatewayName) -> bool:
        """Alive and not suspected."""

    def takes_clients(self, name: GatewayName) -> bool:
        """Alive, not suspected, fit to keep records, and not being emptied."""

    def is_live(self, name: GatewayName) -> bool:
        """Not known to have failed or left: alive or suspected."""

    def live(self) -> tuple[GatewayName, ...]:
        """All that are live."""

    def round_trip_ns(self, name: GatewayName) -> int:
        """Smoothed, or a default for a gateway that was never measured."""

    def ike_addresses(self, name: GatewayName) -> tuple[IpAddress, ...]:
        """Where its IKE daemon listens, as it last said."""

    def holder(self, name: GatewayName) -> Holder | None:
        """Its present boot."""
