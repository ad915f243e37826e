"""Signs of life of an IKE daemon veto a takeover; silence does not cost time."""

from __future__ import annotations

from ipaddress import IPv4Address

from gossipsa.identifiers import GatewayName
from gossipsa.settings import TakeoverSettings
from gossipsa.takeover.liveness import IkeLiveness, IkeVerdict

MS = 1_000_000
SETTINGS = TakeoverSettings()
RTT_NS = 80 * MS


def make_liveness() -> IkeLiveness:
    return IkeLiveness(GatewayName("a"), (IPv4Address("10.0.2.2"),), settings=SETTINGS)


def verdict(liveness: IkeLiveness, now_ns: int) -> IkeVerdict:
    return liveness.verdict(round_trip_ns=RTT_NS, now_ns=now_ns)


def test_silence_counts_only_after_there_was_time_to_answer() -> None:
    liveness = make_liveness()
    assert verdict(liveness, 0) is IkeVerdict.UNDECIDED
    assert liveness.tick(now_ns=0)
    wait_ns = 2 * RTT_NS + SETTINGS.ike_probe_wait_ns
    assert verdict(liveness, wait_ns - 1) is IkeVerdict.UNDECIDED
    assert verdict(liveness, wait_ns) is IkeVerdict.SILENT


def test_an_answer_vetoes_for_a_while_and_silence_after_it_counts() -> None:
    liveness = make_liveness()
    liveness.tick(now_ns=0)
    liveness.hear_answer(now_ns=40 * MS)
    assert verdict(liveness, 41 * MS) is IkeVerdict.ANSWERS
    now_ns = 40 * MS
    while verdict(liveness, now_ns) is not IkeVerdict.SILENT:
        now_ns = liveness.next_deadline_ns(round_trip_ns=RTT_NS, now_ns=now_ns)
        liveness.tick(now_ns=now_ns)
        assert now_ns < 3_000 * MS
    assert now_ns >= 40 * MS + SETTINGS.ike_veto_ns


def test_a_daemon_that_goes_on_answering_vetoes_for_ever() -> None:
    liveness = make_liveness()
    now_ns = 0
    while now_ns < 60_000 * MS:
        if liveness.tick(now_ns=now_ns):
            liveness.hear_answer(now_ns=now_ns + RTT_NS)
        if now_ns > RTT_NS:
            assert verdict(liveness, now_ns) is IkeVerdict.ANSWERS
        now_ns = liveness.next_deadline_ns(round_trip_ns=RTT_NS, now_ns=max(now_ns, now_ns + RTT_NS))


def test_a_gateway_without_known_ike_address_cannot_veto() -> None:
    liveness = IkeLiveness(GatewayName("a"), (), settings=SETTINGS)
    assert not liveness.tick(now_ns=0)
    assert verdict(liveness, 0) is IkeVerdict.SILENT
