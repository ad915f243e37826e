"""Lists what charon has, by VICI."""

from __future__ import annotations

from collections.abc import Mapping

from gossipsa.ipsec.security_association import IkeSpis
from gossipsa.strongswan.sa_listing import ListedIkeSa, connections_in, ike_sas_in
from gossipsa.strongswan.vici import ViciCommands
from gossipsa.strongswan.vici_codec import ViciMessage, subsections, text

Connections = Mapping[str, frozenset[str]]
"""Connection names of charon's configuration, and the names of the children of each."""

# Charon numbers IKE_SAs from 1 up and never gets there.
_NO_UNIQUE_ID = str(2**32 - 1)


class CharonListing:
    """Questions about the state of one life of charon.

    Every method raises CharonUnavailableError when that life ends.
    """

    def __init__(self, commands: ViciCommands, *, listing_sas_max: int) -> None:
        self._commands = commands
        self._listing_sas_max = listing_sas_max

    async def ike_sas(self, *, connection: str | None = None) -> dict[IkeSpis, ListedIkeSa]:
        """List IKE_SAs, of one connection or all, waiting for those that charon works on just then.

        Charon asks the kernel about each CHILD_SA for it: dear when there are many.
        """
        found: dict[IkeSpis, ListedIkeSa] = {}

        def add(message: ViciMessage) -> None:
            found.update((sa.spis, sa) for sa in ike_sas_in(message))

        arguments = {} if connection is None else {"ike": connection}
        await self._commands.stream("list-sas", "list-sa", arguments, add)
        return found

    async def settle(self) -> None:
        """Wait until charon was once done with each IKE_SA, without listing any."""
        await self._commands.stream("list-sas", "list-sa", {"ike-id": _NO_UNIQUE_ID}, lambda _: None)

    async def ike_sa_count(self) -> int:
        """Count IKE_SAs, those not established included."""
        stats = subsections(await self._commands.request("stats"))
        count = text(stats.get("ikesas", {}), "total")
        return int(count) if count.isdecimal() else 0

    async def started_at(self) -> str:
        """Return when charon started, as it tells it: to the second."""
        stats = subsections(await self._commands.request("stats"))
        return text(stats.get("uptime", {}), "since")

    async def is_short(self) -> bool:
        """Tell whether there are so few IKE_SAs that listing all is cheap."""
        return await self.ike_sa_count() <= self._listing_sas_max

    async def connections(self) -> Connections:
        """List the connections that charon has loaded."""
        found: dict[str, frozenset[str]] = {}
        await self._commands.stream(
            "list-conns", "list-conn", {}, lambda message: found.update(connections_in(message))
        )
        return found
