"""One IPsec client, as small as it can be: seals, opens, and follows its gateway's state wherever it goes.

It is the original initiator of its IKE_SA and behaves as a stock strongSwan client with MOBIKE (RFC 4555):

- an INFORMATIONAL request under its own keys, with the message ID it expects and news of addresses in it,
  is answered, and from then on its ESP goes where that request came from;
- a request repeated gets the same response once more; any other message ID is ignored;
- everything that does not authenticate is dropped.

It has no way to start an IKE exchange: if its gateway's state is lost, it falls silent, and the demo fails.
No IO and no clock: the caller moves datagrams and says what time it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address

from examples.demo.client_states import SERVER
from examples.demo.inner_packet import build_inner_packet, number_in
from examples.demo.observation import ClientObservation, Move, PacketSeen
from gossipsa.identifiers import ClientId, Endpoint
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.header import NON_ESP_MARKER
from gossipsa.ikev2.message import Message, open_message, seal_message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.registry import ExchangeType, NotifyType
from gossipsa.ikev2.sa_keys import child_keys_of, ike_keys_of
from gossipsa.ipsec.esp import EspPacketError, open_esp, peek_esp, seal_esp
from gossipsa.ipsec.replay_window import ReplayVerdict, ReplayWindow
from gossipsa.ipsec.security_association import ClientState

_NAT_KEEPALIVE = b"\xff"  # RFC 3948 section 2.3
_ESP_HEADER_BYTES = 8
_NEXT_HEADER_IPV4 = 4
_WINDOW_PACKETS = 128
_U32 = 1 << 32

_ADDRESS_NEWS = frozenset(
    {
        NotifyType.UPDATE_SA_ADDRESSES,
        NotifyType.ADDITIONAL_IP4_ADDRESS,
        NotifyType.ADDITIONAL_IP6_ADDRESS,
        NotifyType.NO_ADDITIONAL_ADDRESSES,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """Bytes for a gateway's port."""

    destination: Endpoint
    data: bytes


