"""What gossipsa asks of the IKE daemon beside it. `strongswan/` speaks it to charon.

Batches answer per client, in order: None for done, an IkeDaemonError for refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import trio

from gossipsa.errors import IkeDaemonError
from gossipsa.identifiers import ClientId
from gossipsa.inputs import ClientChanged, ClientDeleted, IkeDaemonStarted, IkeDaemonStopped
from gossipsa.ipsec.security_association import ChildSa, ClientState

__all__ = [
    "ActivateClient",
    "Answer",
    "ClientChanged",
    "ClientDeleted",
    "IkeDaemon",
    "IkeDaemonEvent",
    "IkeDaemonStarted",
    "IkeDaemonStopped",
    "ImportClient",
]


IkeDaemonEvent = ClientChanged | ClientDeleted | IkeDaemonStarted | IkeDaemonStopped


class ImportClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client to put into the IKE daemon, passive: installed in the kernel, answering nothing yet.

    The adapter keeps following the client under the same id. `state` carries this gateway's own addresses.
    """

    client: ClientId
    state: ClientState


class ActivateClient(msgspec.Struct, frozen=True, kw_only=True):
    """Lets the IKE daemon answer for an imported client."""

    client: ClientId
    message_id_initiator: int
    """Message ID of the next request of the gateway."""


Answer = IkeDaemonError | None


class IkeDaemon(Protocol):
    """An IKE daemon that can give and take the state of its clients."""

    def events(self) -> trio.MemoryReceiveChannel[IkeDaemonEvent]: ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follows the daemon until cancelled; survives its restarts."""

    async def await_configured(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]:
        """Waits until a daemon that has just started is configured for these clients.

        Nothing is to be taken from the kernel for a client before: that would prolong its outage by the wait.
        """

    async def import_clients(self, clients: Sequence[ImportClient]) -> tuple[Answer, ...]: ...

    async def activate_clients(self, clients: Sequence[ActivateClient]) -> tuple[Answer, ...]: ...

    async def forget_clients(self, clients: Sequence[ClientId]) -> tuple[Answer, ...]:
        """Drops clients from the daemon without telling them (no DELETE)."""

    async def adopt_clients(self, clients: Sequence[ImportClient]) -> tuple[ClientId, ...]:
        """After our own restart: follow clients that the running daemon holds already.

        Returns those of `clients` that it really holds.
        """

    async def rekey_child(self, client: ClientId, child: ChildSa) -> None:
        """Asks for a rekey of one CHILD_SA. Raises IkeDaemonError."""
