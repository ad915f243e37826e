"""The admin socket: one JSON object a line in each direction, for the operator on this host alone.

Requests: {"op": "status"}, {"op": "metrics"}, {"op": "drain"}, {"op": "undrain"}, {"op": "leave"},
{"op": "trust", "trust": "<base64 of a trust list>"}, {"op": "offer", "client": "<hex>", "state": "<base64 of
the state as it travels>"}. Answers: the status; {"text": "..."}; {"ok": true}; {"error": "..."}.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import trio

from gossipsa.daemon.counts import Count, Counts
from gossipsa.errors import ConfigurationError, GossipsaError
from gossipsa.identifiers import CLIENT_ID_BYTES, ClientId
from gossipsa.ipsec.security_association import ClientState
from gossipsa.status import GatewayStatus
from gossipsa.wire.codec import Decoder, MessageDecodeError

REQUEST_BYTES_MAX = 256 << 10
_CONNECTIONS_MAX = 32
_IDLE_S = 60.0
_BACKLOG = 16
_STATE_DECODER: Decoder[ClientState] = Decoder(ClientState)


class RequestError(GossipsaError):
    """A request that cannot be carried out. The text is the answer."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line from the operator."""

    op: str
    client: str | None = None
    state: str | None = None
    trust: str | None = None


class AdminActions(msgspec.Struct, frozen=True, kw_only=True):
    """What requests lead to."""

    status: Callable[[], GatewayStatus]
    metrics: Callable[[], str]
    leave: Callable[[], None]
    trust: Callable[[bytes], Awaitable[None]]
    """Raises GossipsaError."""
    drain: Callable[[bool], Awaitable[None]]
    """True: empty this gateway. False: use it again."""
    offer: Callable[[ClientId, ClientState], Awaitable[None]] | None
    """None: clients come from the IKE daemon. Raises GossipsaError."""


_REQUEST_DECODER = msgspec.json.Decoder(Request)


class AdminRequests:
    """Carries out requests, one line each."""

    def __init__(self, actions: AdminActions, *, counts: Counts) -> None:
        self._actions = actions
        self._counts = counts

    async def answer(self, line: bytes) -> bytes:
        """The answer to one line, without the end of the line. Never raises for what the line says."""
        self._counts.add(Count.ADMIN_REQUESTS)
        try:
            return msgspec.json.encode(await self._carry_out(_decode_request(line)))
        except GossipsaError as error:
            self._counts.add(Count.ADMIN_REQUESTS_BAD)
            return msgspec.json.encode({"error": str(error)})

    async def _carry_out(self, request: Request) -> Any:
        if request.op != "offer" and (request.client is not None or request.state is not None):
            raise RequestError(f"{request.op} takes no client and no state")
        if request.op != "trust" and request.trust is not None:
            raise RequestError(f"{request.op} takes no trust list")
        match request.op:
            case "status":
                return self._actions.status()
            case "metrics":
                return {"text": self._actions.metrics()}
            case "leave":
                self._actions.leave()
            case "trust":
                await self._actions.trust(_decode_trust(request))
            case "drain" | "undrain":
                await self._actions.drain(request.op == "drain")
            case "offer":
                if self._actions.offer is None:
                    raise RequestError('offer needs ike = "none": here clients come from the IKE daemon')
                client, state = _decode_offer(request)
                await self._actions.offer(client, state)
            case _:
                raise RequestError(
                    f"no such op: {request.op[:64]}; "
                    "there are status, metrics, offer, trust, drain, undrain, leave"
                )
        return {"ok": True}


class AdminServer:
    """Answers requests on a unix socket.

    Args:
        path: of the socket; made for its owner alone.

    Raises:
        ConfigurationError: the socket cannot be made, or another daemon answers there.
    """

    def __init__(self, path: Path, requests: AdminRequests) -> None:
        self._path = path
        self._requests = requests
        self._socket = _listen(path)
        self._connections = 0

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)

    async def run(self) -> None:
        """Serve until cancelled."""
        listener = trio.socket.from_stdlib_socket(self._socket)
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    accepted, _ = await listener.accept()
                except OSError:
                    await trio.sleep(0.1)
                    continue
                if self._connections >= _CONNECTIONS_MAX:
                    accepted.close()
                    continue
                self._connections += 1
                nursery.start_soon(self._serve, trio.SocketStream(accepted))

    async def _serve(self, stream: trio.SocketStream) -> None:
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, OSError):
            pass
        finally:
            self._connections -= 1
            stream.socket.close()

    async def _converse(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        while True:
            with trio.move_on_after(_IDLE_S) as waited:
                chunk = await stream.receive_some(REQUEST_BYTES_MAX)
            if waited.cancelled_caught or not chunk:
                return
            buffer += chunk
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                with trio.fail_after(_IDLE_S):
                    await stream.send_all(await self._requests.answer(line) + b"\n")
            if len(buffer) > REQUEST_BYTES_MAX:
                too_long = msgspec.json.encode({"error": f"a request has at most {REQUEST_BYTES_MAX} bytes"})
                with trio.fail_after(_IDLE_S):
                    await stream.send_all(too_long + b"\n")
                return


def _decode_request(line: bytes) -> Request:
    try:
        return _REQUEST_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"bad request: {error}") from None


def _decode_trust(request: Request) -> bytes:
    try:
        return base64.b64decode(request.trust or "", validate=True)
    except (ValueError, binascii.Error):
        raise RequestError("trust is base64") from None


def _decode_offer(request: Request) -> tuple[ClientId, ClientState]:
    if request.client is None or request.state is None:
        raise RequestError("offer needs client and state")
    try:
        client = bytes.fromhex(request.client)
        state = base64.b64decode(request.state, validate=True)
    except (ValueError, binascii.Error):
        raise RequestError("client is hexadecimal, state is base64") from None
    if len(client) != CLIENT_ID_BYTES:
        raise RequestError(f"client has {len(client)} bytes, but must have {CLIENT_ID_BYTES}")
    try:
        decoded = _STATE_DECODER.decode(state)
    except MessageDecodeError as error:
        raise RequestError(f"state: {error}") from None
    if not decoded.ike_sas:
        raise RequestError("state: no IKE_SA")
    return ClientId(client), decoded


def _listen(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    # Nobody may connect in the moment between bind and chmod.
    former_mask = os.umask(0o177)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ConfigurationError(f"admin.socket: cannot listen on {path}: {reason}") from None
    finally:
        os.umask(former_mask)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that died.

    Raises:
        ConfigurationError: a daemon answers there, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigurationError(f"admin.socket: {path} is there and no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            code = probe.connect_ex(str(path))
        if code == errno.ECONNREFUSED:
            path.unlink()
        elif code == 0:
            raise ConfigurationError(f"admin.socket: another gossipsa answers on {path}")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"admin.socket: {path}: {error.strerror or error}") from None
