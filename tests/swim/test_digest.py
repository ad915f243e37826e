"""Any two tables converge, and what that takes is bounded by what they differ in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.digest import VERDICTS_MAX, TableDigest, tag_of
from gossipsa.swim.messages import DIGEST_BUCKETS, FINGERPRINT_BYTES, MemberState
from sim.mesh.network import names
from tests.swim.claims import BOOT, NEW_BOOT

Entry = tuple[int, BootId, MemberState]
"""As claims about one member are ordered."""
Table = dict[GatewayName, Entry]

states = st.sampled_from([MemberState.ALIVE, MemberState.FAILED, MemberState.LEFT])
tables = st.dictionaries(
    st.sampled_from(names(40)),
    st.tuples(st.integers(0, 3), st.sampled_from([BOOT, NEW_BOOT]), states),
    max_size=30,
)


def digest_of(table: Table) -> TableDigest:
    digest = TableDigest()
    for name, (incarnation, boot, state) in table.items():
        digest.set(name, boot, incarnation, state)
    return digest


def nobody(name: GatewayName) -> bool:
    return False


def take_in(table: Table, claims: Table) -> None:
    for name, entry in claims.items():
        table[name] = max(entry, table.get(name, entry))


def compare(asking: Table, answering: Table) -> int:
    """One comparison in both directions; returns how many claims travelled."""
    ours, theirs = digest_of(asking), digest_of(answering)
    buckets = theirs.differing(ours.fingerprints())
    difference = ours.compare(buckets, theirs.versions(buckets), about_us=nobody)
    sent = {name: asking[name] for name in difference.lacking}
    fetched = {name: answering[name] for name in theirs.names(difference.wanted)}
    take_in(answering, sent)
    take_in(asking, fetched)
    return len(sent) + len(fetched)


@given(tables, tables)
def test_any_two_tables_are_equal_after_one_comparison(one: Table, other: Table) -> None:
    joint: Table = {}
    take_in(joint, one)
    take_in(joint, other)
    different = [name for name in joint if one.get(name) != other.get(name)]
    # Equal incarnations of two boots travel both ways: which one stays is decided by their whole ids.
    assert len(different) <= compare(one, other) <= 2 * len(different)
    assert one == other == joint
    assert digest_of(one).fingerprints() == digest_of(other).fingerprints()
    assert compare(one, other) == 0


@given(tables, st.permutations(range(30)))
def test_fingerprints_do_not_depend_on_the_order_of_events(table: Table, order: list[int]) -> None:
    entries = list(table.items())
    shuffled = {entries[index][0]: entries[index][1] for index in order if index < len(entries)}
    digest = digest_of(shuffled)
    for name in names(40):
        digest.set(name, NEW_BOOT, 9, MemberState.FAILED)
    for name in names(40):
        digest.discard(name)
        if name in table:
            incarnation, boot, state = table[name]
            digest.set(name, boot, incarnation, state)
    assert digest.fingerprints() == digest_of(table).fingerprints()
    assert digest.differing(digest_of(table).fingerprints()) == ()
    assert len(digest.fingerprints()) == DIGEST_BUCKETS * FINGERPRINT_BYTES


@given(tables.filter(bool), st.data())
def test_one_difference_lists_one_bucket(table: Table, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(table)))
    changed = dict(table)
    changed[name] = (9, BOOT, MemberState.ALIVE)
    ours, theirs = digest_of(table), digest_of(changed)
    assert theirs.differing(ours.fingerprints()) == (tag_of(name) % DIGEST_BUCKETS,)
    assert compare(table, changed) == 1


def test_suspicion_is_no_difference() -> None:
    alive, suspect = TableDigest(), TableDigest()
    alive.set(names(1)[0], BOOT, 0, MemberState.ALIVE)
    suspect.set(names(1)[0], BOOT, 0, MemberState.SUSPECT)
    assert alive.differing(suspect.fingerprints()) == ()


def test_after_a_partition_few_verdicts_travel_and_all_members_are_found_to_have_returned() -> None:
    members = names(400)
    here = dict.fromkeys(members[:200], (0, BOOT, MemberState.ALIVE))
    here |= dict.fromkeys(members[200:], (0, BOOT, MemberState.FAILED))
    there = dict.fromkeys(members[:200], (0, BOOT, MemberState.FAILED))
    there |= dict.fromkeys(members[200:], (0, BOOT, MemberState.ALIVE))
    ours, theirs = digest_of(here), digest_of(there)
    buckets = theirs.differing(ours.fingerprints())
    us = members[0]
    difference = ours.compare(buckets, theirs.versions(buckets), about_us=lambda name: name == us)
    assert set(difference.returned) == set(members[200:])
    assert len(difference.lacking) == VERDICTS_MAX
    assert VERDICTS_MAX <= len(difference.wanted) <= VERDICTS_MAX + 1
    assert tag_of(us) in difference.wanted
