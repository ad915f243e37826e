"""Owned clients by what the kernel and other records know them by."""

from __future__ import annotations

from collections.abc import Iterable

from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.replication.replicator import Replicator


class OwnedIndex:
    """Finds owned clients by inbound SPI and by virtual address.

    Built when it is asked for the first time after a change: clients come and rekey in bursts.
    """

    def __init__(self, replicator: Replicator) -> None:
        self._replicator = replicator
        self._by_inbound_spi: dict[int, ClientId] | None = None
        self._by_address: dict[IpAddress, dict[ClientId, None]] | None = None

    def forget(self) -> None:
        """A client became ours, ceased to be, or has other SAs or addresses."""
        self._by_inbound_spi = None
        self._by_address = None

    def with_inbound_spi(self, spi: int) -> ClientId | None:
        """Inbound SPIs are chosen on the gateway's side and unique here; outbound ones may repeat."""
        if self._by_inbound_spi is None:
            self._by_inbound_spi = {
                child.inbound_spi: owned.record.client
                for owned in self._replicator.owned()
                for child in owned.record.state.children
            }
        return self._by_inbound_spi.get(spi)

    def with_any_address(self, addresses: Iterable[IpAddress]) -> tuple[ClientId, ...]:
        """The clients that have one of these virtual addresses, each once."""
        if self._by_address is None:
            self._by_address = {}
            for owned in self._replicator.owned():
                for address in owned.record.virtual_addresses:
                    self._by_address.setdefault(address, {})[owned.record.client] = None
        clients: dict[ClientId, None] = {}
        for address in addresses:
            clients.update(self._by_address.get(address, {}))
        return tuple(clients)
