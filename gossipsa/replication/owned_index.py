"""Owned clients by what the kernel and other records know them by."""

from __future__ import annotations

from collections.abc import Iterable

from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.ipsec.security_association import ClientState


class OwnedIndex:
    """Finds owned clients by inbound SPI and by virtual address. Kept up to date by who owns them."""

    def __init__(self) -> None:
        self._by_inbound_spi: dict[int, ClientId] = {}
        self._by_address: dict[bytes, tuple[ClientId, ...]] = {}
        """By virtual address, packed."""

    def replace(self, client: ClientId, before: ClientState | None, after: ClientState | None) -> None:
        """A client has another state; None stands for one that is not owned."""
        old, new = _inbound_spis(before), _inbound_spis(after)
        if old != new:
            for spi in old:
                if self._by_inbound_spi.get(spi) == client:
                    del self._by_inbound_spi[spi]
            self._by_inbound_spi.update(dict.fromkeys(new, client))
        addresses, others = _addresses(before), _addresses(after)
        if addresses != others:
            for address in addresses:
                self._share(address, tuple(each for each in self._by_address[address] if each != client))
            for address in others:
                self._share(address, (*self._by_address.get(address, ()), client))

    def with_inbound_spi(self, spi: int) -> ClientId | None:
        """Inbound SPIs are chosen on the gateway's side and unique here; outbound ones may repeat."""
        return self._by_inbound_spi.get(spi)

    def with_any_address(self, addresses: Iterable[IpAddress]) -> tuple[ClientId, ...]:
        """The clients that have one of these virtual addresses, each once."""
        clients: dict[ClientId, None] = {}
        for address in addresses:
            clients.update(dict.fromkeys(self._by_address.get(address.packed, ())))
        return tuple(clients)

    def _share(self, address: bytes, clients: tuple[ClientId, ...]) -> None:
        if clients:
            self._by_address[address] = clients
        else:
            del self._by_address[address]


def _inbound_spis(state: ClientState | None) -> tuple[int, ...]:
    return tuple(child.inbound_spi for child in state.children) if state is not None else ()


def _addresses(state: ClientState | None) -> tuple[bytes, ...]:
    """Each once, as they travel."""
    if state is None:
        return ()
    return tuple(dict.fromkeys(address.packed for address in state.ike_sa.virtual_addresses))
