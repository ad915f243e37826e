"""Netlink messages: lengths, sequence numbers, attributes, refusals (include/uapi/linux/netlink.h)."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from gossipsa.errors import KernelError

NETLINK_ROUTE = 0
NETLINK_XFRM = 6

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400

NLMSG_ERROR = 2
NLMSG_DONE = 3
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1


_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")


class NetlinkFormatError(KernelError):
    """The kernel sent something that is no netlink message, or not the one that was due."""

    def __init__(self, message: str) -> None:
        super().__init__(message, errno=errno.EBADMSG)


class NetlinkMessage(NamedTuple):
    """Where a message lies in a receive buffer."""

    type: int
    flags: int
    sequence: int
    start: int
    """Offset of its payload."""
    end: int
    """Offset behind its payload."""


def split_messages(buffer: bytes | bytearray | memoryview) -> Iterator[NetlinkMessage]:
    """Find the messages in a datagram.

    Raises:
        NetlinkFormatError: a length does not fit.
    """
    offset, size = 0, len(buffer)
    while offset < size:
        if size - offset < _HEADER.size:
            raise NetlinkFormatError("netlink message is shorter than its header")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(buffer, offset)
        if not _HEADER.size <= length <= size - offset:
            raise NetlinkFormatError("netlink message has a wrong length")
        yield NetlinkMessage(kind, flags, sequence, offset + _HEADER.size, offset + length)
        offset += (length + 3) & ~3


def split_attributes(
    buffer: bytes | bytearray | memoryview, start: int, end: int
) -> Iterator[tuple[int, int, int]]:
    """Find the attributes between two offsets. Yields type, start and end of the value of each.

    Raises:
        NetlinkFormatError: a length does not fit.
    """
    while start < end:
        if end - start < _ATTRIBUTE.size:
            raise NetlinkFormatError("netlink attribute is shorter than its header")
        length, kind = _ATTRIBUTE.unpack_from(buffer, start)
        if not _ATTRIBUTE.size <= length <= end - start:
            raise NetlinkFormatError("netlink attribute has a wrong length")
        yield kind & 0x3FFF, start + _ATTRIBUTE.size, start + length
        start += (length + 3) & ~3


class Refusal(NamedTuple):
    """A negative answer of the kernel, before it is put into words."""

    errno: int
    text: str
    """The kernel's own words (extended acknowledgement), empty if it has none."""

    def to_error(self, what: str) -> KernelError:
        """Put it into words."""
        reason = os.strerror(self.errno)
        if self.text:
            reason += f" ({self.text})"
        if self.errno == errno.EPERM:
            reason += "; CAP_NET_ADMIN is needed in this network namespace"
        return KernelError(f"{what}: {reason}", errno=self.errno)


def read_answer(buffer: bytes | bytearray | memoryview, message: NetlinkMessage) -> Refusal | None:
    """Read an NLMSG_ERROR message. None if it is an acknowledgement.

    Raises:
        NetlinkFormatError: truncated.
    """
    if message.end - message.start < _ERRNO.size:
        raise NetlinkFormatError("netlink error message is truncated")
    (code,) = _ERRNO.unpack_from(buffer, message.start)
    if code == 0:
        return None
    text = ""
    attributes = message.start + _ERRNO.size + _HEADER.size
    # The failed message itself is left out (NETLINK_CAP_ACK), but for its header.
    if message.flags & _NLM_F_ACK_TLVS and message.flags & _NLM_F_CAPPED:
        for kind, start, end in split_attributes(buffer, attributes, message.end):
            if kind == _NLMSGERR_ATTR_MSG:
                text = bytes(buffer[start:end]).rstrip(b"\0").decode("utf-8", "replace")
    return Refusal(abs(code), text)
