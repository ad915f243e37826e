"""Writes what is to be kept over restarts, in a thread: a slow or full disk holds nobody up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from gossipsa.effects import RememberMembers, RememberTrust, Report
from gossipsa.errors import ConfigurationError
from gossipsa.state_files import write_members, write_trust_list

Remembered = RememberTrust | RememberMembers

_RETRY_S = 30.0


class StateKeeper:
    """Of each kind the newest is written, again and again until the disk takes it.

    Args:
        directory: made if it is not there.

    Raises:
        ConfigurationError: it cannot be made.
    """

    def __init__(
        self, directory: Path, *, report: Callable[[Report], None], retry_s: float = _RETRY_S
    ) -> None:
        self._directory = directory
        self._report = report
        self._retry_s = retry_s
        self._waiting: dict[type, Remembered] = {}
        self._changed = trio.Event()
        try:
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"gateway.state_directory: {directory} cannot be made: {error.strerror}"
            ) from None

    def keep(self, effect: Remembered) -> None:
        """Takes the place of what waits of the same kind. Never blocks."""
        self._waiting[type(effect)] = effect
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            for effect in tuple(self._waiting.values()):
                try:
                    await trio.to_thread.run_sync(partial(self._write, effect))
                except OSError as error:
                    detail = f"{self._directory}: {error.strerror}"
                    self._report(Report(event="state-write-failed", detail=detail))
                    continue
                if self._waiting.get(type(effect)) is effect:
                    del self._waiting[type(effect)]
            if self._waiting:
                with trio.move_on_after(self._retry_s):
                    await self._changed.wait()
                self._changed.set()

    def _write(self, effect: Remembered) -> None:
        match effect:
            case RememberTrust(trust_list=trust_list):
                write_trust_list(self._directory, trust_list)
            case RememberMembers(endpoints=endpoints):
                write_members(self._directory, endpoints)
