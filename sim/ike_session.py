"""One side of one client's IKE state: a client's, or that of its gateway's IKE daemon.

As RFC 7296 has it: one request under way at a time, retransmitted until answered; a request that comes again
is answered with the cached response, whoever sends it; a message ID that is not expected is ignored. A
passive session, as an import leaves it, ignores everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import msgspec

from gossipsa.identifiers import Endpoint
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import Header
from gossipsa.ikev2.keymat import IkeKeys
from gossipsa.ikev2.message import Message, open_message, seal_message
from gossipsa.ikev2.notify import Notify, update_sa_addresses
from gossipsa.ikev2.payloads import Delete, Payload
from gossipsa.ikev2.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from gossipsa.ikev2.sa_keys import ike_keys_of
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa, IkeSpis
from sim import negotiation
from sim.virtual_clock import MILLISECOND_NS, Scheduled, VirtualClock

_RETRANSMISSION_NS = 1_000 * MILLISECOND_NS
_RETRANSMISSION_FACTOR = 1.8
_SENDINGS_MAX = 7
_STUCK_SENDINGS = 4
_RETRY_MIN_NS, _RETRY_MAX_NS = 5_000 * MILLISECOND_NS, 15_000 * MILLISECOND_NS
"""charon's RETRY_INTERVAL and RETRY_JITTER."""

_MOVING = frozenset(
    {
        NotifyType.UPDATE_SA_ADDRESSES,
        NotifyType.ADDITIONAL_IP4_ADDRESS,
        NotifyType.ADDITIONAL_IP6_ADDRESS,
        NotifyType.NO_ADDITIONAL_ADDRESSES,
    }
)


class SessionOwner(Protocol):
    """What a session needs of the client, or of the IKE daemon, that it belongs to."""

    def send_ike(self, data: bytes, remote: Endpoint) -> None: ...

    def add_child(self, session: IkeSession, child: ChildSa, *, with_outbound: bool) -> None:
        """Puts a new CHILD_SA into the kernel; without outbound, packets go on under the old one."""

    def add_outbound(self, session: IkeSession, child: ChildSa) -> None: ...

    def remove_child(self, session: IkeSession, child: ChildSa) -> None: ...

    def session_changed(self, session: IkeSession) -> None:
        """`session.state` is new."""

    def session_moved(self, session: IkeSession, remote: Endpoint) -> None:
        """The other side asked, authenticated, to be spoken to at `remote` from now on."""

    def session_dismissed(self, session: IkeSession) -> None:
        """The other side deleted the IKE_SA."""

    def session_gave_up(self, session: IkeSession) -> None:
        """A request was not answered, however often it was sent."""


@dataclass(slots=True, kw_only=True)
class _Request:
    """What is to be sent, and what its answer leads to."""

    exchange: ExchangeType
    build: Callable[[], tuple[Payload, ...] | None]
    """The payloads; None if there is nothing to ask any more."""
    complete: Callable[[Message], None]
    is_rekey: bool = False


@dataclass(slots=True, kw_only=True)
class _UnderWay:
    request: _Request
    spis: IkeSpis
    message_id: int
    data: bytes
    sendings: int = 0
    timer: Scheduled | None = None


