"""A simulated IKE daemon of a gateway: what charon does, as far as gossipsa can tell."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Protocol

import msgspec

from gossipsa.identifiers import BootId, ClientId, Endpoint, IpAddress
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import Header, decode_header
from gossipsa.ikev2.message import Message, encode_message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.registry import ExchangeType, NotifyType
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSpis
from gossipsa.kernel.backend import NewSa
from gossipsa.kernel.direct_install import child_sas
from sim import negotiation
from sim.ike_session import IkeSession
from sim.kernel import SimulatedKernel
from sim.virtual_clock import VirtualClock

CLIENT_ID_BYTES = 16


class DaemonWorld(Protocol):
    """What the daemon does to its host."""

    def send_ike_message(self, source: Endpoint, destination: Endpoint, data: bytes) -> None: ...

    def client_changed(self, daemon_session: DaemonSession) -> None:
        """Told to gossipsa, if it runs."""

    def client_deleted(self, daemon_session: DaemonSession) -> None: ...


class DaemonSession:
    """One client of the daemon. `client` is what gossipsa calls it."""

    def __init__(self, client: ClientId) -> None:
        self.client = client
        self.session: IkeSession
        self.told: ClientState | None = None
        """What gossipsa knows of it; None until it was told of it at all."""
        self.follower: BootId | None = None
        """The boot of gossipsa that follows it: events of other sessions are not understood."""
        self.untold_spis: frozenset[int] = frozenset()
        """Inbound SPIs of CHILD_SAs that the follower cannot know: made before it followed."""

    @property
    def state_told(self) -> ClientState:
        """What the follower can know of `state`."""
        children = tuple(child for child in self.state.children if child.inbound_spi not in self.untold_spis)
        return msgspec.structs.replace(self.state, children=children)

    @property
    def state(self) -> ClientState:
        return self.session.state

    @property
    def name(self) -> str:
        return negotiation.client_name(self.session.state)


class SimulatedIkeDaemon:
    """Lives as long as its process; the SAs that it put into the kernel outlive it."""

    def __init__(
        self, *, world: DaemonWorld, kernel: SimulatedKernel, clock: VirtualClock, random: Random
    ) -> None:
        self._world = world
        self._kernel = kernel
        self._clock = clock
        self._random = random
        self._sessions: list[DaemonSession] = []
        self._stopped = False

    def __iter__(self) -> Iterator[DaemonSession]:
        return iter(self._sessions)

    def find(self, client: ClientId) -> DaemonSession | None:
        return next((session for session in self._sessions if session.client == client), None)

    def find_by_ike_sas(self, state: ClientState) -> DaemonSession | None:
        """The session that shares an IKE_SA with `state`, however often it was rekeyed since."""
        for known in self._sessions:
            if any(known.session.knows(ike_sa.spis) for ike_sa in state.ike_sas):
                return known
        return None

    def connect(
        self, name: str, *, local: Endpoint, remote: Endpoint, virtual_address: IpAddress
    ) -> ClientState:
        """A client connects. Returns the state as the client sees it."""
        state = negotiation.new_client_state(
            client=name, local=local, remote=remote, virtual_address=virtual_address, random=self._random
        )
        added = self._add(ClientId(self._random.randbytes(CLIENT_ID_BYTES)), state, is_passive=False)
        self._kernel.add_sas(list(reversed(self._sas(added.session, state.children[0]))))
        self._world.client_changed(added)
        return negotiation.mirrored(state)

    def import_client(
        self, client: ClientId, state: ClientState, *, is_passive: bool, follower: BootId
    ) -> DaemonSession:
        """Takes a client over from elsewhere. Its SAs are the caller's to install."""
        added = self._add(client, state, is_passive=is_passive)
        added.told = state
        added.follower = follower
        return added

    def resynchronise(self, known: DaemonSession, *, follower: BootId) -> None:
        """Tells a new follower of a client that it has no record of, which is a new client to it.

        CHILD_SAs cannot be told again, and are rekeyed for that: nobody was ever granted their numbers.
        """
        known.client = ClientId(self._random.randbytes(CLIENT_ID_BYTES))
        known.follower = follower
        known.told = None
        known.untold_spis = frozenset(child.inbound_spi for child in known.state.children)
        for child in known.state.children:
            known.session.rekey_child(child.outbound_spi)

    def forget(self, known: DaemonSession) -> None:
        """Drops a client without telling it."""
        known.session.close()
        self._sessions.remove(known)

    def stop(self) -> None:
        """The process dies."""
        self._stopped = True
        for known in self._sessions:
            known.session.close()

    def receive(self, data: bytes, source: Endpoint, destination: Endpoint) -> None:
        """A message arrived at the IKE port."""
        try:
            header = decode_header(data)
        except IkeMessageError:
            return
        if header.exchange == ExchangeType.IKE_SA_INIT:
            if not header.is_response:
                self._refuse(header, source, destination)
            return
        spis = IkeSpis(header.spi_i, header.spi_r)
        for known in self._sessions:
            if known.session.knows(spis):
                known.session.receive(header, data, source)
                return

    # What its sessions ask for.

    def send_ike(self, data: bytes, remote: Endpoint) -> None:
        spis = decode_header(data)
        for known in self._sessions:
            if known.session.knows(IkeSpis(spis.spi_i, spis.spi_r)):
                self._world.send_ike_message(known.state.ike_sa.local, remote, data)
                return

    def add_child(self, session: IkeSession, child: ChildSa, *, with_outbound: bool) -> None:
        outbound, inbound = self._sas(session, child)
        self._kernel.add_sas([inbound, outbound] if with_outbound else [inbound])

    def add_outbound(self, session: IkeSession, child: ChildSa) -> None:
        outbound, _ = self._sas(session, child)
        if all(sa.id != outbound.id for sa in self._kernel.sas()):
            self._kernel.add_sas([outbound])

    def remove_child(self, session: IkeSession, child: ChildSa) -> None:
        outbound, inbound = self._sas(session, child)
        self._kernel.delete_sas([outbound.id, inbound.id])

    def session_changed(self, session: IkeSession) -> None:
        if not self._stopped:
            self._world.client_changed(self._of(session))

    def session_moved(self, session: IkeSession, remote: Endpoint) -> None:
        children = session.state.children
        old = [self._sas(session, child) for child in children]
        session.set_remote(remote)
        for child, (old_outbound, old_inbound) in zip(children, old, strict=True):
            outbound, inbound = self._sas(session, child)
            self._kernel.move_sa(old_outbound.id, outbound)
            self._kernel.move_sa(old_inbound.id, inbound)

    def session_dismissed(self, session: IkeSession) -> None:
        self._delete(session)

    def session_gave_up(self, session: IkeSession) -> None:
        # As charon has it: the peer is dead, everything of it goes.
        self._delete(session)

    def _delete(self, session: IkeSession) -> None:
        known = self._of(session)
        for child in session.state.children:
            self.remove_child(session, child)
        self.forget(known)
        self._world.client_deleted(known)

    def _add(self, client: ClientId, state: ClientState, *, is_passive: bool) -> DaemonSession:
        added = DaemonSession(client)
        added.session = IkeSession(
            state, owner=self, clock=self._clock, random=self._random, is_passive=is_passive
        )
        self._sessions.append(added)
        return added

    def _of(self, session: IkeSession) -> DaemonSession:
        return next(known for known in self._sessions if known.session is session)

    def _refuse(self, header: Header, source: Endpoint, destination: Endpoint) -> None:
        answer = Message(
            spi_i=header.spi_i,
            spi_r=bytes(8),
            exchange=ExchangeType.IKE_SA_INIT,
            is_initiator=False,
            is_response=True,
            message_id=0,
            payloads=(Notify(type=NotifyType.NO_PROPOSAL_CHOSEN),),
        )
        self._world.send_ike_message(destination, source, encode_message(answer))

    def _sas(self, session: IkeSession, child: ChildSa) -> tuple[NewSa, NewSa]:
        ike_sas = {ike_sa.spis: ike_sa for ike_sa in session.state.ike_sas}
        return child_sas(ike_sas[child.ike_spis], child, endpoints=session.state.ike_sa)
