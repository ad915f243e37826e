"""Drivers and clients with bugs."""

from __future__ import annotations

from typing import Any

import msgspec

from gossipsa import effects
from gossipsa.effects import Effect, OutboundNumbers
from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import UNLIMITED_PACKETS, Answer, SaId, SetPacketLimit
from sim.client import Client
from sim.driver import Driver


class FromZero(Driver):
    """Installs a taken client with its sequence numbers at zero."""

    def set_numbers(self, state: ClientState, numbers: OutboundNumbers) -> list[Answer]:
        return super().set_numbers(state, msgspec.structs.replace(numbers, sent=0))


class NoFence(Driver):
    """Sets no packet limit."""

    def limit(self, outbound: SaId, numbers: OutboundNumbers) -> SetPacketLimit:
        return SetPacketLimit(id=outbound, soft=super().limit(outbound, numbers).soft, hard=UNLIMITED_PACKETS)


class NoBlock(Driver):
    """Lets ESP out as soon as the numbers of an SA are set."""

    def _finish_install(self, effect: effects.InstallClient) -> None:
        super()._finish_install(effect)
        self.unblock(effect.client)


class NoWindow(Driver):
    """Installs a taken client as if it had never sent anything."""

    def set_numbers(self, state: ClientState, numbers: OutboundNumbers) -> list[Answer]:
        return super().set_numbers(state, msgspec.structs.replace(numbers, received=0, window_bitmap=()))


class NoQuestions(Driver):
    """Claims that no IKE daemon ever answered: nothing vetoes."""

    def probe_ike(self, effect: effects.ProbeIke) -> None:
        pass


class Without(Driver):
    """Drops effects of one kind."""

    dropped: type[Effect]

    def carry_out(self, effect: Effect) -> None:
        if not isinstance(effect, self.dropped):
            super().carry_out(effect)


class Mute(Without):
    """Sends nothing over streams."""

    dropped = effects.SendFrame


class Speechless(Without):
    """Sends no redirect."""

    dropped = effects.SendIke


class Greedy(Driver):
    """Has the IKE daemon forget a client that is to be removed, and keeps its SAs and routes."""

    def take_out(self, effect: effects.RemoveClient) -> None:
        daemon = self.host.ike_daemon
        known = daemon.find(effect.client) if daemon is not None else None
        if daemon is not None and known is not None:
            daemon.forget(known)


class KeepsRoutes(Driver):
    """Never withdraws the route of a client."""

    def delete_routes(self, client: ClientId, state: ClientState) -> None:
        pass


class Rude(Driver):
    """Deletes the IKE_SA of the client that it has just taken over."""

    def activate(self, effect: effects.ActivateClient) -> None:
        super().activate(effect)
        daemon = self.host.ike_daemon
        known = daemon.find(effect.client) if daemon is not None else None
        if known is not None:
            known.session.dismiss()


class WithoutWindow(Client):
    """Takes a packet as often as it comes."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._accepted: dict[bytes, int] = {}

    def receive_esp(self, packet: bytes, source: IpAddress) -> None:
        if packet in self._accepted:
            self._world.client_received(self, source, self._accepted[packet])
            return
        received_before = self.payloads_received
        super().receive_esp(packet, source)
        if self.payloads_received > received_before:
            self._accepted[packet] = self.newest_serial
