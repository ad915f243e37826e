"""A simulated gateway's kernel: the in-memory SAD, and what observers and faults want to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from gossipsa.identifiers import IpAddress
from gossipsa.kernel.backend import Answer, KernelSa, NewSa, OutboundBlock, SaId, SetNumbers
from gossipsa.kernel.memory_sad import MemorySad


class SimulatedKernel(MemorySad):
    """Lives as long as its host.

    Args:
        carries: is told the first address of whatever SAs may carry packets to.
    """

    def __init__(
        self, *, random_bytes: Callable[[int], bytes], carries: Callable[[IpAddress], None] = lambda _: None
    ) -> None:
        super().__init__(random_bytes=random_bytes)
        self._carries = carries
        self._blocks: dict[OutboundBlock, None] = {}

    def add_sas(self, sas: Sequence[NewSa]) -> tuple[Answer, ...]:
        for sa in sas:
            for selector in sa.destinations:
                self._carries(selector.start)
        return super().add_sas(sas)

    def block_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        self._blocks.update(dict.fromkeys(blocks))
        return super().block_outbound(blocks)

    def unblock_outbound(self, blocks: Sequence[OutboundBlock]) -> tuple[Answer, ...]:
        for block in blocks:
            self._blocks.pop(block, None)
        return super().unblock_outbound(blocks)

    def is_blocked(self, virtual_address: IpAddress) -> bool:
        """True if packets for that address are dropped on purpose."""
        return any(
            int(selector.start) <= int(virtual_address) <= int(selector.end)
            for block in self._blocks
            for selector in block.destinations
        )

    def outbound_sas(self, remote: IpAddress) -> tuple[KernelSa, ...]:
        """SAs towards a client's outer address, the oldest first."""
        return tuple(sa for sa in self.sas() if sa.id.destination == remote)

    def serves(self, remote: IpAddress, virtual_address: IpAddress) -> bool:
        """True if packets for a client leave this gateway."""
        return bool(self.outbound_sas(remote)) and not self.is_blocked(virtual_address)

    def move_sa(self, old: SaId, new: NewSa) -> None:
        """Gives an SA other addresses, as charon does it: deleted, and added with all that was counted."""
        sa = self._sas.get(old)
        if sa is None:
            return
        self._delete(old)
        self._add(new)
        moved = self._sas[new.id]
        moved.sent, moved.packets, moved.window = sa.sent, sa.packets, sa.window
        moved.soft, moved.hard, moved.is_dying, moved.is_used = sa.soft, sa.hard, sa.is_dying, sa.is_used

    def key_name(self, sa_id: SaId) -> str:
        """Names the key of an SA, without telling it.

        A packet may leave towards another address than the SA's own: the client's packets came from there.
        """
        sa = self._sas.get(sa_id) or next(sa for known, sa in self._sas.items() if known.spi == sa_id.spi)
        key = sa.new.encryption_key
        return hashlib.blake2b(key, digest_size=8).hexdigest()

    def use_up(self, sa: KernelSa, packets: int) -> int:
        """Counts packets as sent, as far as the limit allows. Returns the last number used."""
        last = min(sa.sent + packets, sa.packet_limit)
        self.set_numbers([SetNumbers(id=sa.id, sent=last)])
        return last
