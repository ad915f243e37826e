"""What agents say, read from lines that real agents wrote, and what is counted of it."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
import trio

from tests.bench.mesh.figures import Spread, spread
from tests.bench.mesh.gossipsa import GossipsaMesh
from tests.bench.mesh.network import Host
from tests.bench.mesh.observation import NeverSeenError, Observation
from tests.bench.mesh.process_cost import cpu_s_in, pss_bytes_in
from tests.bench.mesh.serf import SerfMesh
from tests.bench.mesh.sighting import News, Sighting, episodes

_S = 1_000_000_000


def _said(at_s: float, observer: str, subject: str, news: News) -> Sighting:
    return Sighting(at_ns=int(at_s * _S), observer=observer, subject=subject, news=news)


@pytest.mark.parametrize(
    ("line", "news", "subject"),
    [
        # serf agent 0.9.4 (Debian 12), three agents, one of them killed
        ("    2026/11/28 12:37:16 [INFO] serf: EventMemberJoin: n1 127.77.0.1", News.RUNNING, "n1"),
        ("    2026/11/28 12:37:16 [INFO] serf: EventMemberJoin: n2 127.77.0.2", News.ALIVE, "n2"),
        (
            "    2026/11/28 12:37:21 [INFO] memberlist: Suspect n3 has failed, no acks received",
            News.SUSPECTED,
            "n3",
        ),
        ("    2026/11/28 12:37:25 [INFO] serf: EventMemberFailed: n3 127.77.0.3", News.FAILED, "n3"),
        ("    2026/11/28 12:37:26 [INFO] agent: Received event: member-failed", News.FAILURE_TOLD, ""),
    ],
)
def test_serf_line_is_understood(line: str, news: News, subject: str) -> None:
    said = SerfMesh.read(line, observer="n1", read_ns=7)
    assert said == (Sighting(at_ns=7, observer="n1", subject=subject, news=news),)


@pytest.mark.parametrize(
    "line",
    [
        "==> Starting Serf agent...",
        "                      Node name: 'n1'",
        "    2026/11/28 12:37:17 [INFO] agent: Received event: member-join",
        "    2026/11/28 12:37:25 [INFO] memberlist: Marking n3 as failed, suspect timeout reached "
        "(0 peer confirmations)",
        "    2026/11/28 12:37:28 [WARN] memberlist: Refuting a suspect message (from: n3)",
        "    2026/11/28 12:37:34 [ERR] memberlist: Failed fallback ping: read tcp "
        "127.0.0.1:39166->127.77.0.2:7946: i/o timeout",
        "",
    ],
)
def test_serf_line_that_says_nothing_of_members_is_passed_over(line: str) -> None:
    assert SerfMesh.read(line, observer="n1", read_ns=7) == ()


def test_gossipsa_line_counts_at_its_own_time_and_tells_the_application_at_once(tmp_path: Path) -> None:
    hosts = [Host(name=f"host-{index}", address=IPv4Address(f"10.0.0.{index}")) for index in (1, 2)]
    mesh = GossipsaMesh(hosts, tmp_path)

    def read(line: str) -> tuple[Sighting, ...]:
        return mesh.read(line, observer="host-1", read_ns=1)

    started = (
        '{"time":1795869770.0,"monotonic_ns":5,"level":"info","event":"daemon-started","own":"amsterdam"}'
    )
    alive = (
        '{"time":1795869770.1,"monotonic_ns":6,"level":"info","event":"gateway-alive","own":"amsterdam",'
        '"gateway":"brussels"}'
    )
    suspected = (
        '{"time":1795869771.0,"monotonic_ns":7,"level":"info","event":"gateway-suspected",'
        '"own":"amsterdam","gateway":"brussels","detail":"1 witnesses"}'
    )
    failed = (
        '{"time":1795869771.4,"monotonic_ns":8,"level":"warning","event":"gateway-failed",'
        '"own":"amsterdam","gateway":"brussels"}'
    )
    stalled = (
        '{"time":1795869772.0,"monotonic_ns":9,"level":"info","event":"stalled","own":"amsterdam",'
        '"detail":"70 ms late"}'
    )
    told = Sighting(at_ns=8, observer="host-1", subject="", news=News.FAILURE_TOLD)
    assert [read(line) for line in (started, alive, suspected, failed, stalled)] == [
        (Sighting(at_ns=5, observer="host-1", subject="host-1", news=News.RUNNING),),
        (Sighting(at_ns=6, observer="host-1", subject="host-2", news=News.ALIVE),),
        (Sighting(at_ns=7, observer="host-1", subject="host-2", news=News.SUSPECTED),),
        (Sighting(at_ns=8, observer="host-1", subject="host-2", news=News.FAILED), told),
        (),
    ]


def test_one_suspicion_told_by_several_counts_once() -> None:
    said = [
        _said(1.0, "a", "c", News.SUSPECTED),
        _said(1.2, "b", "c", News.SUSPECTED),
        _said(1.3, "a", "d", News.SUSPECTED),
        _said(1.9, "d", "c", News.SUSPECTED),
        _said(9.0, "a", "c", News.SUSPECTED),
        _said(9.1, "a", "c", News.FAILED),
    ]
    assert episodes(said, News.SUSPECTED) == 3
    assert episodes(said, News.FAILED) == 1
    assert episodes(said, News.ALIVE) == 0


def test_all_see_all_from_the_last_one_that_came_to_see_another() -> None:
    observation = Observation()
    for sighting in (
        _said(1.0, "a", "a", News.RUNNING),
        _said(1.5, "a", "b", News.ALIVE),
        _said(2.0, "b", "a", News.ALIVE),
    ):
        assert observation.all_seen_ns(["a", "b"]) is None
        observation.note(sighting)
    assert observation.all_seen_ns(["a", "b"]) == 2 * _S

    observation.note(_said(3.0, "a", "b", News.SUSPECTED))
    observation.note(_said(3.5, "a", "b", News.ALIVE))
    assert observation.all_seen_ns(["a", "b"]) == 2 * _S
    observation.note(_said(4.0, "a", "b", News.FAILED))
    assert observation.all_seen_ns(["a", "b"]) is None
    observation.note(_said(5.0, "a", "b", News.ALIVE))
    assert observation.all_seen_ns(["a", "b"]) == 5 * _S
    observation.forget("b")
    assert observation.all_seen_ns(["a", "b"]) is None


def test_all_know_when_the_last_observer_does() -> None:
    observation = Observation()
    observation.note(_said(1.0, "a", "c", News.FAILED))
    assert observation.all_say_ns(News.FAILED, subjects=["c"], observers=["a", "b"]) is None
    observation.note(_said(1.4, "b", "c", News.FAILED))
    assert observation.all_say_ns(News.FAILED, subjects=["c"], observers=["a", "b"]) == int(1.4 * _S)


def test_an_application_is_told_after_the_death_and_not_before() -> None:
    observation = Observation()
    observation.note(_said(1.0, "a", "", News.FAILURE_TOLD))
    assert observation.all_told_ns(["a"], since_ns=2 * _S) is None
    observation.note(_said(3.0, "a", "", News.FAILURE_TOLD))
    observation.note(_said(4.0, "a", "", News.FAILURE_TOLD))
    assert observation.all_told_ns(["a"], since_ns=2 * _S) == 3 * _S


async def test_waiting_ends_with_the_sighting_waited_for(autojump_clock: trio.abc.Clock) -> None:
    observation = Observation()

    async def say() -> None:
        await trio.sleep(1)
        observation.note(_said(1.0, "a", "a", News.RUNNING))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        seen_ns = await observation.until(
            lambda: observation.running_ns("a", since_ns=0), timeout_s=5, what="a runs"
        )
    assert seen_ns == _S
    with pytest.raises(NeverSeenError, match="b runs"):
        await observation.until(lambda: observation.running_ns("b", since_ns=0), timeout_s=5, what="b runs")


def test_spread_is_median_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert spread([3.0, 1.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([]) is None


def test_process_cost_is_read_as_the_kernel_writes_it() -> None:
    # Linux 6.18, a process whose name holds blanks and a parenthesis
    stat = (
        "16372 (a (b) c) S 16371 16370 16370 0 -1 4194304 1711 0 0 0 125 75 0 0 20 0 9 0 71263 "
        "1268830208 3641 18446744073709551615 4194304 9347072 140725 0 0 0 0 0 2143420159 0 0 0 17 1 0 0"
    )
    rollup = (
        "00400000-7ffe1b3f2000 ---p 00000000 00:00 0                          [rollup]\n"
        "Rss:               14564 kB\nPss:                7042 kB\nPss_Dirty:          4100 kB\n"
    )
    assert cpu_s_in(stat) == pytest.approx(2.0)
    assert pss_bytes_in(rollup) == 7042 * 1024
