"""A simulated client: real keys, real ESP, and the answers of a stock IKE daemon with MOBIKE.

It obeys an authenticated address update that bears the message ID it expects, wherever that comes from, and
moves its ESP with it. It never looks for another gateway by itself. When its own
address changes, it tells its gateway.
"""

from __future__ import annotations

from random import Random
from typing import Protocol

import msgspec

from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import decode_header
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSpis
from gossipsa.kernel.backend import KernelSa, NewSa
from gossipsa.kernel.direct_install import child_sas
from gossipsa.kernel.memory_sad import Opened
from sim.ike_session import IkeSession
from sim.kernel import SimulatedKernel
from sim.virtual_clock import VirtualClock

SERIAL_BYTES = 8


class ClientWorld(Protocol):
    """What a client does to the world."""

    def send_from_client(self, client: Client, data: bytes, to: IpAddress, *, is_ike: bool) -> None: ...

    def client_received(self, client: Client, source: IpAddress, serial: int) -> None:
        """A payload came through the tunnel."""

    def client_moved(self, client: Client, source: IpAddress, destination: IpAddress) -> None: ...

    def client_dismissed(self, client: Client) -> None: ...


class Client:
    """One client, from when it is connected.

    Args:
        state: as the client sees it.
    """

    def __init__(
        self, name: str, state: ClientState, *, world: ClientWorld, clock: VirtualClock, random: Random
    ) -> None:
        self.name = name
        self.endpoint = state.ike_sa.local
        self.kernel = SimulatedKernel(random_bytes=random.randbytes)
        self.session = IkeSession(state, owner=self, clock=clock, random=random)
        self.spis_ever: set[str] = set()
        """SPIs of all SAs that it ever sent under, in hexadecimal: what has none of them is of an earlier
        connection."""
        self.is_dismissed = False
        self.gave_up = 0
        self.payloads_received = 0
        self.newest_serial = 0
        self.received_ns = clock.now_ns
        """When it last accepted an ESP packet."""
        self.heard_ns = clock.now_ns
        """When a gateway last accepted an ESP packet of its."""
        self._world = world
        self._clock = clock
        self.virtual_address = state.ike_sa.virtual_addresses[0]
        self._inner = state.children[0].remote_selectors[0].start
        for child in state.children:
            self.add_child(self.session, child, with_outbound=True)

    @property
    def gateway(self) -> IpAddress:
        """Address of the gateway that it talks to."""
        return self.session.state.ike_sa.remote.address

    def leave(self) -> None:
        """Forgets everything, as a stock client does that begins anew. Nobody is told."""
        self.is_dismissed = True
        self.session.close()

    def roam(self, endpoint: Endpoint) -> None:
        """Its address is another from now on; the gateway is told as soon as it may be."""
        children = self.session.state.children
        old = [self._sas_of(self.session, child) for child in children]
        self.endpoint = endpoint
        self.session.set_local(endpoint)
        for child, (old_outbound, old_inbound) in zip(children, old, strict=True):
            outbound, inbound = self._sas_of(self.session, child)
            self.kernel.move_sa(old_outbound.id, outbound)
            self.kernel.move_sa(old_inbound.id, inbound)
        self.session.update_addresses()

    def receive_ike(self, data: bytes, source: Endpoint) -> None:
        """An IKE message arrived."""
        try:
            header = decode_header(data)
        except IkeMessageError:
            return
        if not self.is_dismissed and self.session.knows(IkeSpis(header.spi_i, header.spi_r)):
            self.session.receive(header, data, source)

    def receive_esp(self, packet: bytes, source: IpAddress) -> None:
        """An ESP packet arrived."""
        opened = self.kernel.open_inbound(packet, destination=self.endpoint.address)
        if isinstance(opened, Opened):
            self.received_ns = self._clock.now_ns
            self.newest_serial = int.from_bytes(opened.payload[:SERIAL_BYTES], "big")
            self.payloads_received += 1
            self._world.client_received(self, source, self.newest_serial)

    def send_data(self, serial: int) -> None:
        """Sends one packet into the tunnel."""
        if self.is_dismissed:
            return
        payload = serial.to_bytes(SERIAL_BYTES, "big") + self.name.encode()
        sealed = self.kernel.seal_outbound(self._inner, payload)
        if sealed is not None:
            self._world.send_from_client(self, sealed.packet, self.gateway, is_ike=False)

    # What its session asks for.

    def send_ike(self, data: bytes, remote: Endpoint) -> None:
        self._world.send_from_client(self, data, remote.address, is_ike=True)

    def add_child(self, session: IkeSession, child: ChildSa, *, with_outbound: bool) -> None:
        outbound, inbound = self._sas_of(session, child)
        self.spis_ever.add(f"{child.outbound_spi:08x}")
        self.kernel.add_sas([inbound, outbound] if with_outbound else [inbound])

    def add_outbound(self, session: IkeSession, child: ChildSa) -> None:
        outbound, _ = self._sas_of(session, child)
        if all(sa.id != outbound.id for sa in self.kernel.sas()):
            self.kernel.add_sas([outbound])

    def remove_child(self, session: IkeSession, child: ChildSa) -> None:
        outbound, inbound = self._sas_of(session, child)
        self.kernel.delete_sas([outbound.id, inbound.id])

    def session_changed(self, session: IkeSession) -> None:
        pass

    def session_moved(self, session: IkeSession, remote: Endpoint) -> None:
        old = session.state.ike_sa.remote
        sent = {sa.id: sa for sa in self.kernel.sas()}
        children = session.state.children
        outbound = [self._sas_of(session, child)[0].id for child in children]
        session.set_remote(remote)
        for child, sa_id in zip(children, outbound, strict=True):
            if sa_id in sent:
                self._move_outbound(session, child, sent[sa_id])
        self._world.client_moved(self, old.address, remote.address)

    def session_dismissed(self, session: IkeSession) -> None:
        self.is_dismissed = True
        session.close()
        self._world.client_dismissed(self)

    def session_gave_up(self, session: IkeSession) -> None:
        # A stock client would begin anew here; this one stays, so that it is seen to be unserved.
        self.gave_up += 1

    def _move_outbound(self, session: IkeSession, child: ChildSa, old: KernelSa) -> None:
        """As charon does it: delete, and install towards the new address with the old sequence number."""
        outbound, _ = self._sas_of(session, child)
        self.kernel.delete_sas([old.id])
        self.kernel.add_sas([msgspec.structs.replace(outbound, sent=old.sent)])

    def _sas_of(self, session: IkeSession, child: ChildSa) -> tuple[NewSa, NewSa]:
        ike_sas = {ike_sa.spis: ike_sa for ike_sa in session.state.ike_sas}
        return child_sas(ike_sas[child.ike_spis], child, endpoints=session.state.ike_sa)
