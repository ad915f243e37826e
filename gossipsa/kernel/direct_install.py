"""Gateways without an IKE daemon: clients' SAs straight into the kernel, from keys derived here.

Clients come by `offer` (negotiated elsewhere) or from the mesh. Nobody answers IKE for them, so there is no
rekey.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from gossipsa.errors import GossipsaError, IkeDaemonError, KernelError
from gossipsa.identifiers import ClientId
from gossipsa.ike_daemon import (
    ActivateClient,
    Answer,
    ClientChanged,
    ClientDeleted,
    IkeDaemonEvent,
    IkeDaemonStarted,
    ImportClient,
)
from gossipsa.ipsec.security_association import ChildSa, ClientState
from gossipsa.kernel.backend import Kernel, SaId
from gossipsa.kernel.client_sas import child_sas, client_sas

__all__ = ["DirectInstall", "child_sas", "client_sas"]

_EVENTS_MAX = 4096


class DirectInstall:
    """Implements `gossipsa.ike_daemon.IkeDaemon` on a kernel alone.

    Attributes:
        active: clients that this gateway serves.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.active: dict[ClientId, None] = {}
        self._kernel = kernel
        self._sas: dict[ClientId, tuple[SaId, ...]] = {}
        self._send_event, self._events = trio.open_memory_channel[IkeDaemonEvent](_EVENTS_MAX)

    def events(self) -> trio.MemoryReceiveChannel[IkeDaemonEvent]:
        return self._events

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._send_event.send(IkeDaemonStarted(resumed=False))
        task_status.started()
        await trio.sleep_forever()

    async def offer(self, client: ClientId, state: ClientState) -> None:
        """Take a client that was negotiated elsewhere: install its SAs and announce it.

        Raises:
            IkeDaemonError: its SAs cannot be installed; none of them is then.
        """
        answer = await self._install(ImportClient(client=client, state=state))
        if answer is not None:
            raise answer
        self.active[client] = None
        await self._send_event.send(ClientChanged(client, state))

    async def withdraw(self, client: ClientId) -> None:
        """Delete a client and announce that. Raises IkeDaemonError."""
        (answer,) = await self.forget_clients([client])
        if answer is not None:
            raise answer
        await self._send_event.send(ClientDeleted(client))

    async def await_configured(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        """Without an IKE daemon there is nothing to wait for."""
        await trio.lowlevel.checkpoint()
        return (None,) * len(clients)

    async def import_clients(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        return tuple([await self._install(client) for client in clients])

    async def activate_clients(self, clients: Sequence[ActivateClient]) -> tuple[Answer, ...]:
        await trio.lowlevel.checkpoint()
        answers: list[Answer] = []
        for activation in clients:
            if activation.client in self._sas:
                self.active[activation.client] = None
                answers.append(None)
            else:
                answers.append(IkeDaemonError(f"client {activation.client.hex()} is not here"))
        return tuple(answers)

    async def forget_clients(self, clients: Sequence[ClientId]) -> tuple[Answer, ...]:
        answers: list[Answer] = []
        for client in clients:
            refused = await self._delete(self._sas.get(client, ()))
            answers.append(refused)
            if refused is None:
                self.active.pop(client, None)
                self._sas.pop(client, None)
        return tuple(answers)

    async def adopt_clients(self, clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        """Follow the clients all of whose SAs are in the kernel."""
        present = {sa.id for sa in await self._kernel.sas()}
        adopted: list[ClientId] = []
        for client in clients:
            ids = _sa_ids(client.state)
            if ids and present.issuperset(ids):
                self._sas[client.client] = ids
                self.active[client.client] = None
                adopted.append(client.client)
        return tuple(adopted)

    async def rekey_child(self, client: ClientId, child: ChildSa) -> None:
        """Always raises IkeDaemonError: without IKE there is no rekey."""
        await trio.lowlevel.checkpoint()
        raise IkeDaemonError(f"cannot rekey {child.name} of client {client.hex()}: there is no IKE daemon")

    async def _install(self, client: ImportClient) -> Answer:
        """Put a client's SAs into the kernel, all or none; those that it no longer has are deleted."""
        try:
            sas = client_sas(client.state)
        except GossipsaError as error:
            return IkeDaemonError(f"client {client.client.hex()}: {error}")
        earlier = self._sas.get(client.client, ())
        fresh = [sa for sa in sas if sa.id not in earlier]
        answers = await self._kernel.add_sas(fresh)
        refused = next((answer for answer in answers if answer is not None), None)
        if refused is not None:
            added = [sa.id for sa, answer in zip(fresh, answers, strict=True) if answer is None]
            await self._delete(tuple(added))
            return IkeDaemonError(f"client {client.client.hex()}: {refused}")
        ids = tuple(sa.id for sa in sas)
        self._sas[client.client] = ids
        return await self._delete([sa_id for sa_id in earlier if sa_id not in ids])

    async def _delete(self, ids: Sequence[SaId]) -> Answer:
        for answer in await self._kernel.delete_sas(ids):
            if isinstance(answer, KernelError):
                return IkeDaemonError(str(answer))
        return None


def _sa_ids(state: ClientState) -> tuple[SaId, ...]:
    ends = state.ike_sa
    return tuple(
        sa_id
        for child in state.children
        for sa_id in (
            SaId(child.outbound_spi, ends.remote.address),
            SaId(child.inbound_spi, ends.local.address),
        )
    )
