"""The kernel's SPD: blocks of our own, and the deletion of policies that a dead IKE daemon left.

A block must come before the IKE daemon's policies and must never be equal to one, or one would replace the
other and deleting it would take the other along. Priority 0 comes before every priority that charon computes
or lets be configured. The selector's `user` field, which the kernel compares when it tells policies apart and
ignores when it matches packets, holds a number that nobody else writes there.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from gossipsa.errors import KernelError
from gossipsa.ipsec.traffic_selector import Network
from gossipsa.kernel.backend import Answer, OutboundBlock
from gossipsa.kernel.covering_network import covering_network
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NetlinkFormatError, split_attributes
from gossipsa.kernel.xfrm.pacing import paced
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.uapi import (
    SELECTOR,
    Action,
    Attribute,
    Direction,
    Mark,
    MarkField,
    MessageType,
    Selector,
    UserPolicyId,
    UserPolicyInfo,
    UserPolicyInfoField,
    family_of,
    pack_address,
    unpack_address,
)

BLOCK_USER = 0x67737061
"""`user` of our selectors: "gspa"."""

_INFO_BYTES = UserPolicyInfoField.layout.size
_ANY: tuple[Network, ...] = (ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0"))


class PolicyRecord(NamedTuple):
    """A policy as a dump shows it, as far as it is needed to delete it."""

    selector: Selector
    policy_index: int
    direction: int
    mark: Mark | None
    interface_id: int


class Policies:
    """Works on the SPD by way of a request socket.

    Args:
        priority: of blocks; lower numbers come first.
        interface_ids: XFRM interface ids for which blocks hold; 0 is traffic without such an interface.
    """

    def __init__(self, requests: RequestSocket, *, priority: int, interface_ids: Sequence[int]) -> None:
        self._requests = requests
        self._priority = priority
        self._interface_ids = tuple(interface_ids)

    async def block(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        messages = [
            [
                encode_block(selector, priority=self._priority, interface_id=interface_id)
                for selector in block_selectors(block)
                for interface_id in self._interface_ids
            ]
            async for block in paced(blocks)
        ]
        return await self._execute(messages, blocks, "block", done=(errno.EEXIST,))

    async def unblock(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        messages = [
            [
                encode_unblock(selector, interface_id=interface_id)
                for selector in block_selectors(block)
                for interface_id in self._interface_ids
            ]
            async for block in paced(blocks)
        ]
        return await self._execute(messages, blocks, "unblock", done=(errno.ENOENT, errno.ESRCH))

    async def delete_others(self, towards: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        """Delete all policies but our own blocks that send towards, or expect from, these destinations.

        Raises:
            KernelError: the policies cannot be listed.
        """
        request = encode(MessageType.GETPOLICY, UserPolicyId())
        by_remote: dict[Network, list[PolicyRecord]] = {}
        for record in await self._requests.dump(request, decode_policy_record, what="cannot list policies"):
            by_remote.setdefault(remote_network(record), []).append(record)
        messages = [
            [
                encode_delete(record)
                for remote in dict.fromkeys(covering_network(selector) for selector in block.destinations)
                for record in by_remote.get(remote, ())
            ]
            async for block in paced(towards)
        ]
        return await self._execute(messages, towards, "delete policies of", done=(errno.ENOENT, errno.ESRCH))

    async def _execute(
        self,
        messages: Sequence[Sequence[bytearray]],
        blocks: Sequence[OutboundBlock],
        what: str,
        *,
        done: tuple[int, ...],
    ) -> tuple[Answer, ...]:
        """Send the messages of each item. Its answer is the first refusal of one of them."""
        owners = [index for index, group in enumerate(messages) for _ in group]
        refusals = await self._requests.execute([message for group in messages for message in group])
        answers: list[KernelError | None] = [None] * len(messages)
        for index, refusal in zip(owners, refusals, strict=True):
            if refusal is not None and refusal.errno not in done and answers[index] is None:
                answers[index] = refusal.to_error(f"{what} {_describe(blocks[index])}")
        return tuple(answers)


def _describe(block: OutboundBlock) -> str:
    first, *more = (str(covering_network(selector)) for selector in block.destinations)
    return f"{first} and {len(more)} more" if more else first


def block_selectors(block: OutboundBlock) -> list[Selector]:
    """Return the selectors of a block: each source with each destination of its address family, all ports."""
    selectors: list[Selector] = []
    destinations = dict.fromkeys(covering_network(selector) for selector in block.destinations)
    sources = dict.fromkeys(covering_network(selector) for selector in block.sources)
    if not sources:
        sources = dict.fromkeys(_ANY)
    for destination in destinations:
        selectors.extend(
            Selector(
                destination=pack_address(destination.network_address),
                source=pack_address(source.network_address),
                family=family_of(destination.network_address),
                destination_prefix_bits=destination.prefixlen,
                source_prefix_bits=source.prefixlen,
                user=BLOCK_USER,
            )
            for source in sources
            if source.version == destination.version
        )
    return selectors


def encode_block(selector: Selector, *, priority: int, interface_id: int) -> bytearray:
    """NEWPOLICY: drop what goes out by this selector."""
    body = UserPolicyInfo(
        selector=SELECTOR.pack(*selector),
        priority=priority,
        direction=Direction.OUT,
        action=Action.BLOCK,
    )
    return encode(MessageType.NEWPOLICY, body, _interface(interface_id))


def encode_unblock(selector: Selector, *, interface_id: int) -> bytearray:
    """DELPOLICY of a block."""
    body = UserPolicyId(selector=SELECTOR.pack(*selector), direction=Direction.OUT)
    return encode(MessageType.DELPOLICY, body, _interface(interface_id))


def encode_delete(record: PolicyRecord) -> bytearray:
    """DELPOLICY by index, which names this policy and no other."""
    body = UserPolicyId(
        selector=SELECTOR.pack(*record.selector), policy_index=record.policy_index, direction=record.direction
    )
    mark = [] if record.mark is None else [("XFRMA_MARK", record.mark)]
    return encode(MessageType.DELPOLICY, body, [*mark, *_interface(record.interface_id)])


def _interface(interface_id: int) -> list[tuple[str, Any]]:
    return [("XFRMA_IF_ID", interface_id)] if interface_id else []


def remote_network(record: PolicyRecord) -> Network:
    """Return the side of a policy where the client is: the destination of what goes out."""
    selector = record.selector
    if record.direction == Direction.OUT:
        packed, prefix_bits = selector.destination, selector.destination_prefix_bits
    else:
        packed, prefix_bits = selector.source, selector.source_prefix_bits
    return ipaddress.ip_network((unpack_address(packed, selector.family), prefix_bits), strict=False)


def decode_policy_record(buffer: bytes | bytearray | memoryview, start: int, end: int) -> PolicyRecord | None:
    """Decode a NEWPOLICY message of a dump. None for policies of sockets and for our own blocks.

    Raises:
        NetlinkFormatError: truncated or malformed.
    """
    if end - start < _INFO_BYTES:
        raise NetlinkFormatError("policy of a dump is truncated")
    info = UserPolicyInfo(*UserPolicyInfoField.layout.unpack_from(buffer, start))
    selector = Selector(*SELECTOR.unpack(info.selector))
    if info.direction > Direction.FORWARD or selector.user == BLOCK_USER:
        return None
    width = 32 if selector.family == family_of(ipaddress.IPv4Address(0)) else 128
    if max(selector.destination_prefix_bits, selector.source_prefix_bits) > width:
        raise NetlinkFormatError("selector of a policy has an impossible prefix")
    mark, interface_id = None, 0
    try:
        for kind, value, _ in split_attributes(buffer, start + _INFO_BYTES, end):
            if kind == Attribute.MARK:
                mark = Mark(*MarkField.layout.unpack_from(buffer, value))
            elif kind == Attribute.IF_ID:
                (interface_id,) = struct.unpack_from("=I", buffer, value)
    except struct.error as error:
        raise NetlinkFormatError("attribute of a policy is truncated") from error
    return PolicyRecord(selector, info.policy_index, info.direction, mark, interface_id)
