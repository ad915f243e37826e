"""Kernel and IKE daemon as the installer calls them: whatever happens, there is an answer for each item."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import trio

from gossipsa import ike_daemon
from gossipsa.daemon.shared_use import SharedUse
from gossipsa.errors import IkeDaemonError, KernelError
from gossipsa.identifiers import ClientId, IpAddress
from gossipsa.ike_daemon import IkeDaemon
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import Answer, ClientRoute, Kernel, KernelSa, OutboundBlock, SaId

Item = TypeVar("Item")

IKE_TIMEOUT_S = 30.0
"""How long the IKE daemon may take for a batch. Its adapter gives up long before."""
KERNEL_TIMEOUT_S = 30.0
"""How long the kernel may take for a batch. The first SA of a cipher may load modules for seconds."""

Reasons = dict[ClientId, str]
"""Why clients failed; those that are not in it did not."""


class Backends:
    """Calls in batches, and what clients share in the kernel.

    Attributes:
        kernel, ike: as given.
    """

    def __init__(self, kernel: Kernel, ike: IkeDaemon) -> None:
        self.kernel = kernel
        self.ike = ike
        self._blocks: SharedUse[OutboundBlock] = SharedUse()
        self._routes: SharedUse[IpAddress] = SharedUse()

    def blocks_held(self) -> int:
        """Blocks that some client needs."""
        return len(self._blocks)

    async def kernel_sas(self) -> dict[SaId, KernelSa]:
        """All SAs. Raises KernelError."""
        try:
            with trio.fail_after(KERNEL_TIMEOUT_S):
                return {sa.id: sa for sa in await self.kernel.sas()}
        except trio.TooSlowError:
            raise KernelError("the kernel does not answer", errno=errno.ETIMEDOUT) from None

    async def for_clients(
        self,
        call: Callable[[Sequence[Item]], Awaitable[tuple[Answer, ...]]],
        items: Mapping[ClientId, Iterable[Item]],
    ) -> Reasons:
        """One call of the kernel for several clients. Of each client the first refusal counts."""
        flat = [(client, item) for client, of_client in items.items() for item in of_client]
        reasons: Reasons = {}
        for (client, _), answer in zip(flat, await self._call(call, [item for _, item in flat]), strict=True):
            if answer is not None:
                reasons.setdefault(client, str(answer))
        return reasons

    async def ask_ike(
        self,
        call: Callable[[Sequence[Item]], Awaitable[tuple[ike_daemon.Answer, ...]]],
        items: Mapping[ClientId, Item],
    ) -> Reasons:
        """One call of the IKE daemon, one item a client."""
        if not items:
            return {}
        answers: tuple[ike_daemon.Answer, ...]
        try:
            with trio.fail_after(IKE_TIMEOUT_S):
                answers = await call(tuple(items.values()))
        except trio.TooSlowError:
            answers = (IkeDaemonError("the IKE daemon does not answer"),) * len(items)
        except (IkeDaemonError, KernelError) as error:
            answers = (IkeDaemonError(str(error)),) * len(items)
        return {
            client: str(answer) for client, answer in zip(items, answers, strict=True) if answer is not None
        }

    async def block(self, blocks: Mapping[ClientId, tuple[OutboundBlock, ...]]) -> Reasons:
        """Block, or keep blocked. A client counts as blocked from here on, even if the kernel refused."""
        for client, of_client in blocks.items():
            self._blocks.take(client, of_client)
        return await self.for_clients(self.kernel.block_outbound, blocks)

    def expect_blocks(self, client: ClientId, blocks: Iterable[OutboundBlock]) -> None:
        """An earlier boot of ours may have made these for the client."""
        self._blocks.take(client, blocks)

    def expect_routes(self, client: ClientId, addresses: Iterable[IpAddress]) -> None:
        """The kernel has these routes, and the client needs them."""
        self._routes.take(client, addresses)

    async def unblock(self, clients: Iterable[ClientId]) -> Reasons:
        """Take away what no other client needs."""
        return await self.for_clients(
            self.kernel.unblock_outbound, {client: self._blocks.release(client) for client in clients}
        )

    async def add_routes(self, routes: Mapping[ClientId, tuple[ClientRoute, ...]]) -> Reasons:
        for client, of_client in routes.items():
            self._routes.release(client)
            self._routes.take(client, (route.virtual_address for route in of_client))
        return await self.for_clients(self.kernel.add_routes, routes)

    async def delete_routes(self, states: Mapping[ClientId, ClientState]) -> Reasons:
        """Delete routes to the virtual addresses of clients, unless another client has them now."""
        unused = {}
        for client, state in states.items():
            # After a restart of ours the kernel has routes that we do not remember.
            self._routes.take(client, state.ike_sa.virtual_addresses)
            unused[client] = self._routes.release(client)
        return await self.for_clients(self.kernel.delete_routes, unused)

    async def _call(
        self, call: Callable[[Sequence[Item]], Awaitable[tuple[Answer, ...]]], items: Sequence[Item]
    ) -> tuple[Answer, ...]:
        if not items:
            return ()
        try:
            with trio.fail_after(KERNEL_TIMEOUT_S):
                return await call(items)
        except trio.TooSlowError:
            return (KernelError("the kernel does not answer", errno=errno.ETIMEDOUT),) * len(items)
        except KernelError as error:
            return (error,) * len(items)


def without(of_clients: Mapping[ClientId, Item], reasons: Iterable[ClientId]) -> dict[ClientId, Item]:
    """What belongs to clients other than these."""
    left_out = set(reasons)
    return {client: value for client, value in of_clients.items() if client not in left_out}


def only(of_clients: Mapping[ClientId, Item], reasons: Iterable[ClientId]) -> dict[ClientId, Item]:
    """What belongs to these clients."""
    kept = set(reasons)
    return {client: value for client, value in of_clients.items() if client in kept}
