"""What unsteady members and witnesses did to deserve patience, or less of it.

A member that returns from the dead, or refutes what several suspected, flaps. Whoever alone suspected one
that refuted says more about itself: its word alone does not count for a while.
"""

from __future__ import annotations

from collections.abc import Sequence

from gossipsa.identifiers import GatewayName
from gossipsa.swim.flap_damping import REFUTATION_PENALTY, RETURN_PENALTY, FlapDamping
from gossipsa.swim.outputs import Event, MemberFlapping, MemberJoined, MemberRefuted, MemberSteady
from gossipsa.swim.settings import SwimSettings
from gossipsa.swim.suspicion import Suspicion


class Flapping:
    """Keeps the penalties of members and of witnesses, and reports who flaps and who is steady again."""

    def __init__(self, settings: SwimSettings, events: list[Event]) -> None:
        """Args:
        events: what is to be reported is added to it.
        """
        self._events = events
        self._flaps = FlapDamping(settings)
        self._false_alarms = FlapDamping(settings)
        """By witness: suspicions that nobody shared, and that were refuted."""

    def flaps(self, name: GatewayName) -> bool:
        """True while a member is to be treated with patience."""
        return self._flaps.suppressed(name)

    def cries_wolf(self, witness: GatewayName) -> bool:
        """True while the word of this witness alone does not count."""
        return self._false_alarms.suppressed(witness)

    def forget(self, name: GatewayName) -> None:
        """It is no member any more."""
        self._flaps.forget(name)
        self._false_alarms.forget(name)

    def note(
        self, changes: Sequence[Event], *, returned: bool, suspicion: Suspicion | None, now_ns: int
    ) -> None:
        """The table changed because of one claim.

        Args:
            returned: the member was taken for failed before.
            suspicion: under which it was before.
        """
        for event in changes:
            if isinstance(event, MemberJoined) and returned:
                penalty = RETURN_PENALTY
            elif isinstance(event, MemberRefuted) and suspicion is not None:
                [witness, *others] = suspicion.witnesses
                if not others:
                    self._false_alarms.penalise(witness, REFUTATION_PENALTY, now_ns=now_ns)
                    continue
                penalty = REFUTATION_PENALTY
            else:
                continue
            if self._flaps.penalise(event.name, penalty, now_ns=now_ns):
                self._events.append(MemberFlapping(name=event.name))

    def release(self, *, now_ns: int) -> list[GatewayName]:
        """Penalties fade.

        Returns:
            Members that are steady again.
        """
        self._false_alarms.release(now_ns=now_ns)
        steady = list(self._flaps.release(now_ns=now_ns))
        self._events += [MemberSteady(name=name) for name in steady]
        return steady
