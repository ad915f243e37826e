from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
import trio

from gossipsa.daemon.state_keeper import StateKeeper
from gossipsa.effects import RememberMembers, RememberTrust, Report
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.state_files import MEMBERS_FILE, TRUST_FILE, newest_trust_list, read_members
from gossipsa.wire.authority import revoke
from gossipsa.wire.codec import encode
from tests.authorities import AUTHORITY, NOW_S, TRUST

NEWER = revoke(TRUST, AUTHORITY, names=("x",), now_s=NOW_S)
MEMBERS = (Endpoint(IPv4Address("192.0.2.1"), 1), Endpoint(IPv4Address("192.0.2.2"), 2))


async def until_there(file: Path) -> None:
    with trio.fail_after(5):
        # What a thread writes tells nobody.
        while not await trio.Path(file).exists():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_what_is_kept_is_read_after_a_restart(tmp_path: Path, nursery: trio.Nursery) -> None:
    directory = tmp_path / "made" / "state"
    keeper = StateKeeper(directory, report=lambda _: None)
    nursery.start_soon(keeper.run)
    keeper.keep(RememberTrust(trust_list=encode(NEWER)))
    keeper.keep(RememberMembers(endpoints=MEMBERS))
    await until_there(directory / TRUST_FILE)
    await until_there(directory / MEMBERS_FILE)
    assert newest_trust_list(TRUST, directory) == NEWER
    assert read_members(directory) == MEMBERS
    nursery.cancel_scope.cancel()


async def test_disk_that_takes_nothing_is_reported_and_tried_again(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    directory, reports = tmp_path / "state", list[Report]()
    reported = trio.Event()

    def report(event: Report) -> None:
        reports.append(event)
        reported.set()

    keeper = StateKeeper(directory, report=report, retry_s=0.01)
    directory.rmdir()
    nursery.start_soon(keeper.run)
    keeper.keep(RememberMembers(endpoints=MEMBERS))
    with trio.fail_after(5):
        await reported.wait()
    directory.mkdir()
    await until_there(directory / MEMBERS_FILE)
    assert reports[0].event == "state-write-failed"
    assert read_members(directory) == MEMBERS
    nursery.cancel_scope.cancel()


def test_directory_that_cannot_be_made_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match="state_directory"):
        StateKeeper(file / "state", report=lambda _: None)


def test_state_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    (tmp_path / TRUST_FILE).write_text("rubbish")
    (tmp_path / MEMBERS_FILE).write_text("rubbish")
    assert newest_trust_list(TRUST, tmp_path) == TRUST
    assert read_members(tmp_path) == ()
    assert newest_trust_list(TRUST, tmp_path / "nowhere") == TRUST
    assert read_members(tmp_path / "nowhere") == ()
