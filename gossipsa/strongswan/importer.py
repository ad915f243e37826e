"""Puts clients into charon, and makes sure of it.

Charon takes HA messages in order, in one thread, and answers none. Three things make up for that: it is sent
no more than its receive buffer holds, the kernel tells whether any datagram was dropped, and VICI lists what
came of it. A client of whom anything was lost is deleted and sent again: twice the same IKE_SA in charon is
two entries, and the second one's failure takes the first one's kernel SAs away.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from gossipsa.errors import CallerError
from gossipsa.ike_daemon import Answer
from gossipsa.ipsec.security_association import ClientState, IkeSpis
from gossipsa.strongswan.errors import CharonRefusedError, CharonUnavailableError
from gossipsa.strongswan.ha_codec import HaMessage, encode
from gossipsa.strongswan.ha_sender import BURST_DATAGRAMS, Delivery, HaSender
from gossipsa.strongswan.import_plan import delete_messages, import_stages
from gossipsa.strongswan.listing import CharonListing, Connections
from gossipsa.strongswan.sa_listing import ESTABLISHED, PASSIVE, ListedIkeSa

logger = logging.getLogger(__name__)

_TRIES_MAX = 3
_LISTINGS_MAX = 4
_LISTING_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A client ready to be sent."""

    number: int
    """Its place in the batch."""
    state: ClientState
    deletes: tuple[bytes, ...]
    stages: tuple[tuple[bytes, ...], ...]

    @property
    def datagrams(self) -> int:
        return len(self.deletes) + sum(map(len, self.stages))


class Importer:
    """Imports batches of clients into one charon."""

    def __init__(self, sender: HaSender, *, message_bytes_max: int) -> None:
        self._sender = sender
        self._message_bytes_max = message_bytes_max

    async def install(
        self,
        states: Sequence[ClientState],
        *,
        wire_version: int,
        connections: Connections,
        listing: CharonListing,
    ) -> tuple[Answer, ...]:
        """Import clients, passive. Each state carries this gateway's own addresses."""
        answers: list[Answer] = [None] * len(states)
        prepared = []
        for number, state in enumerate(states):
            try:
                _check_configured(state, connections)
                prepared.append(self._prepare(number, state, wire_version))
            except CharonRefusedError as error:
                answers[number] = error
        done = 0
        all_read = True
        try:
            for chunk in _chunks(prepared):
                all_read &= await self._install_chunk(chunk, listing)
                done += len(chunk)
        except CharonUnavailableError as error:
            for client in prepared[done:]:
                answers[client.number] = error
        await self._verify(prepared[:done], answers, listing, all_read=all_read)
        return tuple(answers)

    def _prepare(self, number: int, state: ClientState, version: int) -> _Prepared:
        return _Prepared(
            number=number,
            state=state,
            deletes=self._encoded(delete_messages(state), version),
            stages=tuple(self._encoded(stage, version) for stage in import_stages(state, version=version)),
        )

    def _encoded(self, messages: Sequence[HaMessage], version: int) -> tuple[bytes, ...]:
        try:
            datagrams = tuple(encode(message, version=version) for message in messages)
        except CallerError as error:
            raise CharonRefusedError(f"client cannot be told to charon: {error}") from None
        if any(len(data) > self._message_bytes_max for data in datagrams):
            raise CharonRefusedError(
                f"client needs an HA message of more than {self._message_bytes_max} bytes; "
                "raise charon.plugins.ha.buflen"
            )
        return datagrams

    async def _install_chunk(self, chunk: Sequence[_Prepared], listing: CharonListing) -> bool:
        """Send a few clients; return whether charon is known to have read everything."""
        for attempt in range(_TRIES_MAX):
            delivery = await self._send_stages(chunk, listing)
            if delivery is not Delivery.LOST:
                return delivery is Delivery.READ
            logger.warning(
                "charon had no room for HA messages: import of %d clients, try %d", len(chunk), attempt + 1
            )
        raise CharonUnavailableError("charon has no room for HA messages")

    async def _send_stages(self, chunk: Sequence[_Prepared], listing: CharonListing) -> Delivery:
        datagrams = [data for client in chunk for data in (*client.deletes, *client.stages[0])]
        delivery = await self._sender.send(datagrams)
        going_on = list(chunk)
        for number in range(1, max(len(client.stages) for client in chunk)):
            if delivery is Delivery.LOST:
                return delivery
            going_on = [client for client in going_on if number < len(client.stages)]
            if delivery is Delivery.UNKNOWN:
                # Charon dies of an IKE_SA that replaces one without connection: see import_stages.
                listed = await listing.ike_sas()
                going_on = [client for client in going_on if _has_stage(client, number - 1, listed)]
            next_delivery = await self._sender.send(
                [data for client in going_on for data in client.stages[number]]
            )
            if next_delivery is not Delivery.READ:
                delivery = next_delivery
        return delivery

    async def _verify(
        self, sent: Sequence[_Prepared], answers: list[Answer], listing: CharonListing, *, all_read: bool
    ) -> None:
        """Wait until charon is done with what it read; enter what it did not install into `answers`."""
        unverified = list(sent)
        try:
            if all_read and not await listing.is_short():
                # The kernel tells of what is missing, when sequence numbers are set.
                await listing.settle()
                return
            for _ in range(_LISTINGS_MAX):
                listed = await listing.ike_sas()
                unverified = [client for client in unverified if _missing(client.state, listed)]
                if not unverified:
                    return
                await trio.sleep(_LISTING_PAUSE_S)
        except CharonUnavailableError as error:
            for client in unverified:
                answers[client.number] = error
            return
        for client in unverified:
            answers[client.number] = CharonRefusedError(_missing(client.state, listed))


def _check_configured(state: ClientState, connections: Connections) -> None:
    for sa in state.ike_sas:
        if sa.connection not in connections:
            raise CharonRefusedError(f"charon has no connection named {sa.connection!r}")
    children = connections[state.ike_sa.connection]
    for child in state.children:
        if child.name not in children:
            raise CharonRefusedError(
                f"connection {state.ike_sa.connection!r} of charon has no child named {child.name!r}"
            )


def _chunks(prepared: Sequence[_Prepared]) -> list[list[_Prepared]]:
    """Cut into runs that fit into charon's receive buffer, so that a loss costs one run only."""
    chunks: list[list[_Prepared]] = []
    datagrams = 0
    for client in prepared:
        if not chunks or datagrams + client.datagrams > BURST_DATAGRAMS:
            chunks.append([])
            datagrams = 0
        chunks[-1].append(client)
        datagrams += client.datagrams
    return chunks


def _has_stage(client: _Prepared, number: int, listed: Mapping[IkeSpis, ListedIkeSa]) -> bool:
    found = listed.get(client.state.ike_sas[number].spis)
    return found is not None and found.state in (PASSIVE, ESTABLISHED)


def _missing(state: ClientState, listed: Mapping[IkeSpis, ListedIkeSa]) -> str:
    """Say what charon lacks of a client; an empty text if nothing."""
    found = listed.get(state.ike_sa.spis)
    if found is None:
        return "charon did not install the IKE_SA; its log tells why"
    if found.state not in (PASSIVE, ESTABLISHED):
        return f"charon left the IKE_SA in state {found.state}; its log tells why"
    wanted = {child.inbound_spi for child in state.children}
    lacking = wanted - {child.inbound_spi for child in found.children}
    if lacking:
        spis = ", ".join(f"{spi:08x}" for spi in sorted(lacking))
        return f"charon did not install CHILD_SAs with inbound SPI {spis}; its log tells why"
    return ""
