"""A gateway whose files were copied to another host: two real daemons with one identity, and one mesh."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import trio

from examples.demo.gateway_processes import GatewayProcess, run_gateways
from examples.demo.mesh_files import LoopbackAddresses, write_mesh
from gossipsa.status import GatewayStatus

WAIT_S = 60.0
POLL_S = 0.05


async def until(gateway: GatewayProcess, condition: Callable[[GatewayStatus], bool]) -> GatewayStatus:
    """The first status of a daemon that fits."""
    with trio.fail_after(WAIT_S):
        while True:
            gateway.check_alive()
            try:
                status = await gateway.status()
            except OSError:
                pass
            else:
                if condition(status):
                    return status
            await trio.sleep(POLL_S)


def sees(*names: str) -> Callable[[GatewayStatus], bool]:
    return lambda status: {member.name for member in status.members if member.state == "alive"} >= {*names}


def was_told(status: GatewayStatus) -> bool:
    return not {"name-clash", "name-lost"}.isdisjoint(status.counts)


async def first_to_yield(*twins: GatewayProcess) -> GatewayProcess:
    yielded: list[GatewayProcess] = []

    async def wait(twin: GatewayProcess) -> None:
        await until(twin, lambda status: status.name_lost)
        yielded.append(twin)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for twin in twins:
            nursery.start_soon(wait, twin)
    return yielded[0]


async def test_of_two_daemons_with_one_identity_both_are_told_and_one_keeps_the_name(tmp_path: Path) -> None:
    files = write_mesh(tmp_path, count=4, addresses=LoopbackAddresses(os.urandom), draw=os.urandom)
    *_, copied, copy = files
    for suffix in (".key", ".identity"):
        shutil.copy(copied.configuration.with_suffix(suffix), copy.configuration.with_suffix(suffix))
    async with run_gateways(files[:3]) as (first, second, older):
        for gateway in (first, second):
            await until(gateway, sees(copied.name))
        async with run_gateways([copy]) as (newer,):
            # Both are young: it may be either who yields.
            told = [await until(twin, was_told) for twin in (older, newer)]
            assert {status.name for status in told} == {copied.name}
            keeper = newer if await first_to_yield(older, newer) is older else older
            await until(keeper, sees(first.files.name, second.files.name))
            for gateway in (first, second):
                await until(gateway, sees(copied.name))
            assert not (await keeper.status()).name_lost