class Client:
    """The state of one client, and what it saw.

    Args:
        client: id under which the mesh knows it.
        state: from the gateway's point of view, with one CHILD_SA.
    """

    def __init__(self, *, client: ClientId, state: ClientState) -> None:
        self.client = client
        ike_sa, (child,) = state.ike_sa, state.children
        self._spis = ike_sa.spis
        self._ike_keys = ike_keys_of(ike_sa)
        keys = child_keys_of(ike_sa, child)
        self._keys_to_gateway = keys.initiator_to_responder
        self._keys_to_client = keys.responder_to_initiator
        self._spi_to_gateway = child.inbound_spi
        self._spi_to_client = child.outbound_spi
        self._esn = child.esn
        (virtual_address,) = ike_sa.virtual_addresses
        assert isinstance(virtual_address, IPv4Address)
        self._virtual_address = virtual_address

        self.gateway = ike_sa.local
        """Who serves it now."""
        self._first_gateway = ike_sa.local
        self._sent = 0
        self._window = ReplayWindow(window_packets=_WINDOW_PACKETS, extended=child.esn)
        self._expected_message_id = ike_sa.message_id_initiator
        self._last_response = b""
        self.packets: list[PacketSeen] = []
        self.moves: list[Move] = []
        self.refused: Counter[str] = Counter()

    def next_packet(self) -> Datagram:
        """Seal the next packet for the gateway that serves the client."""
        self._sent += 1
        packet = seal_esp(
            spi=self._spi_to_gateway,
            sequence_low=self._sent % _U32,
            sequence_high=self._sent // _U32 if self._esn else None,
            keys=self._keys_to_gateway,
            payload=build_inner_packet(source=self._virtual_address, destination=SERVER, number=self._sent),
            next_header=_NEXT_HEADER_IPV4,
            # RFC 4106 section 3.1: a counter will do, as no number is used twice.
            iv=self._sent.to_bytes(self._keys_to_gateway.suite.iv_bytes, "big"),
        )
        return Datagram(destination=self.gateway, data=packet)

    def receive(self, data: bytes, *, source: Endpoint, now_ns: int) -> Datagram | None:
        """Take a datagram from the network; return the answer to it, if it gets one. Never raises."""
        if data == _NAT_KEEPALIVE:
            return None
        if data.startswith(NON_ESP_MARKER):
            return self._receive_ike(data[len(NON_ESP_MARKER) :], source, now_ns)
        self._receive_esp(data, source, now_ns)
        return None

    def observation(self) -> ClientObservation:
        """What the client saw so far."""
        return ClientObservation(
            client=self.client.hex(),
            first_gateway=self._first_gateway,
            packets=tuple(self.packets),
            moves=tuple(self.moves),
            refused=dict(self.refused),
        )

    def _receive_esp(self, data: bytes, source: Endpoint, now_ns: int) -> None:
        try:
            header = peek_esp(data)
            if header.spi != self._spi_to_client:
                self.refused["unknown SPI"] += 1
                return
            sequence = self._window.infer_sequence(header.sequence_low)
            if sequence is None:
                self.refused["impossible sequence number"] += 1
                return
            # A receiver would ask its window first; here a repeated number is evidence if it authenticates.
            packet = open_esp(
                data, self._keys_to_client, sequence_high=sequence // _U32 if self._esn else None
            )
        except EspPacketError:
            self.refused["ESP does not authenticate"] += 1
            return
        iv_end = _ESP_HEADER_BYTES + self._keys_to_client.suite.iv_bytes
        self.packets.append(
            PacketSeen(
                at_ns=now_ns,
                gateway=source,
                spi=header.spi,
                sequence=sequence,
                iv=data[_ESP_HEADER_BYTES:iv_end],
            )
        )
        verdict = self._window.check(sequence)
        if verdict is not ReplayVerdict.FRESH:
            self.refused[f"sequence number: {verdict.value}"] += 1
            return
        self._window = self._window.accept(sequence)
        number = number_in(packet.payload)
        if number is None or not 1 <= number <= self._sent:
            self.refused["not an echo of ours"] += 1

    def _receive_ike(self, data: bytes, source: Endpoint, now_ns: int) -> Datagram | None:
        try:
            request = open_message(data, self._ike_keys)
        except IkeMessageError:
            self.refused["IKE does not authenticate"] += 1
            return None
        if (request.spi_i, request.spi_r) != (self._spis.initiator, self._spis.responder):
            self.refused["IKE SPIs of another SA"] += 1
            return None
        if request.is_initiator or request.is_response or request.exchange != ExchangeType.INFORMATIONAL:
            self.refused["IKE message that is no INFORMATIONAL request"] += 1
            return None
        # RFC 7296 section 2.3: the window size is 1, so only the last response can be asked for again.
        if self._last_response and request.message_id == self._expected_message_id - 1:
            return Datagram(destination=source, data=self._last_response)
        if request.message_id != self._expected_message_id:
            self.refused["unexpected message ID"] += 1
            return None
        self._last_response = NON_ESP_MARKER + self._respond(request)
        self._expected_message_id += 1
        notifies = [payload for payload in request.payloads if isinstance(payload, Notify)]
        if source != self.gateway and any(notify.type in _ADDRESS_NEWS for notify in notifies):
            self.moves.append(Move(at_ns=now_ns, origin=self.gateway, destination=source))
            self.gateway = source
        return Datagram(destination=source, data=self._last_response)

    def _respond(self, request: Message) -> bytes:
        response = Message(
            spi_i=self._spis.initiator,
            spi_r=self._spis.responder,
            exchange=request.exchange,
            is_initiator=True,
            is_response=True,
            message_id=request.message_id,
            # RFC 4555 section 3.7: a COOKIE2 goes back as it came. Nothing else needs an answer.
            payloads=tuple(
                payload
                for payload in request.payloads
                if isinstance(payload, Notify) and payload.type == NotifyType.COOKIE2
            ),
        )
        # Responses are the only IKE messages of this side, one a message ID: the IV repeats only if they do.
        return seal_message(
            response,
            self._ike_keys,
            iv=request.message_id.to_bytes(self._ike_keys.suite.iv_bytes, "big"),
        )
