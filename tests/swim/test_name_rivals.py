from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId
from gossipsa.swim.member import claim_key
from gossipsa.swim.messages import Update
from gossipsa.swim.name_rivals import RIVALS_MAX, YOUNG_NS, Answer, NameRivals
from gossipsa.swim.refutation import OwnClaim
from sim.mesh.credentials import MemberCredentials
from tests.swim.claims import BOOT, ENDPOINT, NEW_BOOT, US, claim


def rivals(age_ns: int = 0) -> NameRivals:
    made = NameRivals(BOOT)
    made.begin(-age_ns)
    return made


def rival_words(incarnation: int = 1, succeeds: bytes = b"") -> Update:
    return claim(member=US, boot=NEW_BOOT, incarnation=incarnation, succeeds=succeeds)


def test_young_boot_replaces_whom_it_hears_of() -> None:
    assert rivals().answer(rival_words(), now_ns=0) is Answer.REPLACE


def test_older_boot_speaks_above_another_once_and_then_knows_that_it_lives() -> None:
    old = rivals(age_ns=YOUNG_NS)
    answers = [old.answer(rival_words(incarnation), now_ns=0) for incarnation in (1, 2, 3)]
    assert answers == [Answer.OUTBID, Answer.CLASH, Answer.CLASH]


def test_replaced_boot_yields() -> None:
    for age_ns in (0, YOUNG_NS):
        replaced = rivals(age_ns)
        assert replaced.answer(rival_words(succeeds=BOOT), now_ns=0) is Answer.YIELD
        assert replaced.successor == NEW_BOOT


def test_each_boot_is_told_once_and_few_are_remembered() -> None:
    known = rivals()
    assert [known.clashes(NEW_BOOT) for _ in range(3)] == [True, False, False]
    for number in range(2 * RIVALS_MAX):
        known.clashes(BootId(bytes([number]) * 16))
    assert known.clashes(NEW_BOOT)


class Host:
    """One of several hosts that share a name."""

    def __init__(self, number: int, began_ns: int) -> None:
        self.boot = BootId(bytes([number]) * 16)
        self.own = OwnClaim(
            name=US,
            boot=self.boot,
            endpoint=ENDPOINT,
            metadata=b"",
            credentials=MemberCredentials(US),
            accusers_max=4,
        )
        self.rivals = NameRivals(self.boot)
        self.rivals.begin(began_ns)
        self.changes = 0

    @property
    def silent(self) -> bool:
        return self.rivals.successor is not None

    def hear(self, words: Update, now_ns: int) -> None:
        if self.silent or words.boot == self.boot or claim_key(words) <= claim_key(self.own.update()):
            return
        answer = self.rivals.answer(words, now_ns=now_ns)
        if answer is not Answer.YIELD:
            self.own.outbid(words, succeeding=answer is not Answer.OUTBID, now_ns=now_ns)
            self.changes += 1


@given(
    st.lists(st.integers(0, 2 * YOUNG_NS), min_size=2, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12),
    st.permutations([1, 2, 3]),
)
def test_exactly_one_host_keeps_the_name_whoever_hears_what_first(
    ages_ns: list[int], heard: list[tuple[int, int]], order: list[int]
) -> None:
    hosts = [Host(number, -age_ns) for number, age_ns in zip(order, ages_ns, strict=False)]
    said: list[Update] = []

    def hear(hearer: Host, words: Update) -> None:
        hearer.hear(words, 0)
        if hearer.own.update() not in said:
            said.append(hearer.own.update())

    said += [host.own.update() for host in hosts]
    for one, other in heard:
        hear(hosts[one % len(hosts)], hosts[other % len(hosts)].own.update())
    # In the end everybody hears everything that was ever said.
    for _ in range(20):
        for host in hosts:
            for words in tuple(said):
                hear(host, words)
    assert sum(not host.silent for host in hosts) == 1
    # Among three, words that replace one may be overtaken by those that replace another.
    assert all(host.changes <= len(hosts) * (len(hosts) - 1) for host in hosts)


@given(st.integers(1, 2), st.integers(0, YOUNG_NS - 1), st.booleans())
def test_the_newer_host_keeps_the_name_while_it_is_young(
    number: int, age_ns: int, newer_hears_first: bool
) -> None:
    older = Host(number, -10 * YOUNG_NS)
    newer = Host(3 - number, -age_ns)
    for _ in range(4):
        pair = (newer, older) if newer_hears_first else (older, newer)
        for hearer, speaker in (pair, pair[::-1]):
            hearer.hear(speaker.own.update(), 0)
    assert (older.silent, newer.silent) == (True, False)


def test_restarts_are_no_clash() -> None:
    words = Host(9, 0).own.update()
    for number in (5, 1, 8, 2):
        restarted = Host(number, 0)
        restarted.hear(words, 0)
        assert not restarted.silent
        assert claim_key(restarted.own.update()) > claim_key(words)
        words = restarted.own.update()
