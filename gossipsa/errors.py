"""The bases of every error that gossipsa raises: who is at fault decides what a caller may do about it."""

from __future__ import annotations


class GossipsaError(Exception):
    """Base of all errors raised by gossipsa."""


class CallerError(GossipsaError):
    """Our own caller asked for something impossible. No state changed."""


class ConfigurationError(CallerError):
    """A configuration file or a combination of settings cannot be used. No state changed."""


class PeerError(GossipsaError):
    """The other side (gateway, client, IKE daemon) sent something that cannot be used. No state changed."""


class KernelError(GossipsaError):
    """The kernel refused a request.

    Attributes:
        errno: positive errno of the kernel's answer.
    """

    def __init__(self, message: str, *, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


class IkeDaemonError(GossipsaError):
    """The IKE daemon beside us refused a request, or is not there."""
