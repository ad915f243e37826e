"""Telling a client that its gateway has moved: one INFORMATIONAL under the existing keys, and its answer.

The request carries UPDATE_SA_ADDRESSES and COOKIE2 (RFC 4555 sections 4.2.1 and 4.2.5). A client that
supports MOBIKE moves its IKE_SA and all CHILD_SAs to where the request came from, and echoes the cookie: an
answer that does not was meant for a request of the dead gateway with the same message ID.

Which message ID the client expects is known but for one (RFC 7296 section 2.3: a window of one request). It
is n, the next one of the record; n - 1, if the last request of the dead gateway never arrived, as when it
lost its way to its clients first and asked them whether they live; n + 1, if it sent a request that it could
not report. A client ignores any other, or repeats its cached response, and neither changes its state. A
cached response tells which one it expects: the one after that.

A client may obey and not be heard. It is told again after a while, and expects by then what follows the last
request that it took: what one exchange learnt goes into the next, which begins with the highest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gossipsa.effects import SendIke
from gossipsa.identifiers import Endpoint, IpAddress
from gossipsa.ikev2.errors import IkeMessageError
from gossipsa.ikev2.message import Message, open_message, seal_message
from gossipsa.ikev2.notify import Notify, cookie2, update_sa_addresses
from gossipsa.ikev2.registry import ExchangeType, NotifyType
from gossipsa.ikev2.sa_keys import ike_keys_of
from gossipsa.ipsec.security_association import ClientState
from gossipsa.settings import TakeoverSettings

COOKIE_BYTES = 16
_NATT_PORT = 4500
_IKE_PORT = 500


def local_endpoint(remote: Endpoint, address: IpAddress, *, ike_port: int) -> Endpoint:
    """Where a redirect comes from: the port that the client talks to (RFC 3947: 4500 once it floated)."""
    return Endpoint(address, _IKE_PORT if remote.port == _IKE_PORT and ike_port == _NATT_PORT else ike_port)


class Redirect:
    """The exchange with one client: what to send when, and whether it was answered.

    Args:
        local: our own endpoint, the client's new gateway.
        entropy: returns that many fresh random bytes, for IVs and the cookie.
        message_ids: which to try in this order, above; None for what a dead gateway's client may expect.
        earlier: an exchange of ours with the same IKE_SA that was given up.

    Raises:
        CallerError: keys cannot be derived from the record.
    """

    def __init__(
        self,
        state: ClientState,
        *,
        local: Endpoint,
        settings: TakeoverSettings,
        entropy: Callable[[int], bytes],
        message_ids: Sequence[int] | None = None,
        earlier: Redirect | None = None,
    ) -> None:
        ike_sa = state.ike_sa
        self._ike_sa = ike_sa
        self._keys = ike_keys_of(ike_sa)
        self._settings = settings
        self._entropy = entropy
        self._cookie = entropy(COOKIE_BYTES)
        self.local = local
        self.remote = ike_sa.remote
        if earlier is not None and earlier._ike_sa.spis != ike_sa.spis:
            earlier = None
        known = ike_sa.message_id_initiator
        self._expected: int | None = None
        if message_ids is None:
            message_ids = [known, known - 1, known + 1] if known else [known, known + 1]
            if earlier is not None:
                self._expected = earlier._expected
                message_ids = sorted({*message_ids, *earlier._requests}, reverse=True)
            if self._expected is not None:
                message_ids = [self._expected, self._expected + 1]
        self._untried_ids = list(message_ids)
        self._requests: dict[int, bytes] = {}
        self._message_id = message_ids[0]
        self._sent_with_this_id = 0
        self._sendings = 0
        self.answered_message_id: int | None = None
        """Message ID of the request that the client answered."""
        self.next_message_id = message_ids[0]
        """Message ID that the client expects next, as far as any answer of it tells."""

    def next_sending(self) -> tuple[bytes, int] | None:
        """The bytes to send now and the time to wait for the answer; None if all was tried in vain."""
        waits_ns = self._settings.redirect_retransmit_ns
        if self._sendings >= len(waits_ns) or self.answered_message_id is not None:
            return None
        is_spent = self._sent_with_this_id >= self._settings.redirect_sendings_a_message_id
        if not self._requests or (is_spent and self._untried_ids):
            self._begin()
        self._sent_with_this_id += 1
        self._sendings += 1
        return self._requests[self._message_id], waits_ns[self._sendings - 1]

    def as_effect(self, sending: tuple[bytes, int]) -> tuple[SendIke, int]:
        """A sending, addressed, and the time to wait."""
        data, wait_ns = sending
        return SendIke(source=self.local, destination=self.remote, data=data), wait_ns

    def hear(self, data: bytes) -> bool:
        """True if `data` is the client's answer. Whatever else it is, is ignored."""
        try:
            message = open_message(data, self._keys)
        except IkeMessageError:
            return False
        ours = (
            message.is_response
            and message.exchange == ExchangeType.INFORMATIONAL
            and message.is_initiator != self._ike_sa.we_initiated
            and message.message_id in self._requests
        )
        if not ours:
            return False
        self.next_message_id = max(self.next_message_id, message.message_id + 1)
        if any(
            isinstance(payload, Notify)
            and payload.type == NotifyType.COOKIE2
            and payload.data == self._cookie
            for payload in message.payloads
        ):
            self.answered_message_id = message.message_id
            return True
        self._expect(message.message_id + 1)
        return False

    def _expect(self, message_id: int) -> None:
        """A cached answer, to the dead gateway or to an earlier exchange of ours: this comes next."""
        if self._expected is not None and message_id <= self._expected:
            return
        if self._expected is None:
            # Time for it, once: whoever answers for ever from its cache is not asked for ever.
            at_most = len(self._settings.redirect_retransmit_ns)
            at_most -= self._settings.redirect_sendings_a_message_id
            self._sendings = max(0, min(self._sendings, at_most))
        self._expected = message_id
        if self._message_id != message_id:
            self._untried_ids = [message_id]
            self._sent_with_this_id = self._settings.redirect_sendings_a_message_id

    def _begin(self) -> None:
        """Makes the request for a message ID; retransmissions are the same bytes (RFC 7296 section 2.1)."""
        self._message_id = self._untried_ids.pop(0)
        self._sent_with_this_id = 0
        if self._message_id in self._requests:
            return
        message = Message(
            spi_i=self._ike_sa.spis.initiator,
            spi_r=self._ike_sa.spis.responder,
            exchange=ExchangeType.INFORMATIONAL,
            is_initiator=self._ike_sa.we_initiated,
            is_response=False,
            message_id=self._message_id,
            payloads=(update_sa_addresses(), cookie2(self._cookie)),
        )
        iv = self._entropy(self._keys.suite.iv_bytes)
        self._requests[self._message_id] = seal_message(message, self._keys, iv=iv)
