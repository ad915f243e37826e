"""Two hosts with one identity, and how exactly one of them keeps the name.

Another boot of our name, under our own signature, is mostly our own last run. Only what it says after it can
have heard of us shows that it lives. Words say which boot they replace (`Update.succeeds`), and this decides,
whoever hears what first:

- A boot that is young, and hears of another one, replaces it by name: it is the newer one.
- A boot that is not, and hears words above its own, speaks above them without replacing anybody: they may be
  those of a dead boot, kept on the other side of a partition. If it hears of that boot above itself again, it
  is alive, and is replaced by name.
- A boot that hears that it was replaced, by words above its own, yields: it says so once, and is silent.

Words only grow, and a boot yields only to higher words that name it: never both yield. Of two, each outbids
the other one once by either way: it ends. Among more, words that replace one may be overtaken by words that
replace another, and are said again.
"""

from __future__ import annotations

from enum import Enum

from gossipsa.identifiers import BootId
from gossipsa.swim.messages import Update
from gossipsa.swim.settings import SECOND_NS

YOUNG_NS = 5 * SECOND_NS
"""Age up to which a boot takes others of its name for its predecessors."""
RIVALS_MAX = 16
"""Other boots of our name that are remembered, and told."""


class Answer(Enum):
    """What to do about words of another boot of our name, which are above ours."""

    REPLACE = "replace"
    """Outbid it, and say that we replace it."""
    OUTBID = "outbid"
    """Outbid it, and see whether it lives."""
    CLASH = "clash"
    """It lives: outbid it, and say that we replace it."""
    YIELD = "yield"
    """It replaced us."""


class NameRivals:
    """Other boots of our own name, as one boot meets them."""

    def __init__(self, boot: BootId) -> None:
        self._boot = boot
        self._began_ns: int | None = None
        self._outbid: dict[BootId, None] = {}
        self._told: dict[BootId, None] = {}
        self.successor: BootId | None = None
        """The boot to which we have yielded."""

    def begin(self, now_ns: int) -> None:
        """Our first turn: we are young."""
        if self._began_ns is None:
            self._began_ns = now_ns

    def answer(self, words: Update, *, now_ns: int) -> Answer:
        """Decide about words above ours, whose signature is good."""
        if words.succeeds == self._boot:
            self.successor = words.boot
            return Answer.YIELD
        if words.boot in self._outbid:
            return Answer.CLASH
        if self._began_ns is None or now_ns - self._began_ns < YOUNG_NS:
            return Answer.REPLACE
        _remember(self._outbid, words.boot)
        return Answer.OUTBID

    def is_told(self, boot: BootId) -> bool:
        return boot in self._told

    def clashes(self, boot: BootId) -> bool:
        """True if this boot, which is alive, was not told yet."""
        if boot in self._told:
            return False
        _remember(self._told, boot)
        return True


def _remember(boots: dict[BootId, None], boot: BootId) -> None:
    boots[boot] = None
    if len(boots) > RIVALS_MAX:
        del boots[next(iter(boots))]
