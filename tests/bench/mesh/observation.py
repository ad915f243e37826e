"""Who sees whom, by the agents' own words, and since when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import trio

from tests.bench.mesh.sighting import News, Sighting

_VIEWS = frozenset({News.ALIVE, News.FAILED, News.LEFT})


class NeverSeenError(Exception):
    """What was waited for did not happen."""


class Observation:
    """Gathers sightings.

    Attributes:
        sightings: all of them, in the order in which they were read.
    """

    def __init__(self) -> None:
        self.sightings: list[Sighting] = []
        self._views: dict[str, dict[str, Sighting]] = {}
        self._changed = trio.Event()

    def note(self, sighting: Sighting) -> None:
        """Take in what an agent said."""
        self.sightings.append(sighting)
        if sighting.news in _VIEWS and sighting.subject != sighting.observer:
            view = self._views.setdefault(sighting.observer, {})
            known = view.get(sighting.subject)
            # Who is said to live twice was seen from the first time on.
            if known is None or known.news is not sighting.news:
                view[sighting.subject] = sighting
        self._changed.set()
        self._changed = trio.Event()

    def forget(self, observer: str) -> None:
        """This agent starts anew, and knows nobody."""
        self._views.pop(observer, None)

    def since(self, start_ns: int) -> list[Sighting]:
        """Everything said from then on."""
        return [sighting for sighting in self.sightings if sighting.at_ns >= start_ns]

    async def until(
        self, reached: Callable[[], int | None], *, timeout_s: float, what: str | Callable[[], str]
    ) -> int:
        """Wait until `reached` tells a time, and return that.

        Raises:
            NeverSeenError: it did not within `timeout_s`: `what`.
        """
        with trio.move_on_after(timeout_s):
            while True:
                changed = self._changed
                at_ns = reached()
                if at_ns is not None:
                    return at_ns
                await changed.wait()
        raise NeverSeenError(f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}")

    def running_ns(self, agent: str, *, since_ns: int) -> int | None:
        """When the agent first said that it takes part."""
        return self._first_ns(News.RUNNING, agent, since_ns=since_ns)

    def all_seen_ns(self, agents: Collection[str]) -> int | None:
        """Since when every one of them sees every other, or None."""
        return self.all_say_ns(News.ALIVE, subjects=agents, observers=agents)

    def unseen(self, agents: Collection[str]) -> str:
        """Who does not see whom."""
        return ", ".join(
            f"{observer}: {subject}"
            for observer in agents
            for subject in agents
            if self.all_say_ns(News.ALIVE, subjects=[subject], observers=[observer]) is None
        )

    def all_say_ns(self, news: News, *, subjects: Iterable[str], observers: Collection[str]) -> int | None:
        """Since when each observer holds this about each subject other than itself, or None."""
        latest_ns = 0
        for subject in subjects:
            for observer in observers:
                if observer == subject:
                    continue
                held = self._views.get(observer, {}).get(subject)
                if held is None or held.news is not news:
                    return None
                latest_ns = max(latest_ns, held.at_ns)
        return latest_ns

    def all_told_ns(self, observers: Iterable[str], *, since_ns: int) -> int | None:
        """When the last of these had told its application of a failure."""
        latest_ns = 0
        for observer in observers:
            told_ns = self._first_ns(News.FAILURE_TOLD, observer, since_ns=since_ns)
            if told_ns is None:
                return None
            latest_ns = max(latest_ns, told_ns)
        return latest_ns

    def _first_ns(self, news: News, observer: str, *, since_ns: int) -> int | None:
        return min(
            (
                sighting.at_ns
                for sighting in reversed(self.sightings)
                if sighting.news is news and sighting.observer == observer and sighting.at_ns >= since_ns
            ),
            default=None,
        )
