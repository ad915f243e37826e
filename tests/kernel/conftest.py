"""Kernels to test: `rig` is any with ESP, `policy_rig` any at all."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.kernel.rigs import UNDER_TEST, WITH_ESP, MemoryRig, Rig, XfrmRig, memory_rig, xfrm_rig


@pytest.fixture(params=["memory", "xfrm"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        async with memory_rig() as memory:
            yield memory
    elif os.environ.get(UNDER_TEST) == WITH_ESP:
        async with xfrm_rig() as xfrm:
            yield xfrm
    else:
        pytest.skip("needs a kernel with ESP to itself")


@pytest.fixture(params=["memory", "xfrm"])
async def policy_rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        async with memory_rig() as memory:
            yield memory
    elif UNDER_TEST in os.environ:
        async with xfrm_rig() as xfrm:
            yield xfrm
    else:
        pytest.skip("needs a network stack to itself")


@pytest.fixture
async def real_rig() -> AsyncIterator[XfrmRig]:
    if os.environ.get(UNDER_TEST) != WITH_ESP:
        pytest.skip("needs a kernel with ESP to itself")
    async with xfrm_rig() as xfrm:
        yield xfrm


@pytest.fixture
async def real_policy_rig() -> AsyncIterator[XfrmRig]:
    if UNDER_TEST not in os.environ:
        pytest.skip("needs a network stack to itself")
    async with xfrm_rig() as xfrm:
        yield xfrm


@pytest.fixture
async def in_memory() -> AsyncIterator[MemoryRig]:
    async with memory_rig() as memory:
        yield memory
