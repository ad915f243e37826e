"""When the verdict about each suspect falls, and whether we are fit to pass one.

A suspicion says how long it waits for so many to confirm it (`suspicion`). Here is what else it depends on:
who is left to confirm it, whether its testimonies suffice, whether the suspect flaps, and whether we hear
anybody.
"""

from __future__ import annotations

from gossipsa.identifiers import GatewayName
from gossipsa.swim.evidence import Evidence
from gossipsa.swim.flapping import Flapping
from gossipsa.swim.hearing import Hearing
from gossipsa.swim.member import Member
from gossipsa.swim.membership import Membership
from gossipsa.swim.messages import MemberState, Testimony
from gossipsa.swim.settings import SwimSettings
from gossipsa.swim.suspicion import Suspicion
from gossipsa.swim.verdict_queue import VerdictQueue


class VerdictTimes:
    """Keeps the queue of verdicts true to the table of members."""

    def __init__(
        self,
        *,
        settings: SwimSettings,
        table: Membership,
        evidence: Evidence,
        flapping: Flapping,
        hearing: Hearing,
    ) -> None:
        self._settings = settings
        self._table = table
        self._evidence = evidence
        self._flapping = flapping
        self._hearing = hearing
        self._queue = VerdictQueue()
        self._few_alive = 0
        """Members that are alive and not suspected, so far as their number matters to verdicts."""

    def look(self, suspect: Member) -> None:
        """Something may have brought the verdict forward."""
        if suspect.suspicion is not None:
            self._queue.look(suspect.name, at_ns=self._verdict_ns(suspect, suspect.suspicion))

    def look_if_few(self) -> None:
        """The fewer there are to confirm a suspicion, the sooner the verdict, down to the lone survivor's."""
        few = min(self._table.count(MemberState.ALIVE), self._settings.confirmations + 1)
        if few != self._few_alive:
            self._few_alive = few
            for suspect in self._table.in_state(MemberState.SUSPECT):
                self.look(suspect)

    def discard(self, name: GatewayName) -> None:
        """It is suspected no more."""
        self._queue.discard(name)

    def next_deadline_ns(self) -> int | None:
        """None if nobody is suspected."""
        deadline_ns = self._queue.next_deadline_ns()
        return None if deadline_ns is None else max(deadline_ns, self._hearing.wait_until_ns)

    def is_due(self, *, now_ns: int) -> bool:
        """True if there are suspects to be looked at."""
        due_ns = self.next_deadline_ns()
        return due_ns is not None and now_ns >= due_ns

    def take_due(self, *, now_ns: int) -> list[GatewayName]:
        """Suspects to be looked at now; each that stays one is to be looked at again."""
        return self._queue.due(now_ns=now_ns)

    def falls(self, suspect: Member, *, now_ns: int) -> bool:
        """True if a suspect's time is over: for a verdict, or to ask others again if there can be none."""
        return suspect.suspicion is not None and now_ns >= self._verdict_ns(suspect, suspect.suspicion)

    def proof(self, suspect: Member) -> tuple[Testimony, ...]:
        """The testimonies that make the verdict; none if they do not suffice."""
        return self._evidence.convicts(suspect, alone=self._alone())

    def we_listen(self, *, now_ns: int) -> bool:
        """True if others are silent while we hear somebody, or if there is nobody else to be heard."""
        return self._alone() or self._hearing.works(now_ns=now_ns)

    def _alone(self) -> bool:
        """True if nobody but us is left who is not suspected."""
        return not self._table.count(MemberState.ALIVE)

    def _verdict_ns(self, suspect: Member, suspicion: Suspicion) -> int:
        """When the verdict falls, or when others are asked again because there can be none."""
        deadline_ns = suspicion.deadline_ns(
            others=self._table.count(MemberState.ALIVE) + 1, patient=self._flapping.flaps(suspect.name)
        )
        if self._evidence.convicts(suspect, alone=False):
            return deadline_ns
        if self._evidence.convicts(suspect, alone=self._alone()):
            return max(deadline_ns, self._hearing.lone_ns(lost=self._table.count(MemberState.SUSPECT)))
        return max(deadline_ns, suspicion.ask_ns)
