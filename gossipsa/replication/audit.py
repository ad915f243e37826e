"""Anti-entropy: an owner has each replica's records compared with what it believes to be there.

All shards of all replicas are compared once an interval, and those of a replica that is back soon after. A
fingerprint a shard finds equal ones; of the others, cells of a rateless table (`iblt`) tell which records
differ. Those that the replica lacks, or has in another version, are sent again; those that it should not have
any more are dropped. Records whose latest version is under way are left out: they are being told already.

A replica remembers nothing of an audit: every question says all that its answer needs.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from math import log
from operator import xor

import msgspec

from gossipsa.identifiers import GatewayName, Holder
from gossipsa.replication.iblt import Cells
from gossipsa.replication.messages import (
    CELLS_MAX,
    CLIENTS_A_MESSAGE_MAX,
    SALT_BYTES,
    SYMBOLS_A_MESSAGE_MAX,
    AskCells,
    AskVersions,
    AuditShards,
    RecordVersion,
    ShardDifference,
    TellVersions,
)
from gossipsa.replication.record import ClientRecord
from gossipsa.replication.replicator import Replicator
from gossipsa.replication.shards import SHARD_COUNT
from gossipsa.replication.store import RecordStore

_MS = 1_000_000
_STEP_NS = 25 * _MS
"""Between two questions: other work has its turn between them."""
_RETURN_WAIT_NS = 5_000 * _MS
_ANSWER_WAIT_NS = 5_000 * _MS
_RECORDS_A_QUESTION_MAX = 8_192
"""So many records are hashed in about 15 ms."""
_AUDITS_MAX = 64
"""Questions open at once."""
_CELLS_A_SYMBOL = 1.6
_CELLS_MIN = 12
_FINGERPRINT = struct.Struct("!Q")
_VERSION = struct.Struct("!16sQ16sQ")


def symbol_of(record: ClientRecord | RecordVersion, salt: bytes) -> int:
    """A record in its present version, as 64 bits."""
    text = _VERSION.pack(record.client, record.epoch.counter, record.epoch.boot, record.sequence)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=salt).digest(), "big")


def fingerprint(symbols: Iterable[int]) -> int:
    """Of a set of symbols: equal for equal sets, and different, but for bad luck, for different ones."""
    return reduce(xor, symbols, 0)


class _Audit(msgspec.Struct):
    holder: Holder
    shards: tuple[int, ...]
    asked_ns: int
    cells: Cells | None = None


class Auditor:
    """The owner's side.

    Args:
        interval_ns: in which all shards of all replicas are compared once.
        entropy: for salts: nobody can prepare records whose fingerprints are those of others.
    """

    def __init__(self, *, replicator: Replicator, interval_ns: int, entropy: Callable[[int], bytes]) -> None:
        self._replicator = replicator
        self._interval_ns = interval_ns
        self._entropy = entropy
        self._waiting: dict[Holder, deque[int]] = {}
        self._returned_ns: dict[Holder, int] = {}
        """When a replica that is back is compared."""
        self._audits: dict[bytes, _Audit] = {}
        self._round_ns: int | None = None
        self._step_ns = 0
        self._differing = 0

    def compare_all(self, holder: Holder) -> None:
        """Compare all that a replica holds of ours, beginning with the next tick."""
        self._waiting[holder] = deque(range(SHARD_COUNT))

    def compare_soon(self, holder: Holder, *, now_ns: int) -> None:
        """Compare all that a replica holds that is back, once what it missed has been told."""
        self._returned_ns[holder] = now_ns + _RETURN_WAIT_NS

    def tick(self, *, now_ns: int) -> list[tuple[GatewayName, AuditShards]]:
        """The questions that are due."""
        if self._round_ns is None:
            self._round_ns = now_ns + self._interval_ns
        elif now_ns >= self._round_ns:
            self._round_ns = now_ns + self._interval_ns
            for holder in self._replicator.holders():
                if holder not in self._waiting:
                    self.compare_all(holder)
        for holder in [holder for holder, due_ns in self._returned_ns.items() if now_ns >= due_ns]:
            del self._returned_ns[holder]
            self.compare_all(holder)
        self._forget(now_ns)
        if not self._waiting or now_ns < self._step_ns:
            return []
        self._step_ns = now_ns + _STEP_NS
        return self._ask(now_ns)

    def next_deadline_ns(self) -> int | None:
        """None before the first tick."""
        if self._waiting or self._round_ns is None:
            return self._step_ns if self._waiting else None
        return min((self._round_ns, *self._returned_ns.values()))

    def hear_difference(self, sender: Holder, message: ShardDifference) -> AskCells | AskVersions | None:
        """A replica holds something else than we believe. Returns the next question, if there is one."""
        audit = self._audits.get(message.salt)
        if audit is None or audit.holder != sender or not set(message.shards) <= set(audit.shards):
            return None
        try:
            theirs = Cells.decode(message.cells, first=message.first)
        except ValueError:
            return None
        known = audit.cells
        if not len(theirs) or theirs.end > CELLS_MAX or theirs.first != (0 if known is None else known.end):
            return None
        audit.shards = message.shards
        audit.cells = theirs if known is None else known.followed_by(theirs)
        records = {symbol_of(record, message.salt): record for record in self._records(audit)}
        cells = Cells(records, end=audit.cells.end)
        found = cells.minus(audit.cells).peel(symbols_max=2 * CELLS_MAX)
        if found is None and audit.cells.end < CELLS_MAX:
            first = audit.cells.end
            return AskCells(
                salt=message.salt, shards=audit.shards, first=first, count=min(first, CELLS_MAX - first)
            )
        ours, other = found if found is not None else (frozenset(records), frozenset())
        lacking = [records[symbol].client for symbol in sorted(ours) if symbol in records]
        self._differing += len(lacking)
        if lacking or found is None:
            # What is sent again takes the place of what the replica has: only then are others superfluous.
            del self._audits[message.salt]
            self._replicator.send_again(audit.holder, lacking)
            return None
        symbols = tuple(sorted(other))[:SYMBOLS_A_MESSAGE_MAX]
        return AskVersions(salt=message.salt, shards=audit.shards, symbols=symbols)

    def hear_versions(self, sender: Holder, message: TellVersions) -> None:
        """What a replica holds, and we did not expect: it has to go unless it belongs there by now."""
        for version in message.versions:
            self._differing += self._replicator.drop_if_superfluous(sender, version)

    def take_differing(self) -> int:
        """Records found to differ since the last call."""
        differing, self._differing = self._differing, 0
        return differing

    def _ask(self, now_ns: int) -> list[tuple[GatewayName, AuditShards]]:
        questions = []
        live = set(self._replicator.holders())
        for holder, waiting in list(self._waiting.items()):
            if holder not in live or len(self._audits) >= _AUDITS_MAX:
                if holder not in live:
                    del self._waiting[holder]
                continue
            salt = self._entropy(SALT_BYTES)
            shards, prints, hashed = [], [], 0
            while waiting and hashed < _RECORDS_A_QUESTION_MAX:
                shard = waiting.popleft()
                symbols = [
                    symbol_of(record, salt) for record in self._replicator.settled_records(holder, shard)
                ]
                hashed += len(symbols)
                shards.append(shard)
                prints.append(fingerprint(symbols))
            if not waiting:
                del self._waiting[holder]
            self._audits[salt] = _Audit(holder=holder, shards=tuple(shards), asked_ns=now_ns)
            packed = b"".join(map(_FINGERPRINT.pack, prints))
            questions.append(
                (holder.gateway, AuditShards(salt=salt, shards=tuple(shards), fingerprints=packed))
            )
        return questions

    def _records(self, audit: _Audit) -> Iterator[ClientRecord]:
        for shard in audit.shards:
            yield from self._replicator.settled_records(audit.holder, shard)

    def _forget(self, now_ns: int) -> None:
        for salt, audit in list(self._audits.items()):
            if now_ns - audit.asked_ns >= _ANSWER_WAIT_NS:
                # No answer means no difference, or a broken stream: the next round tells.
                del self._audits[salt]


class Audited:
    """The replica's side: answers for the records of the owner that asks."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def hear_audit(self, owner: GatewayName, message: AuditShards) -> ShardDifference | None:
        """None if everything is as the owner believes, or the question makes no sense."""
        if len(message.fingerprints) != _FINGERPRINT.size * len(message.shards):
            return None
        expected = [number for (number,) in _FINGERPRINT.iter_unpack(message.fingerprints)]
        differing, symbols = [], []
        for shard, wanted in zip(message.shards, expected, strict=True):
            held = self._symbols(owner, shard, message.salt)
            if fingerprint(held) != wanted:
                differing.append(shard)
                symbols += held
        if not differing:
            return None
        cells = Cells(set(symbols), end=_cells_for(len(differing), of=len(message.shards)))
        return ShardDifference(salt=message.salt, shards=tuple(differing), first=0, cells=cells.encode())

    def hear_ask_cells(self, owner: GatewayName, message: AskCells) -> ShardDifference:
        """More cells of the same records."""
        symbols = self._all_symbols(owner, message.shards, message.salt)
        end = min(message.first + message.count, CELLS_MAX)
        cells = Cells(symbols, first=min(message.first, end), end=end)
        return ShardDifference(
            salt=message.salt, shards=message.shards, first=cells.first, cells=cells.encode()
        )

    def hear_ask_versions(self, owner: GatewayName, message: AskVersions) -> list[TellVersions]:
        """What the symbols stand for, in messages of a bounded length."""
        wanted = frozenset(message.symbols)
        versions = [
            version
            for symbol, version in self._all_symbols(owner, message.shards, message.salt).items()
            if symbol in wanted
        ]
        return [
            TellVersions(versions=tuple(versions[start : start + CLIENTS_A_MESSAGE_MAX]))
            for start in range(0, len(versions), CLIENTS_A_MESSAGE_MAX)
        ]

    def _symbols(self, owner: GatewayName, shard: int, salt: bytes) -> list[int]:
        return [symbol_of(version, salt) for version in self._store.versions_of_shard(owner, shard)]

    def _all_symbols(
        self, owner: GatewayName, shards: tuple[int, ...], salt: bytes
    ) -> dict[int, RecordVersion]:
        return {
            symbol_of(version, salt): version
            for shard in dict.fromkeys(shards)
            for version in self._store.versions_of_shard(owner, shard)
        }


def _cells_for(differing: int, *, of: int) -> int:
    """Cells that will probably do, if so many of the shards that were asked for differ.

    Records fall into shards at random, so that the number of shards hit tells how many were thrown; a record
    in two versions is two symbols.
    """
    hit = min(differing, of - 0.5) / of
    records = log(1 - hit) / log(1 - 1 / of) if of > 1 else differing
    return min(CELLS_MAX, max(_CELLS_MIN, round(2 * records * _CELLS_A_SYMBOL)))
