"""Flap damping: who keeps failing and returning, or being suspected and refuting, is believed more slowly.

As BGP damps routes (RFC 2439 section 4): each flap adds a penalty, which decays with a half-life. Beyond the
suppress threshold a name is suppressed until its penalty has decayed below the reuse threshold; the penalty
has a ceiling, so that this takes a bounded time however much it flapped.
"""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import GatewayName
from gossipsa.swim.settings import SwimSettings

RETURN_PENALTY = 1_000
"""For failing and returning; RFC 2439 takes 1,000 for a withdrawn route."""
REFUTATION_PENALTY = 500
"""For a suspicion that was refuted; RFC 2439 takes half for a change."""


class _History(msgspec.Struct, kw_only=True):
    penalty: float = 0.0
    """As it stood at `at_ns`."""
    at_ns: int = 0
    suppressed: bool = False


class FlapDamping:
    """Penalties by name. Of more names than there may be members the one with the least is forgotten."""

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self._ceiling = settings.flap_reuse_penalty * 2.0 ** (
            settings.flap_suppress_max_ns / settings.flap_half_life_ns
        )
        self._histories: dict[GatewayName, _History] = {}

    def __len__(self) -> int:
        return len(self._histories)

    def penalise(self, name: GatewayName, penalty: int, *, now_ns: int) -> bool:
        """Count a flap; True if it is what makes the name suppressed."""
        history = self._histories.get(name)
        if history is None:
            self._make_room(now_ns)
            history = self._histories[name] = _History(at_ns=now_ns)
        history.penalty = min(self._decayed(history, now_ns) + penalty, self._ceiling)
        history.at_ns = now_ns
        if history.suppressed or history.penalty < self._settings.flap_suppress_penalty:
            return False
        history.suppressed = True
        return True

    def suppressed(self, name: GatewayName) -> bool:
        """True from the flap that was too much until `release` names it."""
        history = self._histories.get(name)
        return history is not None and history.suppressed

    def penalty(self, name: GatewayName, *, now_ns: int) -> float:
        history = self._histories.get(name)
        return 0.0 if history is None else self._decayed(history, now_ns)

    def release(self, *, now_ns: int) -> tuple[GatewayName, ...]:
        """Names that have calmed down since the last call; those without a penalty worth it are forgotten."""
        released = []
        for name, history in tuple(self._histories.items()):
            penalty = self._decayed(history, now_ns)
            if history.suppressed and penalty < self._settings.flap_reuse_penalty:
                history.suppressed = False
                released.append(name)
            # RFC 2439 section 4.2: half of the reuse threshold is not worth remembering.
            if penalty < self._settings.flap_reuse_penalty / 2:
                del self._histories[name]
        return tuple(released)

    def forget(self, name: GatewayName) -> None:
        self._histories.pop(name, None)

    def _decayed(self, history: _History, now_ns: int) -> float:
        age = max(0, now_ns - history.at_ns) / self._settings.flap_half_life_ns
        return history.penalty * float(2.0**-age)

    def _make_room(self, now_ns: int) -> None:
        if len(self._histories) >= self._settings.members_max:
            least = min(self._histories, key=lambda name: self._decayed(self._histories[name], now_ns))
            del self._histories[least]
