"""The same questions to two kernels: the one in memory, and the one that runs this process.

The running kernel is used only where the tests have a network stack of their own: in the lab, or in a network
namespace; `GOSSIPSA_KERNEL_UNDER_TEST` says so (see `test_on_real_kernels`).
"""

import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

import trio

from gossipsa.identifiers import Endpoint
from gossipsa.kernel.backend import Kernel, KernelSa, NewSa, SaId
from gossipsa.kernel.memory import MemoryKernel, MemoryKernelSettings, open_memory_kernel
from gossipsa.kernel.xfrm import XfrmKernel, XfrmSettings, open_xfrm_kernel
from tests.kernel.samples import CLIENT, CLIENT6, GATEWAY, GATEWAY6, INNER

UNDER_TEST = "GOSSIPSA_KERNEL_UNDER_TEST"
WITH_ESP = "with ESP"
"""Value of UNDER_TEST where SAs can be made."""
WITHOUT_ESP = "without ESP"
"""Value of UNDER_TEST where only policies, routes and raw sockets work."""

_INTERFACE = "under-test"
_ETH_P_ALL = 0x0003  # outgoing packets are shown only to those who want all
_ETH_P_IP = 0x0800
_PACKET_OUTGOING = 4
_IPPROTO_ESP = 50
_RECEIVE_S = 2.0
_POLL_S = 0.002


class Rig(Protocol):
    """A kernel, and traffic through it."""

    gateway: Endpoint
    """Where the kernel takes IKE messages."""

    @property
    def kernel(self) -> Kernel: ...

    async def carry(self, sa: NewSa) -> None:
        """Let packets for INNER go by this SA."""

    async def send(self) -> int | None:
        """Send a packet to INNER. Returns the low half of its sequence number, None if it was dropped."""

    async def receive(self, packet: bytes) -> None:
        """Let an ESP packet arrive from CLIENT."""


async def find(kernel: Kernel, sa_id: SaId) -> KernelSa | None:
    """Return an SA of a kernel, None if it is not there."""
    return next((sa for sa in await kernel.sas() if sa.id == sa_id), None)


def xfrm_drops() -> str:
    """Return XFRM's drop counters as the kernel prints them."""
    return Path("/proc/net/xfrm_stat").read_text()


class MemoryRig:
    def __init__(self, kernel: MemoryKernel) -> None:
        self.kernel = kernel
        self.gateway = kernel.local

    async def carry(self, sa: NewSa) -> None:
        assert sa.destinations, "the in-memory kernel made the policy when it added the SA"

    async def send(self) -> int | None:
        sealed = self.kernel.sad.seal_outbound(INNER, b"payload")
        await self.kernel.set_numbers([])  # lets limit events out, as the socket would
        return None if sealed is None else int(struct.unpack_from("!I", sealed.packet, 4)[0])

    async def receive(self, packet: bytes) -> None:
        self.kernel.sad.open_inbound(packet, destination=GATEWAY)


class XfrmRig:
    def __init__(self, kernel: XfrmKernel) -> None:
        self.kernel = kernel
        self.gateway = Endpoint(GATEWAY, 4500)
        self._capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._capture.bind((_INTERFACE, _ETH_P_ALL))
        self._capture.setblocking(False)

    async def carry(self, sa: NewSa) -> None:
        policy = f"src 0.0.0.0/0 dst {INNER}/32 dir out priority 100000"
        template = f"src {sa.source} dst {sa.id.destination} proto esp spi {sa.id.spi:#x} reqid 0 mode tunnel"
        run(f"ip xfrm policy add {policy} tmpl {template}")

    async def send(self) -> int | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            # Blocks answer EPERM, a template without its SA starts an acquire.
            udp.setblocking(False)
            try:
                udp.sendto(b"payload", (str(INNER), 9))
            except OSError:
                return None
        await trio.lowlevel.checkpoint()
        while True:
            try:
                packet, address = self._capture.recvfrom(0x10000)
            except BlockingIOError:
                return None
            is_outgoing_ipv4 = (address[1], address[2]) == (_ETH_P_IP, _PACKET_OUTGOING)
            if is_outgoing_ipv4 and packet[9] == _IPPROTO_ESP:
                return int(struct.unpack_from("!I", packet, (packet[0] & 15) * 4 + 4)[0])

    async def receive(self, packet: bytes) -> None:
        before = await self._traces()
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, _IPPROTO_ESP) as raw:
            # From the gateway to itself: XFRM does not look at where ESP comes from.
            raw.sendto(packet, (str(GATEWAY), 0))
        # A busy kernel takes its time, and deciphers at leisure.
        with trio.move_on_after(_RECEIVE_S):
            while await self._traces() == before:  # noqa: ASYNC110 - the kernel tells nobody
                await trio.sleep(_POLL_S)

    async def _traces(self) -> tuple[str, tuple[int, ...]]:
        """What changes when an ESP packet was received: XFRM's drop counters, or an SA's packets."""
        return xfrm_drops(), tuple(sa.packets for sa in await self.kernel.sas())

    def close(self) -> None:
        self._capture.close()


@asynccontextmanager
async def memory_rig() -> AsyncIterator[MemoryRig]:
    settings = MemoryKernelSettings(listen=Endpoint(IPv4Address("127.0.0.1"), 0))
    async with open_memory_kernel(settings) as kernel:
        yield MemoryRig(kernel)


@asynccontextmanager
async def xfrm_rig() -> AsyncIterator[XfrmRig]:
    prepare_network()
    try:
        async with open_xfrm_kernel(XfrmSettings()) as kernel:
            rig = XfrmRig(kernel)
            try:
                yield rig
            finally:
                rig.close()
    finally:
        run("ip xfrm policy flush")
        if os.environ.get(UNDER_TEST) == WITH_ESP:
            run("ip xfrm state flush")


def prepare_network() -> None:
    """Make an interface that leads nowhere, with the gateway's addresses and default routes."""
    if _INTERFACE in (name for _, name in socket.if_nameindex()):
        return
    neighbour = f"lladdr 02:00:00:00:00:01 nud permanent dev {_INTERFACE}"
    run(
        f"""
        ip link set lo up
        ip link add {_INTERFACE} type veth peer name nowhere
        ip address add {GATEWAY}/24 dev {_INTERFACE}
        ip address add {GATEWAY6}/64 dev {_INTERFACE} nodad
        ip link set {_INTERFACE} up
        ip link set nowhere up
        ip neighbour add {CLIENT} {neighbour}
        ip neighbour add {CLIENT6} {neighbour}
        ip route add default via {CLIENT}
        ip route add default via {CLIENT6}
        """
    )


def run(command: str) -> str:
    """Run a shell command, return what it printed."""
    return subprocess.run(["sh", "-ec", command], check=True, capture_output=True, text=True).stdout
