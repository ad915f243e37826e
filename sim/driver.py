"""Carries out the effects of one process on its simulated host: takes time, may be cut off half-way.

What concerns one client is done in order; clients do not wait for each other. A step that was begun and
whose process dies stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gossipsa import effects, inputs
from gossipsa.daemon.client_parts import client_routes, outbound_blocks
from gossipsa.daemon.shared_use import SharedUse
from gossipsa.effects import Effect, OutboundNumbers
from gossipsa.identifiers import ClientId, Endpoint, Epoch, IpAddress
from gossipsa.ikev2.liveness import KEY_EXCHANGE_BYTES, NONCE_BYTES_MIN, encode_liveness_probe
from gossipsa.ipsec.lanes import CREATOR_REKEY, SHARED_FIRST
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import (
    Answer,
    OutboundBlock,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from gossipsa.kernel.direct_install import client_sas
from gossipsa.kernel.memory_sad import Operation
from gossipsa.wire.trust import decode_trust_list
from sim.host import Host
from sim.process import Process
from sim.virtual_clock import MICROSECOND_NS, MILLISECOND_NS

T = TypeVar("T")

_STEP_MIN_NS = 300 * MICROSECOND_NS
_STEP_MAX_NS = 8 * MILLISECOND_NS
_PAUSED_NS = 5 * MILLISECOND_NS
_NATT_PORT = 4500


class Driver:
    """The driver of one process. Bugs are planted by overriding its methods."""

    def __init__(self, host: Host, *, boot: int) -> None:
        self.host = host
        self.process: Process
        self._clock = host.clock
        self._random = host.random_stream("driver", boot)
        self._free_at_ns: dict[ClientId, int] = {}
        self._begun: set[ClientId] = set()
        self._blocks: SharedUse[OutboundBlock] = SharedUse()
        self._routes: SharedUse[IpAddress] = SharedUse()

    def carry_out(self, effect: Effect) -> None:
        """Begins an effect."""
        match effect:
            case effects.SendDatagram():
                self.host.send_mesh(effect.destination, effect.data)
            case effects.SendFrame():
                self.host.send_frame(effect.destination, effect.data)
            case effects.OpenStream() | effects.CloseStream():
                # Streams of the simulated network are there when they are needed.
                pass
            case effects.RememberTrust():
                self.host.trust = decode_trust_list(effect.trust_list)
            case effects.RememberMembers():
                self.host.members = effect.endpoints
            case effects.ProbeIke():
                self.probe_ike(effect)
            case effects.SendIke():
                self.host.send_ike_message(effect.source, effect.destination, effect.data)
            case effects.InstallClient():
                self._in_order(effect.client, lambda: self._begin_install(effect))
                self._in_order(effect.client, lambda: self._finish_install(effect))
            case effects.ActivateClient():
                self._in_order(effect.client, lambda: self.activate(effect))
            case effects.RemoveClient():
                self._in_order(effect.client, lambda: self._remove(effect))
            case effects.RestoreClient():
                self._in_order(effect.client, lambda: self._restore(effect))
            case effects.AdoptClients():
                self._clock.after(self._step_ns(), lambda: self._adopt(effect))
            case effects.FenceCreator():
                self._in_order(effect.client, lambda: self._fence_creator(effect))
            case effects.MoveNumbers():
                self._in_order(effect.client, lambda: self._move_numbers(effect))
            case effects.CloseWindow():
                self._in_order(effect.client, lambda: self._close_window(effect))
            case effects.RouteClient():
                self._in_order(effect.client, lambda: self._route(effect))
            case effects.RekeyChild():
                self._in_order(effect.client, lambda: self._rekey_child(effect))
            case effects.Report():
                self._report(effect)
            case _:
                raise AssertionError(f"unknown effect {type(effect).__name__}")

    # One effect each.

    def probe_ike(self, effect: effects.ProbeIke) -> None:
        """Asks for a sign of life."""
        spi = self._random.randbytes(8)
        probe = encode_liveness_probe(
            spi_i=spi,
            key_exchange=self._random.randbytes(KEY_EXCHANGE_BYTES),
            nonce=self._random.randbytes(NONCE_BYTES_MIN),
        )
        self.host.expect_sign_of_life(spi, effect.gateway)
        self.host.send_ike_message(
            Endpoint(self.host.ike_address, _NATT_PORT), Endpoint(effect.address, _NATT_PORT), probe
        )

    def _begin_install(self, effect: effects.InstallClient) -> None:
        host, kernel = self.host, self.host.kernel
        if host.ike_daemon is None:
            self._fail(effect.client, effect.epoch, "the IKE daemon is down")
            return
        present = host.ike_daemon.find_by_ike_sas(effect.state)
        if present is not None and not present.session.is_passive:
            self._fail(effect.client, effect.epoch, "the IKE daemon serves this client")
            return
        if present is not None:
            # Left behind by an earlier process of ours.
            self._take_out(present.client, present.state)
        refused = self._refused([self.block(effect.client, effect.state)])
        if refused is not None:
            self.unblock(effect.client)
            self._fail(effect.client, effect.epoch, refused)
            return
        host.ike_daemon.import_client(
            effect.client, effect.state, is_passive=True, follower=self.process.boot
        )
        refused = self._refused([self._ask(Operation.ADD_SAS, kernel.add_sas, client_sas(effect.state))])
        if refused is not None:
            self._take_out(effect.client, effect.state)
            self._fail(effect.client, effect.epoch, refused)
            return
        self._begun.add(effect.client)

    def _finish_install(self, effect: effects.InstallClient) -> None:
        if effect.client not in self._begun:
            return
        self._begun.remove(effect.client)
        refused = self._refused([self.set_numbers(effect.state, each) for each in effect.numbers])
        if refused is not None:
            self._take_out(effect.client, effect.state)
            self._fail(effect.client, effect.epoch, refused)
            return
        self.process.feed(inputs.ClientInstalled(client=effect.client, epoch=effect.epoch))

    def block(self, client: ClientId, state: ClientState) -> tuple[Answer, ...]:
        """Lets nothing out to the client."""
        blocks = outbound_blocks(state)
        self._blocks.take(client, blocks)
        return self._ask(Operation.BLOCK_OUTBOUND, self.host.kernel.block_outbound, blocks)

    def unblock(self, client: ClientId) -> None:
        """Ends the block, unless another record of the client needs it."""
        self.host.kernel.unblock_outbound(self._blocks.release(client))

    def set_numbers(self, state: ClientState, numbers: OutboundNumbers) -> list[Answer]:
        """Sets the sequence numbers of a CHILD_SA that was just installed."""
        ike_sa = state.ike_sa
        kernel = self.host.kernel
        outbound = SaId(numbers.outbound_spi, ike_sa.remote.address)
        inbound = SaId(numbers.inbound_spi, ike_sa.local.address)
        return [
            *self._ask(
                Operation.SET_PACKET_LIMITS, kernel.set_packet_limits, [self.limit(outbound, numbers)]
            ),
            *self._ask(
                Operation.SET_NUMBERS,
                kernel.set_numbers,
                [
                    SetNumbers(id=outbound, sent=numbers.sent),
                    SetNumbers(id=inbound, received=numbers.received, window_bitmap=numbers.window_bitmap),
                ],
            ),
        ]

    def limit(self, outbound: SaId, numbers: OutboundNumbers) -> SetPacketLimit:
        """The fence of an outbound SA; the kernel tells when three quarters are used up."""
        soft = numbers.packet_limit - (numbers.packet_limit - numbers.sent) // 4
        return SetPacketLimit(id=outbound, soft=soft, hard=numbers.packet_limit)

    def activate(self, effect: effects.ActivateClient) -> None:
        """The client answered: IKE daemon, block and route follow."""
        daemon = self.host.ike_daemon
        known = daemon.find(effect.client) if daemon is not None else None
        if known is None:
            self._fail(effect.client, effect.epoch, "the IKE daemon does not have the client")
            return
        known.session.activate(effect.message_id_initiator)
        known.told = known.state
        self.unblock(effect.client)
        self._add_routes(effect.client, effect.state)
        self.process.feed(inputs.ClientActivated(client=effect.client, epoch=effect.epoch))

    def _remove(self, effect: effects.RemoveClient) -> None:
        spis = {child.inbound_spi for child in effect.state.children}
        counters = tuple(entry for entry in self.host.read_counters() if entry.inbound_spi in spis)
        self.take_out(effect)
        self.process.feed(inputs.ClientRemoved(client=effect.client, epoch=effect.epoch, counters=counters))

    def take_out(self, effect: effects.RemoveClient) -> None:
        """Deletes everything of a client."""
        self._take_out(effect.client, effect.state)

    def _take_out(self, client: ClientId, state: ClientState) -> None:
        host = self.host
        known = host.ike_daemon.find(client) if host.ike_daemon is not None else None
        states = [state] if known is None else [state, known.state]
        host.kernel.delete_sas([sa.id for each in states for sa in client_sas(each)])
        if known is not None and host.ike_daemon is not None:
            host.ike_daemon.forget(known)
        self.delete_routes(client, state)
        # An earlier process may have left a block that we do not remember.
        self._blocks.take(client, outbound_blocks(state))
        self.unblock(client)

    def _restore(self, effect: effects.RestoreClient) -> None:
        """The kernel's SAs are still there, with their numbers; only the daemon needs its state back."""
        daemon = self.host.ike_daemon
        present = {sa.id for sa in self.host.kernel.sas()}
        if daemon is None or not present.issuperset(sa.id for sa in client_sas(effect.state)[::2]):
            self._fail(effect.client, effect.epoch, "no IKE daemon, or the kernel lost the SAs")
            return
        if daemon.find_by_ike_sas(effect.state) is None:
            daemon.import_client(effect.client, effect.state, is_passive=False, follower=self.process.boot)
        self.process.feed(inputs.ClientRestored(client=effect.client, epoch=effect.epoch))

    def _adopt(self, effect: effects.AdoptClients) -> None:
        if not self.process.is_alive:
            return
        host = self.host
        adopted, absent, late = [], [], []
        kernel = {sa.id for sa in host.kernel.sas()}
        routed = frozenset(host.kernel.routes())
        for client, state in effect.clients:
            known = host.ike_daemon.find_by_ike_sas(state) if host.ike_daemon is not None else None
            in_kernel = known is not None and any(sa.id in kernel for sa in client_sas(known.state)[::2])
            if known is None or known.session.is_passive or not in_kernel:
                absent.append(client)
                continue
            adopted.append(client)
            self._routes.take(client, routed.intersection(state.ike_sa.virtual_addresses))
            known.client = client
            known.told = state
            known.follower = self.process.boot
            if known.state != state:
                late.append(known)
        spis = {
            child.outbound_spi
            for known in (host.ike_daemon or ())
            if known.client in adopted
            for child in known.state.children
        }
        counters = tuple(entry for entry in host.read_counters() if entry.outbound_spi in spis)
        self.process.feed(
            inputs.ClientsAdopted(clients=tuple(adopted), absent=tuple(absent), counters=counters)
        )
        for known in late:
            host.client_changed(known)
        self._settle_unknown()

    def _settle_unknown(self) -> None:
        """As the adapter does: what was half imported goes, and other clients without a record become new."""
        daemon, boot = self.host.ike_daemon, self.process.boot
        for known in tuple(daemon or ()):
            if known.follower == boot or daemon is None:
                continue
            if known.session.is_passive:
                self._take_out(known.client, known.state)
            else:
                daemon.resynchronise(known, follower=boot)

    def _fence_creator(self, effect: effects.FenceCreator) -> None:
        remote = effect.state.ike_sa.remote.address
        self.host.kernel.set_packet_limits(
            [
                SetPacketLimit(id=SaId(spi, remote), soft=CREATOR_REKEY, hard=SHARED_FIRST)
                for spi in effect.outbound_spis
            ]
        )

    def _move_numbers(self, effect: effects.MoveNumbers) -> None:
        numbers = effect.numbers
        outbound = SaId(numbers.outbound_spi, effect.state.ike_sa.remote.address)
        kernel = self.host.kernel
        current = next((sa for sa in kernel.sas() if sa.id == outbound), None)
        if current is None:
            return
        sent = max(numbers.sent, current.sent)
        moved = msgspec.structs.replace(numbers, sent=sent)
        limit = [self.limit(outbound, moved)]
        refused = self._refused([self._ask(Operation.SET_PACKET_LIMITS, kernel.set_packet_limits, limit)])
        if refused is None:
            numbers_set = [SetNumbers(id=outbound, sent=sent)]
            refused = self._refused([self._ask(Operation.SET_NUMBERS, kernel.set_numbers, numbers_set)])
        if refused is not None:
            self.host.note(f"move-numbers-refused {refused}")

    def _close_window(self, effect: effects.CloseWindow) -> None:
        local = effect.state.ike_sa.local.address
        self.host.kernel.set_numbers(
            [
                SetNumbers(
                    id=SaId(entry.inbound_spi, local),
                    received=entry.received,
                    window_bitmap=entry.window_bitmap,
                )
                for entry in effect.counters
            ]
        )

    def _route(self, effect: effects.RouteClient) -> None:
        if effect.present:
            self._add_routes(effect.client, effect.state)
        else:
            self.delete_routes(effect.client, effect.state)

    def _add_routes(self, client: ClientId, state: ClientState) -> None:
        routes = client_routes(state)
        self._routes.release(client)
        self._routes.take(client, (route.virtual_address for route in routes))
        self.host.kernel.add_routes(routes)

    def delete_routes(self, client: ClientId, state: ClientState) -> None:
        """Deletes routes to the client, unless another record of it has them now."""
        self._routes.take(client, state.ike_sa.virtual_addresses)
        self.host.kernel.delete_routes(self._routes.release(client))

    def _rekey_child(self, effect: effects.RekeyChild) -> None:
        daemon = self.host.ike_daemon
        known = daemon.find(effect.client) if daemon is not None else None
        if known is not None:
            known.session.rekey_child(effect.outbound_spi)

    def _report(self, effect: effects.Report) -> None:
        about = f" {effect.gateway}" if effect.gateway is not None else ""
        detail = f" {effect.detail}" if effect.detail else ""
        client = f" client={effect.client.hex()[:8]}" if effect.client is not None else ""
        self.host.note(f"{effect.event}{about}{detail}{client}")

    # How.

    def _in_order(self, client: ClientId, step: Callable[[], None]) -> None:
        """Runs a step of a client after those that were asked for before, if the process lives then."""
        at_ns = max(self._clock.now_ns, self._free_at_ns.get(client, 0)) + self._step_ns()
        self._free_at_ns[client] = at_ns

        def run() -> None:
            if self.process.is_running:
                step()
            elif self.process.is_alive:
                self._clock.after(_PAUSED_NS, run)

        self._clock.at(at_ns, run)

    def _step_ns(self) -> int:
        return self._random.randrange(_STEP_MIN_NS, _STEP_MAX_NS)

    def _fail(self, client: ClientId, epoch: Epoch, reason: str) -> None:
        self.process.feed(inputs.ClientFailed(client=client, epoch=epoch, reason=reason))

    def _ask(
        self, operation: Operation, call: Callable[[Sequence[T]], tuple[Answer, ...]], items: Sequence[T]
    ) -> tuple[Answer, ...]:
        """Asks the kernel, which may refuse for reasons of its own."""
        waiting = self.host.refusals.get(operation)
        for _ in items if waiting else ():
            if waiting:
                self.host.kernel.refuse_next(operation, waiting.popleft())
        return call(items)

    @staticmethod
    def _refused(batches: Sequence[Sequence[Answer]]) -> str | None:
        return next((str(answer) for batch in batches for answer in batch if answer is not None), None)