class IkeSession:
    """One side of the SAs of one client.

    Args:
        state: as this side sees it.
    """

    def __init__(
        self,
        state: ClientState,
        *,
        owner: SessionOwner,
        clock: VirtualClock,
        random: Random,
        is_passive: bool = False,
    ) -> None:
        self.state = state
        self.is_passive = is_passive
        self._owner = owner
        self._clock = clock
        self._random = random
        self._keys: dict[IkeSpis, IkeKeys] = {}
        self._answered: dict[IkeSpis, tuple[int, bytes, bytes]] = {}
        # strongSwan repeats an answer only to the very bytes that it answered (since 5.9.7), others to any
        # request with that message ID.
        self._compares_requests = bool(random.getrandbits(1))
        self._waiting: deque[_Request] = deque(maxlen=16)
        self._under_way: _UnderWay | None = None
        self._closed = False
        self.rekeying_since_ns: int | None = None
        """Since when a CREATE_CHILD_SA of ours is under way."""

    @property
    def is_stuck(self) -> bool:
        """True if a request of ours goes unanswered: neither side can rekey until it is given up."""
        return self._under_way is not None and self._under_way.sendings >= _STUCK_SENDINGS

    # What this side wants.

    def check_peer(self) -> None:
        """Sends an empty INFORMATIONAL, unless something is under way anyway."""
        if self._under_way is None:
            self._ask(
                _Request(
                    exchange=ExchangeType.INFORMATIONAL, build=lambda: (), complete=lambda _: self._report()
                )
            )

    def rekey_child(self, outbound_spi: int) -> None:
        """Replaces a CHILD_SA; nothing happens if it is gone when its turn comes. Tries again if the other
        side rekeys something itself, as charon does.
        """
        inbound_spi = negotiation.new_esp_spi(self._random)
        nonce_i = negotiation.new_nonce(self._random)

        def build() -> tuple[Payload, ...] | None:
            old = self._child(outbound_spi)
            if old is None:
                return None
            return (
                Notify(
                    type=NotifyType.REKEY_SA,
                    protocol=ProtocolId.ESP,
                    spi=old.inbound_spi.to_bytes(negotiation.ESP_SPI_BYTES, "big"),
                ),
                negotiation.sa_payload(inbound_spi.to_bytes(negotiation.ESP_SPI_BYTES, "big")),
                negotiation.nonce_payload(nonce_i),
            )

        def complete(answer: Message) -> None:
            old = self._child(outbound_spi)
            spi = negotiation.body_of(answer.payloads, PayloadType.SA)
            if old is None or len(spi) != negotiation.ESP_SPI_BYTES:
                self._report()
                if old is not None and _has_notify(answer, NotifyType.TEMPORARY_FAILURE):
                    self._clock.after(
                        self._random.randrange(_RETRY_MIN_NS, _RETRY_MAX_NS),
                        lambda: self.rekey_child(outbound_spi),
                    )
                return
            child = negotiation.rekeyed_child(
                old,
                ike_spis=self.state.ike_sa.spis,
                inbound_spi=inbound_spi,
                outbound_spi=int.from_bytes(spi, "big"),
                nonce_i=nonce_i,
                nonce_r=negotiation.body_of(answer.payloads, PayloadType.NONCE),
                we_initiated=True,
            )
            self._set_children((*self.state.children, child))
            self._owner.add_child(self, child, with_outbound=True)
            self._report()
            self._delete_child(old)

        self._ask(
            _Request(exchange=ExchangeType.CREATE_CHILD_SA, build=build, complete=complete, is_rekey=True)
        )

    def rekey_ike(self) -> None:
        """Replaces the IKE_SA. The old one goes without a Delete."""
        spi = self._random.randbytes(negotiation.IKE_SPI_BYTES)
        nonce_i = negotiation.new_nonce(self._random)
        exchange_i = self._random.randbytes(32)

        def complete(answer: Message) -> None:
            spi_r = negotiation.body_of(answer.payloads, PayloadType.SA)
            if len(spi_r) == negotiation.IKE_SPI_BYTES:
                self._replace_ike_sa(
                    spi_i=spi,
                    spi_r=spi_r,
                    nonce_i=nonce_i,
                    nonce_r=negotiation.body_of(answer.payloads, PayloadType.NONCE),
                    exchange_i=exchange_i,
                    exchange_r=negotiation.body_of(answer.payloads, PayloadType.KE),
                    we_initiated=True,
                )
            self._report()

        payloads: tuple[Payload, ...] = (
            negotiation.sa_payload(spi),
            negotiation.nonce_payload(nonce_i),
            negotiation.exchange_payload(exchange_i),
        )
        self._ask(
            _Request(
                exchange=ExchangeType.CREATE_CHILD_SA,
                build=lambda: payloads,
                complete=complete,
                is_rekey=True,
            )
        )

    def update_addresses(self) -> None:
        """Tells the other side that this one's address is another now (RFC 4555 section 3.5)."""
        self._ask(
            _Request(
                exchange=ExchangeType.INFORMATIONAL,
                build=lambda: (update_sa_addresses(),),
                complete=lambda _: self._report(),
            )
        )

    def dismiss(self) -> None:
        """Deletes the IKE_SA, as a daemon does that is shut down in good order."""
        self._ask(
            _Request(
                exchange=ExchangeType.INFORMATIONAL,
                build=lambda: (Delete(protocol=ProtocolId.IKE),),
                complete=lambda _: None,
            )
        )

    def close(self) -> None:
        """Forgets everything without a word."""
        self._closed = True
        self._waiting.clear()
        self._finish()

    def activate(self, message_id_initiator: int) -> None:
        """Ends passivity; the next request has that message ID."""
        self.is_passive = False
        self._set_current(message_id_initiator=message_id_initiator)

    def set_remote(self, remote: Endpoint) -> None:
        """From now on the other side is there, for all IKE_SAs."""
        ike_sas = tuple(msgspec.structs.replace(ike_sa, remote=remote) for ike_sa in self.state.ike_sas)
        self.state = msgspec.structs.replace(self.state, ike_sas=ike_sas)

    def set_local(self, local: Endpoint) -> None:
        """From now on this side is there, for all IKE_SAs."""
        ike_sas = tuple(msgspec.structs.replace(ike_sa, local=local) for ike_sa in self.state.ike_sas)
        self.state = msgspec.structs.replace(self.state, ike_sas=ike_sas)

    # What arrives.

    def receive(self, header: Header, data: bytes, source: Endpoint) -> None:
        """A message with the SPIs of one of the session's IKE_SAs."""
        spis = IkeSpis(header.spi_i, header.spi_r)
        ike_sa = self._ike_sa(spis)
        if self._closed or self.is_passive or ike_sa is None:
            return
        try:
            message = open_message(data, self.keys(ike_sa))
        except IkeMessageError:
            return
        if message.is_initiator == ike_sa.we_initiated:
            return  # our own, reflected
        if message.is_response:
            self._receive_response(spis, message)
        else:
            self._receive_request(ike_sa, message, data, source)

    def knows(self, spis: IkeSpis) -> bool:
        return self._ike_sa(spis) is not None

    def keys(self, ike_sa: IkeSa) -> IkeKeys:
        """Keys of one of the session's IKE_SAs."""
        if ike_sa.spis not in self._keys:
            self._keys[ike_sa.spis] = ike_keys_of(ike_sa)
        return self._keys[ike_sa.spis]

    def _receive_response(self, spis: IkeSpis, message: Message) -> None:
        under_way = self._under_way
        if under_way is None or under_way.spis != spis or under_way.message_id != message.message_id:
            return
        self._finish()
        under_way.request.complete(message)
        self._next()

    def _receive_request(self, ike_sa: IkeSa, message: Message, data: bytes, source: Endpoint) -> None:
        spis = ike_sa.spis
        answered = self._answered.get(spis)
        if answered is not None and message.message_id == answered[0]:
            if data == answered[1] or not self._compares_requests:
                self._owner.send_ike(answered[2], source)
            return
        if spis != self.state.ike_sa.spis or message.message_id != ike_sa.message_id_responder:
            return
        self._set_current(message_id_responder=message.message_id + 1)
        before = self.state.ike_sa
        payloads = self._answer(message, source)
        if payloads is None:
            return
        answer = self._seal(before, message.exchange, message.message_id, payloads, is_response=True)
        self._answered = {spis: (message.message_id, data, answer)}
        # As charon's HA plugin has it: the message ID is told before the answer leaves.
        self._report()
        self._owner.send_ike(answer, source)

    def _answer(self, message: Message, source: Endpoint) -> tuple[Payload, ...] | None:
        if message.exchange == ExchangeType.INFORMATIONAL:
            return self._answer_informational(message, source)
        if message.exchange != ExchangeType.CREATE_CHILD_SA:
            return (Notify(type=NotifyType.INVALID_SYNTAX),)
        if self.rekeying_since_ns is not None:
            # RFC 7296 section 2.25: rekeys that cross.
            return (Notify(type=NotifyType.TEMPORARY_FAILURE),)
        if len(negotiation.body_of(message.payloads, PayloadType.SA)) == negotiation.IKE_SPI_BYTES:
            return self._answer_ike_rekey(message)
        return self._answer_child_rekey(message)

    def _answer_informational(self, message: Message, source: Endpoint) -> tuple[Payload, ...] | None:
        answer: list[Payload] = []
        for payload in message.payloads:
            if isinstance(payload, Notify) and payload.type == NotifyType.COOKIE2:
                answer.append(payload)
            elif isinstance(payload, Notify) and payload.type in _MOVING:
                if source != self.state.ike_sa.remote:
                    self._owner.session_moved(self, source)
            elif isinstance(payload, Delete) and payload.protocol == ProtocolId.IKE:
                self._owner.session_dismissed(self)
                return None
            elif isinstance(payload, Delete) and payload.protocol == ProtocolId.ESP:
                for spi in payload.spis:
                    removed = self._remove_child(int.from_bytes(spi, "big"))
                    if removed is not None:
                        own_spi = removed.inbound_spi.to_bytes(negotiation.ESP_SPI_BYTES, "big")
                        answer.append(Delete(protocol=ProtocolId.ESP, spis=(own_spi,)))
        return tuple(answer)

    def _answer_child_rekey(self, message: Message) -> tuple[Payload, ...]:
        old = None
        for payload in message.payloads:
            if isinstance(payload, Notify) and payload.type == NotifyType.REKEY_SA:
                old = self._child(int.from_bytes(payload.spi, "big"))
        spi = negotiation.body_of(message.payloads, PayloadType.SA)
        if old is None or len(spi) != negotiation.ESP_SPI_BYTES:
            return (Notify(type=NotifyType.CHILD_SA_NOT_FOUND),)
        nonce_r = negotiation.new_nonce(self._random)
        child = negotiation.rekeyed_child(
            old,
            ike_spis=self.state.ike_sa.spis,
            inbound_spi=negotiation.new_esp_spi(self._random),
            outbound_spi=int.from_bytes(spi, "big"),
            nonce_i=negotiation.body_of(message.payloads, PayloadType.NONCE),
            nonce_r=nonce_r,
            we_initiated=False,
        )
        self._set_children((*self.state.children, child))
        # The initiator deletes the old one when it has the new one: until then it cannot read under that.
        self._owner.add_child(self, child, with_outbound=False)
        return (
            negotiation.sa_payload(child.inbound_spi.to_bytes(negotiation.ESP_SPI_BYTES, "big")),
            negotiation.nonce_payload(nonce_r),
        )

    def _answer_ike_rekey(self, message: Message) -> tuple[Payload, ...]:
        spi = self._random.randbytes(negotiation.IKE_SPI_BYTES)
        nonce_r = negotiation.new_nonce(self._random)
        exchange_r = self._random.randbytes(32)
        self._replace_ike_sa(
            spi_i=negotiation.body_of(message.payloads, PayloadType.SA),
            spi_r=spi,
            nonce_i=negotiation.body_of(message.payloads, PayloadType.NONCE),
            nonce_r=nonce_r,
            exchange_i=negotiation.body_of(message.payloads, PayloadType.KE),
            exchange_r=exchange_r,
            we_initiated=False,
        )
        return (
            negotiation.sa_payload(spi),
            negotiation.nonce_payload(nonce_r),
            negotiation.exchange_payload(exchange_r),
        )

    # Requests of ours.

    def _ask(self, request: _Request) -> None:
        self._waiting.append(request)
        self._next()

    def _next(self) -> None:
        while self._under_way is None and self._waiting and not self.is_passive and not self._closed:
            request = self._waiting.popleft()
            payloads = request.build()
            if payloads is None:
                continue
            ike_sa = self.state.ike_sa
            message_id = ike_sa.message_id_initiator
            data = self._seal(ike_sa, request.exchange, message_id, payloads, is_response=False)
            self._under_way = _UnderWay(request=request, spis=ike_sa.spis, message_id=message_id, data=data)
            if request.is_rekey:
                self.rekeying_since_ns = self._clock.now_ns
            self._set_current(message_id_initiator=message_id + 1)
            self._report()
            self._transmit(self._under_way)

    def _transmit(self, under_way: _UnderWay) -> None:
        if self._under_way is not under_way:
            return
        if under_way.sendings == _SENDINGS_MAX:
            self._finish()
            self._owner.session_gave_up(self)
            self._next()
            return
        wait_ns = int(_RETRANSMISSION_NS * _RETRANSMISSION_FACTOR**under_way.sendings)
        under_way.sendings += 1
        under_way.timer = self._clock.after(wait_ns, lambda: self._transmit(under_way))
        self._owner.send_ike(under_way.data, self.state.ike_sa.remote)

    def _finish(self) -> None:
        if self._under_way is not None and self._under_way.timer is not None:
            self._under_way.timer.cancel()
        self._under_way = None
        self.rekeying_since_ns = None

    def _delete_child(self, child: ChildSa) -> None:
        own_spi = child.inbound_spi.to_bytes(negotiation.ESP_SPI_BYTES, "big")

        def complete(_: Message) -> None:
            self._remove_child(child.outbound_spi)
            self._report()

        self._ask(
            _Request(
                exchange=ExchangeType.INFORMATIONAL,
                build=lambda: (Delete(protocol=ProtocolId.ESP, spis=(own_spi,)),),
                complete=complete,
            )
        )

    # State.

    def _seal(
        self,
        ike_sa: IkeSa,
        exchange: int,
        message_id: int,
        payloads: tuple[Payload, ...],
        *,
        is_response: bool,
    ) -> bytes:
        keys = self.keys(ike_sa)
        message = Message(
            spi_i=ike_sa.spis.initiator,
            spi_r=ike_sa.spis.responder,
            exchange=exchange,
            is_initiator=ike_sa.we_initiated,
            is_response=is_response,
            message_id=message_id,
            payloads=payloads,
        )
        return seal_message(message, keys, iv=self._random.randbytes(keys.suite.iv_bytes))

    def _ike_sa(self, spis: IkeSpis) -> IkeSa | None:
        return next((ike_sa for ike_sa in self.state.ike_sas if ike_sa.spis == spis), None)

    def _child(self, outbound_spi: int) -> ChildSa | None:
        return next((child for child in self.state.children if child.outbound_spi == outbound_spi), None)

    def _remove_child(self, outbound_spi: int) -> ChildSa | None:
        child = self._child(outbound_spi)
        if child is None:
            return None
        remaining = tuple(other for other in self.state.children if other is not child)
        self._owner.remove_child(self, child)
        self._set_children(remaining)
        for other in remaining:
            self._owner.add_outbound(self, other)
        return child

    def _set_children(self, children: tuple[ChildSa, ...]) -> None:
        needed = {child.ike_spis for child in children} | {self.state.ike_sa.spis}
        ike_sas = tuple(ike_sa for ike_sa in self.state.ike_sas if ike_sa.spis in needed)
        self.state = msgspec.structs.replace(self.state, ike_sas=ike_sas, children=children)

    def _set_current(
        self, *, message_id_initiator: int | None = None, message_id_responder: int | None = None
    ) -> None:
        current = self.state.ike_sa
        if message_id_initiator is not None:
            current = msgspec.structs.replace(current, message_id_initiator=message_id_initiator)
        if message_id_responder is not None:
            current = msgspec.structs.replace(current, message_id_responder=message_id_responder)
        ike_sas = (*self.state.ike_sas[:-1], current)
        self.state = msgspec.structs.replace(self.state, ike_sas=ike_sas)

    def _replace_ike_sa(
        self,
        *,
        spi_i: bytes,
        spi_r: bytes,
        nonce_i: bytes,
        nonce_r: bytes,
        exchange_i: bytes,
        exchange_r: bytes,
        we_initiated: bool,
    ) -> None:
        old = self.state.ike_sa
        new = negotiation.rekeyed_ike_sa(
            old,
            old_sk_d=self.keys(old).sk_d,
            spi_i=spi_i,
            spi_r=spi_r,
            nonce_i=nonce_i,
            nonce_r=nonce_r,
            exchange_i=exchange_i,
            exchange_r=exchange_r,
            we_initiated=we_initiated,
        )
        self.state = msgspec.structs.replace(self.state, ike_sas=(*self.state.ike_sas, new))

    def _report(self) -> None:
        if not self._closed:
            self._owner.session_changed(self)


def _has_notify(message: Message, kind: NotifyType) -> bool:
    return any(isinstance(payload, Notify) and payload.type == kind for payload in message.payloads)
