"""The table of members: which claim wins over which, and what a change of state means to others."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from gossipsa.identifiers import GatewayName
from gossipsa.swim.digest import TableDigest
from gossipsa.swim.member import Member, claim_key, endpoint_of
from gossipsa.swim.messages import MemberState, Testimony, Update
from gossipsa.swim.outputs import (
    Event,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRefuted,
    MemberRestarted,
    MemberSuspected,
    MetadataChanged,
)
from gossipsa.swim.settings import SECOND_NS, SwimSettings
from gossipsa.swim.suspicion import Suspicion


class Change(Enum):
    """What a change of state means to others."""

    JOINED = "joined"
    SUSPECTED = "suspected"
    REFUTED = "refuted"
    FAILED = "failed"
    LEFT = "left"


_ALIVE, _SUSPECT, _FAILED, _LEFT = MemberState

TRANSITIONS: dict[tuple[MemberState | None, MemberState], tuple[Change, ...]] = {
    (None, _ALIVE): (Change.JOINED,),
    (None, _SUSPECT): (Change.JOINED, Change.SUSPECTED),
    (None, _FAILED): (),
    (None, _LEFT): (),
    (_ALIVE, _ALIVE): (),
    (_ALIVE, _SUSPECT): (Change.SUSPECTED,),
    (_ALIVE, _FAILED): (Change.FAILED,),
    (_ALIVE, _LEFT): (Change.LEFT,),
    (_SUSPECT, _ALIVE): (Change.REFUTED,),
    # The incarnation was raised in between: refuted, and suspected again.
    (_SUSPECT, _SUSPECT): (Change.REFUTED, Change.SUSPECTED),
    (_SUSPECT, _FAILED): (Change.FAILED,),
    (_SUSPECT, _LEFT): (Change.LEFT,),
    (_FAILED, _ALIVE): (Change.JOINED,),
    (_FAILED, _SUSPECT): (Change.JOINED, Change.SUSPECTED),
    (_FAILED, _FAILED): (),
    (_FAILED, _LEFT): (Change.LEFT,),
    (_LEFT, _ALIVE): (Change.JOINED,),
    (_LEFT, _SUSPECT): (Change.JOINED, Change.SUSPECTED),
    (_LEFT, _FAILED): (),
    (_LEFT, _LEFT): (),
}
"""What is told when a member goes from one state (None: unknown) to another."""


class Ruling(Enum):
    """What is to be done with a claim, before anybody has looked at its signatures."""

    ADOPT = "adopt"
    """Later words of the member itself: `Membership.accept` them if they are its own, and pass them on."""
    WEIGH = "weigh"
    """A suspicion or verdict about the words that we hold of a live member."""
    BURY = "bury"
    """A verdict about one that we do not know, or do not take for alive: later than what we know."""
    MISSING = "missing"
    """A suspicion or verdict about later words than we hold: ask for them."""
    STALE = "stale"
    """We know better, or cannot use it."""
    OUTDATED = "outdated"
    """Somebody takes for alive the very incarnation that we hold for failed: one of us was cut off."""
    REFUSE = "refuse"
    """Malformed, expelled, or the table is full."""


class Membership:
    """All other members, by name. The order of iteration is that of arrival."""

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._members: dict[GatewayName, Member] = {}
        self._expelled: dict[GatewayName, None] = {}
        self._by_state: dict[MemberState, dict[GatewayName, Member]] = {state: {} for state in MemberState}
        self._accused: dict[GatewayName, dict[GatewayName, None]] = {}
        """By witness, whom it suspects."""
        self.digest = TableDigest()
        """Of all members, and of ourselves as soon as that is put in."""

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, name: GatewayName) -> Member | None:
        return self._members.get(name)

    def live(self, name: GatewayName) -> bool:
        member = self._members.get(name)
        return member is not None and member.state.live

    def in_state(self, state: MemberState) -> tuple[Member, ...]:
        """Members in this state, in the order in which they came into it."""
        return tuple(self._by_state[state].values())

    def count(self, state: MemberState) -> int:
        return len(self._by_state[state])

    @property
    def live_count(self) -> int:
        return len(self._by_state[_ALIVE]) + len(self._by_state[_SUSPECT])

    def rule(self, update: Update) -> Ruling:
        """Decide about a claim that is not about ourselves. Changes nothing."""
        if update.member in self._expelled or (update.address and not update.complete):
            return Ruling.REFUSE
        if update.accuses != bool(update.evidence) or not (update.accuses or update.complete):
            return Ruling.REFUSE
        member = self._members.get(update.member)
        if member is None:
            return self._rule_stranger(update)
        if update.accuses:
            return self._rule_accusation(member, update)
        if claim_key(update) > member.key:
            return Ruling.ADOPT
        same = member.words == (update.incarnation, update.boot)
        if same and member.state is MemberState.FAILED and update.state is MemberState.ALIVE:
            return Ruling.OUTDATED
        return Ruling.STALE

    def _rule_stranger(self, update: Update) -> Ruling:
        if not update.complete or update.age_s * SECOND_NS >= self._settings.forget_ns:
            return Ruling.STALE
        if len(self) < self._settings.members_max or (update.state.live and self._oldest_dead() is not None):
            return Ruling.BURY if update.state is MemberState.FAILED else Ruling.ADOPT
        return Ruling.REFUSE

    def _rule_accusation(self, member: Member, update: Update) -> Ruling:
        words = (update.incarnation, update.boot)
        if words < member.words:
            return Ruling.STALE
        if words == member.words:
            return Ruling.WEIGH if member.state.live else Ruling.STALE
        if not update.complete:
            return Ruling.MISSING
        if update.state is MemberState.FAILED and not member.state.live:
            return Ruling.BURY
        return Ruling.ADOPT

    def accept(self, update: Update, *, now_ns: int) -> list[Event]:
        """Adopt a claim that is proven: words of the member, the first suspicion of them, or a verdict."""
        member = self._members.get(update.member)
        if member is None:
            return self._admit(update, now_ns)
        old_boot, old_state = member.boot, member.state
        events: list[Event] = []
        if update.boot != old_boot:
            events.append(MemberRestarted(name=member.name, old_boot=old_boot, new_boot=update.boot))
            # Whether the old boot was suspected no longer matters.
            old_state = MemberState.ALIVE if old_state.live else old_state
        described = (member.metadata, member.endpoint)
        self._adopt(member, update, now_ns)
        events += [_event(change, member) for change in TRANSITIONS[(old_state, member.state)]]
        if old_state.live and member.state.live and described != (member.metadata, member.endpoint):
            events.append(MetadataChanged(name=member.name, boot=member.boot, metadata=member.metadata))
        return events

    def confirm(self, name: GatewayName, testimony: Testimony, *, now_ns: int) -> list[Event]:
        """Count another witness of a suspicion; nothing is told if it is not wanted."""
        member = self._members[name]
        if member.suspicion is None or not member.suspicion.confirm(testimony, now_ns=now_ns):
            return []
        self._accused.setdefault(testimony.witness, {})[name] = None
        return [_event(Change.SUSPECTED, member)]

    def expel(self, name: GatewayName) -> list[Event]:
        """Remove a member for good: nothing about it is believed any more."""
        self._expelled[name] = None
        if len(self._expelled) > self._settings.members_max:
            del self._expelled[next(iter(self._expelled))]
        member = self._members.get(name)
        if member is None:
            return []
        events = [_event(Change.FAILED, member)] if member.state.live else []
        self._remove(name)
        self.disregard(name)
        return events

    def disregard(self, witness: GatewayName) -> None:
        """This one can bear witness no more."""
        for name in self._accused.pop(witness, {}):
            suspicion = self._members[name].suspicion
            if suspicion is not None:
                suspicion.disregard(witness)

    def readmit(self, name: GatewayName) -> None:
        """Believe again what is said about an expelled one."""
        self._expelled.pop(name, None)

    def expelled(self, name: GatewayName) -> bool:
        return name in self._expelled

    def forget(self, *, now_ns: int) -> tuple[GatewayName, ...]:
        """Drop members that failed or left long ago."""
        gone = tuple(
            member.name
            for state in (_FAILED, _LEFT)
            for member in self._by_state[state].values()
            if now_ns - member.since_ns >= self._settings.forget_ns
        )
        for name in gone:
            self._remove(name)
        return gone

    def _admit(self, update: Update, now_ns: int) -> list[Event]:
        if len(self) >= self._settings.members_max:
            oldest = self._oldest_dead()
            assert oldest is not None, "ruled REFUSE otherwise"
            self._remove(oldest.name)
        member = Member(
            name=update.member,
            boot=update.boot,
            incarnation=update.incarnation,
            state=update.state,
            endpoint=endpoint_of(update),
            metadata=update.metadata,
            since_ns=now_ns,
        )
        self._members[member.name] = member
        self._adopt(member, update, now_ns)
        return [_event(change, member) for change in TRANSITIONS[(None, member.state)]]

    def _adopt(self, member: Member, update: Update, now_ns: int) -> None:
        if update.state is not member.state or not update.state.live:
            member.since_ns = now_ns - update.age_s * SECOND_NS
        member.boot = update.boot
        member.incarnation = update.incarnation
        member.state = update.state
        if update.complete:
            member.endpoint = endpoint_of(update)
            member.metadata = update.metadata
            member.succeeds = update.succeeds
            member.identity = update.identity
            member.signature = update.signature
        if member.spoken_boot == member.boot:
            member.spoken_boot = None
        # Whatever was rumoured is answered: by a higher incarnation, or by having come true.
        if member.rumour is not None and claim_key(member.rumour) <= member.key:
            member.rumour = None
        self._acquit(member)
        if member.state is MemberState.SUSPECT:
            member.suspicion = Suspicion(testimony=update.evidence[0], now_ns=now_ns, settings=self._settings)
            for testimony in update.evidence[1:]:
                member.suspicion.confirm(testimony, now_ns=now_ns)
            for witness in member.suspicion.witnesses:
                self._accused.setdefault(witness, {})[member.name] = None
        member.evidence = update.evidence if member.state is MemberState.FAILED else ()
        for state, members in self._by_state.items():
            if state is member.state:
                members[member.name] = member
            else:
                members.pop(member.name, None)
        self.digest.set(member.name, member.boot, member.incarnation, member.state)

    def _acquit(self, member: Member) -> None:
        """It is suspected no more, or anew."""
        for witness in () if member.suspicion is None else member.suspicion.witnesses:
            accused = self._accused.get(witness, {})
            accused.pop(member.name, None)
            if not accused:
                self._accused.pop(witness, None)
        member.suspicion = None

    def _remove(self, name: GatewayName) -> None:
        member = self._members.pop(name)
        self._acquit(member)
        del self._by_state[member.state][name]
        self.digest.discard(name)

    def _oldest_dead(self) -> Member | None:
        dead = (*self._by_state[_FAILED].values(), *self._by_state[_LEFT].values())
        return min(dead, key=lambda member: member.since_ns, default=None)


def _event(change: Change, member: Member) -> Event:
    name, boot = member.name, member.boot
    match change:
        case Change.JOINED:
            return MemberJoined(name=name, boot=boot)
        case Change.SUSPECTED:
            witnesses = 0 if member.suspicion is None else len(member.suspicion.witnesses)
            return MemberSuspected(name=name, boot=boot, witnesses=witnesses)
        case Change.REFUTED:
            return MemberRefuted(name=name, boot=boot)
        case Change.FAILED:
            return MemberFailed(name=name, boot=boot)
        case Change.LEFT:
            return MemberLeft(name=name, boot=boot)
