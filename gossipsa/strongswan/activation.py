"""Makes imported IKE_SAs active. Charon only knows how to activate a whole segment.

With more than one segment, the IKE_SAs to be activated are moved into the segment with the fewest clients,
by an address borrowed for a moment, and only that one is flipped. With a single segment everything is
flipped: charon ignores all its clients for some milliseconds, and activates every passive IKE_SA.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import trio

from gossipsa.errors import IkeDaemonError
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.ipsec.security_association import IkeSa, IkeSpis
from gossipsa.strongswan.errors import CharonRefusedError
from gossipsa.strongswan.ha_codec import HaMessage, encode
from gossipsa.strongswan.ha_sender import Delivery, HaSender
from gossipsa.strongswan.import_plan import message_id_message, remote_address_message, segment_flip_messages
from gossipsa.strongswan.listing import CharonListing
from gossipsa.strongswan.sa_listing import PASSIVE
from gossipsa.strongswan.segments import borrowed_address, segment_of

_FLIPS_MAX = 3
_BLIND_REPEATS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    sa: IkeSa
    message_id_initiator: int


class Activator:
    """Activates batches of clients of one charon."""

    def __init__(self, sender: HaSender) -> None:
        self._sender = sender

    async def activate(
        self,
        activations: Sequence[Activation],
        *,
        wire_version: int,
        segment_count: int,
        other_clients: Iterable[IpAddress],
        listing: CharonListing,
    ) -> dict[IkeSpis, IkeDaemonError]:
        """Set message IDs and activate, with one flip. Return why for those that stay passive.

        Args:
            segment_count: as charon has it.
            other_clients: addresses of clients in charon that are not to be touched.

        Raises:
            CharonUnavailableError: charon is not there or does not read; some may be active.
        """
        message_ids = [message_id_message(each.sa, each.message_id_initiator) for each in activations]
        await self._send(message_ids, wire_version)
        segment = 1
        if segment_count > 1:
            segment = quietest_segment(other_clients, segment_count=segment_count)
        sas = [each.sa for each in activations]
        for _ in range(_FLIPS_MAX):
            await self._flip_only(sas, segment, segment_count=segment_count, wire_version=wire_version)
            if not await listing.is_short():
                return {}
            listed = await listing.ike_sas()
            sas = [sa for sa in sas if sa.spis in listed and listed[sa.spis].state == PASSIVE]
            if not sas:
                return {}
        error = CharonRefusedError(
            f"IKE_SA stays passive: is charon.plugins.ha.segment_count not {segment_count}?"
        )
        return {sa.spis: error for sa in sas}

    async def _flip_only(
        self, sas: Sequence[IkeSa], segment: int, *, segment_count: int, wire_version: int
    ) -> None:
        if segment_count == 1:
            await self._flip(segment, wire_version)
            return
        borrowed = borrowed_address(segment, segment_count=segment_count)
        away = [remote_address_message(sa, Endpoint(address=borrowed, port=sa.remote.port)) for sa in sas]
        back = [remote_address_message(sa, sa.remote) for sa in sas]
        try:
            await self._send(away, wire_version)
            await self._flip(segment, wire_version)
        finally:
            # An IKE_SA must not be left with an address that is not its client's.
            with trio.CancelScope(shield=True):
                await self._send(back, wire_version)

    async def _flip(self, segment: int, wire_version: int) -> None:
        datagrams = [encode(message, version=wire_version) for message in segment_flip_messages(segment)]
        # Between the two, charon ignores the clients of the segment: nothing may come between.
        with trio.CancelScope(shield=True):
            delivery = await self._sender.send_until_read(datagrams)
            if delivery is Delivery.UNKNOWN:
                await self._sender.send(datagrams[1:] * _BLIND_REPEATS)

    async def _send(self, messages: Sequence[HaMessage], wire_version: int) -> None:
        await self._sender.send_until_read([encode(message, version=wire_version) for message in messages])


def quietest_segment(clients: Iterable[IpAddress], *, segment_count: int) -> int:
    """Return the segment with the fewest clients; of several, the last."""
    loads = Counter(segment_of(address, segment_count=segment_count) for address in clients)
    return min(range(segment_count, 0, -1), key=lambda segment: loads[segment])
