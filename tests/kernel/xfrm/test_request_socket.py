"""Requests to a kernel that refuses, keeps silent, or may not be asked. Needs no privilege."""

import errno
import struct
import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NETLINK_XFRM, Refusal
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.uapi import MessageType, UserSaId

ASK = """
import trio
from gossipsa.errors import KernelError
from gossipsa.kernel.xfrm import XfrmSettings, open_xfrm_kernel

async def main():
    async with open_xfrm_kernel(XfrmSettings()):
        pass

try:
    trio.run(main)
except KernelError as error:
    print(error.errno, error)
"""


def wrong_length(message: bytearray) -> bytearray:
    """The kernel drops such a message and all behind it without a word."""
    struct.pack_into("=I", message, 0, 8)
    return message


async def test_kernel_that_keeps_silent_is_a_timeout(autojump_clock: MockClock) -> None:
    with RequestSocket(NETLINK_XFRM, timeout_s=5) as requests:
        started = trio.current_time()
        (answer,) = await requests.execute([wrong_length(encode(MessageType.GETSA, UserSaId()))])
        assert isinstance(answer, Refusal)
        assert answer.errno == errno.ETIMEDOUT
        assert trio.current_time() - started == pytest.approx(5)


async def test_late_answers_are_not_taken_for_others(autojump_clock: MockClock) -> None:
    with RequestSocket(NETLINK_XFRM, timeout_s=5) as requests:
        silent = wrong_length(encode(MessageType.GETSA, UserSaId()))
        refused, unanswered = await requests.execute([encode(MessageType.DELSA, UserSaId()), silent])
        assert refused is not None
        assert refused.errno in (errno.EPERM, errno.ESRCH)
        assert unanswered is not None
        assert unanswered.errno == errno.ETIMEDOUT
        batch = [encode(MessageType.DELSA, UserSaId()) for _ in range(700)]
        answers = await requests.execute(batch)
        assert {answer.errno for answer in answers if answer} <= {errno.EPERM, errno.ESRCH}
        assert None not in answers


async def test_cancelled_request_does_not_disturb_the_next() -> None:
    with RequestSocket(NETLINK_XFRM, timeout_s=5) as requests:
        with trio.move_on_after(0):
            await requests.execute([encode(MessageType.DELSA, UserSaId())])
        answers = await requests.execute([encode(MessageType.DELSA, UserSaId())])
        assert answers[0] is not None
        assert answers[0].errno in (errno.EPERM, errno.ESRCH)


def test_missing_capability_is_named() -> None:
    # In a user namespace of its own, as nobody there: no capability at all.
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", ASK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("setpriv is not installed")
    if "setpriv:" in done.stderr:
        pytest.skip("needs root to give capabilities up")
    number, text = done.stdout.split(" ", 1)
    assert int(number) == errno.EPERM
    assert "CAP_NET" in text
