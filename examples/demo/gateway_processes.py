"""Gateway daemons as processes of their own, and what is asked of them over their admin sockets."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from examples.demo.mesh_files import GatewayFiles
from gossipsa.errors import GossipsaError
from gossipsa.identifiers import ClientId
from gossipsa.ipsec.security_association import ClientState
from gossipsa.status import GatewayStatus
from gossipsa.wire.codec import encode

_ANSWER_BYTES_MAX = 16 << 20
_STOP_GRACE_S = 3.0
_LOG_LINES_SHOWN = 15


class GatewayDiedError(GossipsaError):
    """A daemon that nobody killed is gone."""


class AdminError(GossipsaError):
    """A daemon refused a request, or did not understand it."""


class GatewayProcess:
    """One daemon."""

    def __init__(self, files: GatewayFiles, process: trio.Process) -> None:
        self.files = files
        self.is_killed = False
        self._process = process

    def kill(self) -> None:
        """SIGKILL: no farewell, no last packet."""
        self.is_killed = True
        self._process.kill()

    def terminate(self) -> None:
        """SIGTERM, if it still runs."""
        if self._process.returncode is None:
            self._process.terminate()

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._process.wait()

    def check_alive(self) -> None:
        """Raise GatewayDiedError, with the end of its log, if the daemon ended by itself."""
        if self._process.poll() is None or self.is_killed:
            return
        lines = self.files.log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise GatewayDiedError(
            "\n".join(
                (
                    f"{self.files.name} ended with status {self._process.returncode}; the end of its log:",
                    *lines[-_LOG_LINES_SHOWN:],
                )
            )
        )

    async def ask(self, op: str, **arguments: object) -> dict[str, Any]:
        """Send one request to the admin socket and return the answer.

        Raises:
            AdminError: refused.
            OSError: the daemon does not listen (yet, or any more).
        """
        async with await trio.open_unix_socket(self.files.admin_socket) as stream:
            await stream.send_all(json.dumps({"op": op, **arguments}).encode() + b"\n")
            received = bytearray()
            while not received.endswith(b"\n") and len(received) <= _ANSWER_BYTES_MAX:
                chunk = await stream.receive_some()
                if not chunk:
                    break
                received += chunk
        answer = json.loads(received) if received else {}
        if not isinstance(answer, dict) or "error" in answer or not answer:
            raise AdminError(f"{self.files.name}: {op}: {answer}")
        return answer

    async def status(self) -> GatewayStatus:
        """What `gossipsa status` shows. Raises as `ask`."""
        return msgspec.convert(await self.ask("status"), GatewayStatus)

    async def offer(self, client: ClientId, state: ClientState) -> None:
        """Hand over a client as if the daemon's own IKE had negotiated it. Raises as `ask`."""
        await self.ask("offer", client=client.hex(), state=base64.b64encode(encode(state)).decode())


@asynccontextmanager
async def run_gateways(places: Sequence[GatewayFiles]) -> AsyncIterator[tuple[GatewayProcess, ...]]:
    """Start a daemon a gateway; stop all that are left when the block ends."""
    gateways: list[GatewayProcess] = []
    try:
        for files in places:
            gateways.append(GatewayProcess(files, await _start(files)))
        yield tuple(gateways)
    finally:
        for gateway in gateways:
            gateway.terminate()
        with trio.move_on_after(_STOP_GRACE_S, shield=True) as grace:
            for gateway in gateways:
                await gateway.wait()
        if grace.cancelled_caught:
            for gateway in gateways:
                gateway.kill()


async def _start(files: GatewayFiles) -> trio.Process:
    with files.log.open("wb") as log:
        return await trio.lowlevel.open_process(
            [sys.executable, "-m", "gossipsa", "run", "--config", str(files.configuration)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
