"""What we know, as a few fingerprints: equal tables are found equal by one small packet.

Members fall into buckets by a hash of their names; the fingerprint of a bucket is the sum of the hashes of
what is believed of its members. A change costs one hash, however many members there are. Only the buckets
whose fingerprints differ are listed, as versions; only the claims that one side lacks or has an older version
of travel.

The hashes need no secret: what a member says of itself counts only from itself, so that by crafting claims
that collide it would hide nothing but its own news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

import msgspec

from gossipsa.identifiers import BootId, GatewayName
from gossipsa.swim.messages import BOOT_TAG_BYTES, DIGEST_BUCKETS, FINGERPRINT_BYTES, MemberState, Version

VERDICTS_MAX = 32
"""Verdicts about members that the other side takes for alive, exchanged at one time: these members are called
by everybody who hears of it, and refute."""

_MASK = (1 << (8 * FINGERPRINT_BYTES)) - 1


class _Entry(msgspec.Struct, frozen=True):
    name: GatewayName
    version: Version
    fingerprint: int


class TableDigest:
    """The versions of all members, ourselves included, by bucket."""

    def __init__(self) -> None:
        self._buckets: list[dict[int, _Entry]] = [{} for _ in range(DIGEST_BUCKETS)]
        self._sums = [0] * DIGEST_BUCKETS

    def set(self, name: GatewayName, boot: BootId, incarnation: int, state: MemberState) -> None:
        """This is believed of a member now. Suspicions come and go, and count as life."""
        tag = tag_of(name)
        settled = MemberState.ALIVE if state.live else state
        version = Version(tag=tag, boot=boot[:BOOT_TAG_BYTES], incarnation=incarnation, state=settled)
        known = self._buckets[tag % DIGEST_BUCKETS].get(tag)
        if known is not None and known.version == version:
            return
        self.discard(name)
        fingerprint = _fingerprint(tag, boot, incarnation, settled)
        self._buckets[tag % DIGEST_BUCKETS][tag] = _Entry(name, version, fingerprint)
        self._add(tag, fingerprint)

    def discard(self, name: GatewayName) -> None:
        """A member was forgotten."""
        tag = tag_of(name)
        entry = self._buckets[tag % DIGEST_BUCKETS].pop(tag, None)
        if entry is not None:
            self._add(tag, -entry.fingerprint)

    def fingerprints(self) -> bytes:
        """FINGERPRINT_BYTES for each bucket."""
        return b"".join(total.to_bytes(FINGERPRINT_BYTES, "big") for total in self._sums)

    def differing(self, theirs: bytes) -> tuple[int, ...]:
        """Buckets whose fingerprints are not ours."""
        ours = self.fingerprints()
        return tuple(
            bucket for bucket in range(DIGEST_BUCKETS) if _part(ours, bucket) != _part(theirs, bucket)
        )

    def versions(self, buckets: Iterable[int]) -> tuple[Version, ...]:
        """All versions in these buckets."""
        return tuple(entry.version for bucket in buckets for entry in self._buckets[bucket].values())

    def names(self, tags: Iterable[int]) -> tuple[GatewayName, ...]:
        """The members of these tags, as far as they are known here."""
        found = (self._buckets[tag % DIGEST_BUCKETS].get(tag) for tag in tags)
        return tuple(entry.name for entry in found if entry is not None)

    def compare(
        self,
        buckets: Sequence[int],
        theirs: Sequence[Version],
        *,
        about_us: Callable[[GatewayName], bool],
    ) -> Difference:
        """What to send and what to ask for, given all that somebody has in some buckets.

        Args:
            about_us: true for our own name: what is said of ourselves is always asked for.
        """
        difference = Difference()
        seen: set[int] = set()
        for version in theirs:
            seen.add(version.tag)
            entry = self._buckets[version.tag % DIGEST_BUCKETS].get(version.tag)
            if entry is None:
                difference.wanted.append(version.tag)
            elif entry.version != version:
                _weigh(entry, version, difference, about_us=about_us(entry.name))
        for bucket in set(buckets):
            difference.lacking += [
                entry.name for tag, entry in self._buckets[bucket].items() if tag not in seen
            ]
        return difference

    def _add(self, tag: int, fingerprint: int) -> None:
        bucket = tag % DIGEST_BUCKETS
        self._sums[bucket] = (self._sums[bucket] + fingerprint) & _MASK


class Difference(msgspec.Struct):
    """Between what we believe and what somebody else believes."""

    lacking: list[GatewayName] = msgspec.field(default_factory=list)
    """Members of whom they lack what we know."""
    wanted: list[int] = msgspec.field(default_factory=list)
    """Tags of members of whom we lack what they know."""
    returned: list[GatewayName] = msgspec.field(default_factory=list)
    """Members that they take for alive in the very incarnation that we hold for failed."""
    verdicts_sent: int = 0
    verdicts_wanted: int = 0


def _weigh(entry: _Entry, theirs: Version, difference: Difference, *, about_us: bool) -> None:
    ours = entry.version
    if (ours.incarnation, ours.boot) == (theirs.incarnation, theirs.boot):
        if ours.state > theirs.state:
            if ours.state is MemberState.FAILED:
                difference.returned.append(entry.name)
                difference.verdicts_sent += 1
            if difference.verdicts_sent <= VERDICTS_MAX:
                difference.lacking.append(entry.name)
            return
        if theirs.state is MemberState.FAILED and not about_us:
            difference.verdicts_wanted += 1
        if difference.verdicts_wanted <= VERDICTS_MAX or about_us:
            difference.wanted.append(theirs.tag)
        return
    # Of two boots with one incarnation the whole boot ids decide, which are not here: exchange both.
    if ours.incarnation >= theirs.incarnation:
        difference.lacking.append(entry.name)
    if ours.incarnation <= theirs.incarnation:
        difference.wanted.append(theirs.tag)


@lru_cache(maxsize=1 << 14)
def tag_of(name: GatewayName) -> int:
    """A name as it stands in versions: 64 bits of its hash."""
    return _hash(name.encode(), b"member")


def _fingerprint(tag: int, boot: BootId, incarnation: int, state: MemberState) -> int:
    said = tag.to_bytes(8, "big") + boot + incarnation.to_bytes(8, "big") + bytes((state,))
    return _hash(said, b"version")


def _hash(said: bytes, purpose: bytes) -> int:
    return int.from_bytes(blake2b(said, digest_size=FINGERPRINT_BYTES, person=purpose).digest(), "big")


def _part(fingerprints: bytes, bucket: int) -> bytes:
    return fingerprints[bucket * FINGERPRINT_BYTES : (bucket + 1) * FINGERPRINT_BYTES]
