"""The exchange that moves a client, against a client that behaves as a stock one does."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

import msgspec
import pytest

from gossipsa.identifiers import Endpoint
from gossipsa.ikev2.message import Message, open_message, seal_message
from gossipsa.ikev2.notify import Notify
from gossipsa.ikev2.registry import NotifyType
from gossipsa.ikev2.sa_keys import ike_keys_of
from gossipsa.ipsec.security_association import ClientState
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.redirect import Redirect, local_endpoint
from tests.client_states import make_client_state

TAKER = Endpoint(IPv4Address("10.0.3.2"), 4500)
SETTINGS = TakeoverSettings()


class Client:
    """Answers the request with the expected message ID; repeats its answer to the one before."""

    def __init__(self, state: ClientState, *, expects: int) -> None:
        self.keys = ike_keys_of(state.ike_sa)
        self.expects = expects
        self.cached = b""
        self.moved = False
        self.random = Random(7)

    def hear(self, data: bytes) -> bytes | None:
        request = open_message(data, self.keys)
        if request.message_id == self.expects - 1 and self.cached:
            return self.cached
        if request.message_id != self.expects:
            return None
        types = {payload.type for payload in request.payloads if isinstance(payload, Notify)}
        self.moved = NotifyType.UPDATE_SA_ADDRESSES in types
        self.expects += 1
        self.cached = self.answer(request)
        return self.cached

    def answer(self, request: Message) -> bytes:
        echoed = tuple(
            payload
            for payload in request.payloads
            if isinstance(payload, Notify) and payload.type == NotifyType.COOKIE2
        )
        answer = msgspec.structs.replace(request, is_initiator=True, is_response=True, payloads=echoed)
        return seal_message(answer, self.keys, iv=self.random.randbytes(8))


@pytest.fixture
def state() -> ClientState:
    return make_client_state(Random(1), message_id_initiator=3)


@pytest.fixture
def redirect(state: ClientState) -> Redirect:
    return Redirect(state, local=TAKER, settings=SETTINGS, entropy=Random(2).randbytes)


def sendings(redirect: Redirect) -> list[bytes]:
    found = []
    while (sending := redirect.next_sending()) is not None:
        found.append(sending[0])
    return found


def converse(redirect: Redirect, client: Client) -> int | None:
    """Tells a client that hears and is heard. Returns the message ID that it answered."""
    while (sending := redirect.next_sending()) is not None:
        answer = client.hear(sending[0])
        if answer is not None and redirect.hear(answer):
            return redirect.answered_message_id
    return None


def test_answer_of_the_client_is_recognised(state: ClientState, redirect: Redirect) -> None:
    client = Client(state, expects=3)
    sending = redirect.next_sending()
    assert sending is not None
    answer = client.hear(sending[0])
    assert answer is not None
    assert redirect.hear(answer)
    assert client.moved
    assert redirect.answered_message_id == 3
    assert redirect.next_sending() is None


def test_retransmissions_of_one_message_id_are_the_same_bytes(redirect: Redirect, state: ClientState) -> None:
    """RFC 7296 section 2.1."""
    by_id: dict[int, set[bytes]] = {}
    for data in sendings(redirect):
        by_id.setdefault(open_message(data, ike_keys_of(state.ike_sa)).message_id, set()).add(data)
    assert [len(different) for different in by_id.values()] == [1, 1, 1]
    assert list(by_id) == [3, 2, 4]


@pytest.mark.parametrize("expected", [2, 3, 4])
def test_client_is_moved_whichever_message_id_it_expects(
    state: ClientState, redirect: Redirect, expected: int
) -> None:
    """2: the dead gateway's last request never arrived. 4: it sent one that it could not report."""
    client = Client(state, expects=expected)
    answers = [answer for data in sendings(redirect) if (answer := client.hear(data))]
    assert client.moved
    assert redirect.hear(answers[0])
    assert redirect.answered_message_id == expected


def test_late_answer_to_an_earlier_message_id_counts(state: ClientState, redirect: Redirect) -> None:
    first, *others = sendings(redirect)
    answer = Client(state, expects=3).hear(first)
    assert open_message(others[-1], ike_keys_of(state.ike_sa)).message_id != 3
    assert answer is not None
    assert redirect.hear(answer)
    assert redirect.answered_message_id == 3


