from __future__ import annotations

import base64
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.daemon.admin import REQUEST_BYTES_MAX, AdminActions, AdminRequests, AdminServer
from gossipsa.daemon.admin_client import DaemonRefusedError, DaemonUnreachableError, ask_daemon
from gossipsa.daemon.counts import Count, Counts
from gossipsa.errors import ConfigurationError, IkeDaemonError
from gossipsa.identifiers import ClientId
from gossipsa.ipsec.security_association import ClientState
from gossipsa.status import GatewayStatus, IdentityStatus
from gossipsa.wire.codec import encode
from tests.daemon.recorders import make_client

IDENTITY = IdentityStatus(
    mesh="m", site="s", zone="z", serial="00", ends_s=1_900_000_000, ends_in_s=86_400, trust_version=3
)
STATUS = GatewayStatus(
    name="a", boot="00", identity=IDENTITY, members=(), clients=(), copies={"2": 7}, counts={}
)


class Daemon:
    """What requests lead to, noted."""

    def __init__(self, *, takes_offers: bool = True) -> None:
        self.offered: list[tuple[ClientId, ClientState]] = []
        self.left = 0
        self.trust_lists: list[bytes] = []
        self.drains: list[bool] = []
        self.counts = Counts()
        self.refuses = False
        actions = AdminActions(
            status=lambda: STATUS,
            metrics=lambda: "gossipsa_up 1\n",
            leave=self._leave,
            trust=self._trust,
            drain=self._drain,
            offer=self._offer if takes_offers else None,
        )
        self.requests = AdminRequests(actions, counts=self.counts)

    async def _trust(self, trust_list: bytes) -> None:
        self.trust_lists.append(trust_list)

    def _leave(self) -> None:
        self.left += 1

    async def _drain(self, draining: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.drains.append(draining)

    async def _offer(self, client: ClientId, state: ClientState) -> None:
        await trio.lowlevel.checkpoint()
        if self.refuses:
            raise IkeDaemonError("SA exists already")
        self.offered.append((client, state))


@asynccontextmanager
async def serving(path: Path, daemon: Daemon) -> AsyncIterator[AdminServer]:
    server = AdminServer(path, daemon.requests)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            yield server
            nursery.cancel_scope.cancel()
    finally:
        server.close()


async def ask(path: Path, request: dict[str, str]) -> dict[str, Any]:
    return await trio.to_thread.run_sync(ask_daemon, path, request)


def offer_of(client: ClientId, state: ClientState) -> dict[str, str]:
    return {"op": "offer", "client": client.hex(), "state": base64.b64encode(encode(state)).decode()}


async def test_status_and_metrics_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Daemon()):
        status = await ask(path, {"op": "status"})
        metrics = await ask(path, {"op": "metrics"})

    assert (status["name"], status["copies"]) == ("a", {"2": 7})
    assert metrics == {"text": "gossipsa_up 1\n"}


async def test_trust_list_is_handed_over_and_nothing_else_with_it(tmp_path: Path) -> None:
    path, daemon = tmp_path / "admin.sock", Daemon()
    encoded = base64.b64encode(b"list").decode()
    async with serving(path, daemon):
        assert await ask(path, {"op": "trust", "trust": encoded}) == {"ok": True}
        for request in ({"op": "trust", "trust": "***"}, {"op": "leave", "trust": encoded}):
            with pytest.raises(DaemonRefusedError):
                await ask(path, request)

    assert (daemon.trust_lists, daemon.left) == ([b"list"], 0)


async def test_offered_client_arrives_whole(tmp_path: Path) -> None:
    path, daemon = tmp_path / "admin.sock", Daemon()
    client, state = make_client(1)
    async with serving(path, daemon):
        assert await ask(path, offer_of(client, state)) == {"ok": True}

    assert daemon.offered == [(client, state)]


async def test_refused_offer_says_why(tmp_path: Path) -> None:
    path, daemon = tmp_path / "admin.sock", Daemon()
    daemon.refuses = True
    async with serving(path, daemon):
        with pytest.raises(DaemonRefusedError, match="SA exists already"):
            await ask(path, offer_of(*make_client(1)))


async def test_leave_is_carried_out(tmp_path: Path) -> None:
    path, daemon = tmp_path / "admin.sock", Daemon()
    async with serving(path, daemon):
        await ask(path, {"op": "leave"})

    assert daemon.left == 1


async def test_draining_is_asked_for_and_undone(tmp_path: Path) -> None:
    path, daemon = tmp_path / "admin.sock", Daemon()
    async with serving(path, daemon):
        await ask(path, {"op": "drain"})
        await ask(path, {"op": "undrain"})

    assert daemon.drains == [True, False]


@pytest.mark.parametrize(
    ("request_line", "complaint"),
    [
        (b"", "bad request"),
        (b"status", "bad request"),
        (b"[]", "bad request"),
        (b'{"op": 5}', "bad request"),
        (b'{"op": "status", "verbose": true}', "bad request"),
        (b'{"op": "status", "client": "00"}', "takes no client"),
        (b'{"op": "reboot"}', "no such op: reboot"),
        (b'{"op": "offer"}', "needs client and state"),
        (b'{"op": "offer", "client": "xyz", "state": ""}', "hexadecimal"),
        (b'{"op": "offer", "client": "00", "state": ""}', "has 1 bytes"),
        (b'{"op": "offer", "client": "' + b"00" * 16 + b'", "state": "AAAA"}', "state: "),
        (b"[" * 10_000, "bad request"),
    ],
)
async def test_bad_request_gets_a_clear_answer(request_line: bytes, complaint: str) -> None:
    daemon = Daemon()
    answer = json.loads(await daemon.requests.answer(request_line))

    assert complaint in answer["error"]
    assert daemon.counts[Count.ADMIN_REQUESTS_BAD] == 1


async def test_offer_is_for_gateways_without_an_ike_daemon() -> None:
    daemon = Daemon(takes_offers=False)
    line = json.dumps(offer_of(*make_client(1))).encode()
    answer = json.loads(await daemon.requests.answer(line))

    assert 'ike = "none"' in answer["error"]


@given(st.binary(max_size=200))
def test_no_line_stops_the_server(line: bytes) -> None:
    answer = trio.run(Daemon().requests.answer, line)

    assert isinstance(json.loads(answer), dict)


async def test_endless_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Daemon()):
        async with await trio.open_unix_socket(path) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(b"x" * (4 * REQUEST_BYTES_MAX))
        assert (await ask(path, {"op": "status"}))["name"] == "a"


async def test_two_requests_in_one_go_get_two_answers(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Daemon()), await trio.open_unix_socket(path) as stream:
        await stream.send_all(b'{"op": "metrics"}\n{"op": "metrics"}\n')
        received = b""
        while received.count(b"\n") < 2:
            received += await stream.receive_some()

    assert len(received.splitlines()) == 2


async def test_socket_is_its_owners_alone_and_goes_with_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "run" / "admin.sock"
    async with serving(path, Daemon()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_second_daemon_does_not_take_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Daemon()):
        with pytest.raises(ConfigurationError, match="another gossipsa"):
            AdminServer(path, Daemon().requests)
        assert (await ask(path, {"op": "status"}))["name"] == "a"


async def test_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    dead = AdminServer(path, Daemon().requests)
    dead._socket.close()
    async with serving(path, Daemon()):
        assert (await ask(path, {"op": "status"}))["name"] == "a"


def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        AdminServer(path, Daemon().requests)
    assert path.read_text() == "precious"


def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError, match="No such file"):
        ask_daemon(tmp_path / "admin.sock", {"op": "status"})
