"""What can go wrong with charon, as its adapter tells it."""

from __future__ import annotations

from gossipsa.errors import IkeDaemonError


class CharonUnavailableError(IkeDaemonError):
    """Charon is not there, died meanwhile, or does not read what it is sent. What it did is unknown."""


class CharonRefusedError(IkeDaemonError):
    """Charon, or its configuration, cannot do what was asked. Nothing changed."""