def test_sendings_end(redirect: Redirect) -> None:
    assert len(sendings(redirect)) == len(SETTINGS.redirect_retransmit_ns)


def test_cached_answer_to_the_dead_gateway_is_no_answer_to_us(state: ClientState, redirect: Redirect) -> None:
    """The dead gateway used message ID 3 for a request that it could not report, and the client answered."""
    client = Client(state, expects=4)
    last_words = Message(
        spi_i=state.ike_sa.spis.initiator,
        spi_r=state.ike_sa.spis.responder,
        exchange=37,
        is_initiator=False,
        is_response=False,
        message_id=3,
    )
    client.cached = client.answer(last_words)
    first = redirect.next_sending()
    assert first is not None
    stale = client.hear(first[0])
    assert stale is not None
    assert not redirect.hear(stale)
    answer = None
    while answer is None:
        later = redirect.next_sending()
        assert later is not None
        answer = client.hear(later[0])
    assert redirect.hear(answer)
    assert redirect.answered_message_id == 4


def test_client_that_obeyed_unheard_is_moved_when_it_is_told_again(
    state: ClientState, redirect: Redirect
) -> None:
    client = Client(state, expects=3)
    for data in sendings(redirect):
        client.hear(data)
    assert client.expects == 5
    again = Redirect(state, local=TAKER, settings=SETTINGS, entropy=Random(3).randbytes, earlier=redirect)
    assert converse(again, client) == 5


def test_message_id_that_a_cached_answer_told_is_kept_when_the_client_is_told_again(
    state: ClientState, redirect: Redirect
) -> None:
    client = Client(state, expects=3)
    for data in sendings(redirect):
        client.hear(data)
    again = Redirect(state, local=TAKER, settings=SETTINGS, entropy=Random(3).randbytes, earlier=redirect)
    sending = again.next_sending()
    assert sending is not None
    cached = client.hear(sending[0])
    assert cached is not None
    assert not again.hear(cached)
    # From here on nothing of it is heard.
    for data in sendings(again):
        client.hear(data)
    assert client.expects == 6
    third = Redirect(state, local=TAKER, settings=SETTINGS, entropy=Random(4).randbytes, earlier=again)
    assert converse(third, client) == 6


def test_what_was_learnt_of_another_ike_sa_does_not_count(redirect: Redirect) -> None:
    sendings(redirect)
    rekeyed = make_client_state(Random(5), message_id_initiator=0)
    again = Redirect(rekeyed, local=TAKER, settings=SETTINGS, entropy=Random(3).randbytes, earlier=redirect)
    assert converse(again, Client(rekeyed, expects=0)) == 0


def test_client_that_answers_from_its_cache_for_ever_is_not_asked_for_ever(
    state: ClientState, redirect: Redirect
) -> None:
    client = Client(state, expects=0)
    count = 0
    while (sending := redirect.next_sending()) is not None:
        count += 1
        request = open_message(sending[0], client.keys)
        assert not redirect.hear(client.answer(msgspec.structs.replace(request, payloads=())))
    per_id = SETTINGS.redirect_sendings_a_message_id
    assert count <= len(SETTINGS.redirect_retransmit_ns) + per_id


def test_answers_under_other_keys_and_garbage_are_ignored(state: ClientState, redirect: Redirect) -> None:
    sending = redirect.next_sending()
    assert sending is not None
    stranger = Client(make_client_state(Random(99)), expects=3)
    forged = stranger.answer(
        Message(
            spi_i=state.ike_sa.spis.initiator,
            spi_r=state.ike_sa.spis.responder,
            exchange=37,
            is_initiator=True,
            is_response=True,
            message_id=3,
        )
    )
    for data in (forged, b"", b"garbage", bytes(28), sending[0]):
        assert not redirect.hear(data)
    assert redirect.answered_message_id is None


def test_redirect_comes_from_the_port_that_the_client_talks_to() -> None:
    own = IPv4Address("10.0.3.2")
    floated = Endpoint(IPv4Address("10.0.1.2"), 33_445)
    plain = Endpoint(IPv4Address("10.0.1.2"), 500)
    assert local_endpoint(floated, own, ike_port=4500).port == 4500
    assert local_endpoint(plain, own, ike_port=4500).port == 500
