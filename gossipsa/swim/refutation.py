"""What we say of ourselves, and how we outbid what others say of us."""

from __future__ import annotations

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim.allowance import Allowance
from gossipsa.swim.member import claim_key
from gossipsa.swim.messages import INCARNATION_MAX, METADATA_BYTES_MAX, MemberState, Update

RESTART_STEP = 1 << 20
"""A boot starts at the next multiple of this: above every refutation of the boot before it, known or not."""

REFUTATIONS_BURST = 32
REFUTATIONS_PER_SECOND = 4
"""Two hosts that share a name outbid each other for ever; this bounds how fast."""


class OwnClaim:
    """Our own entry in everybody's table. Nobody else raises its incarnation."""

    def __init__(self, *, name: GatewayName, boot: BootId, endpoint: Endpoint, metadata: bytes) -> None:
        self._name = name
        self._boot = boot
        self._endpoint = endpoint
        self._metadata = _checked(metadata)
        self._incarnation = 0
        self._left = False
        self._allowance = Allowance(per_second=REFUTATIONS_PER_SECOND, burst=REFUTATIONS_BURST)

    @property
    def incarnation(self) -> int:
        return self._incarnation

    @property
    def left(self) -> bool:
        return self._left

    @property
    def metadata(self) -> bytes:
        return self._metadata

    def update(self) -> Update:
        return Update(
            member=self._name,
            boot=self._boot,
            incarnation=self._incarnation,
            state=MemberState.LEFT if self._left else MemberState.ALIVE,
            address=self._endpoint.address.packed,
            port=self._endpoint.port,
            metadata=self._metadata,
        )

    def describe(self, metadata: bytes) -> bool:
        """Say something else of ourselves; False if it is what we say already.

        Raises:
            ConfigurationError: longer than METADATA_BYTES_MAX.
        """
        if _checked(metadata) == self._metadata:
            return False
        self._metadata = metadata
        self._incarnation += 1
        return True

    def leave(self) -> None:
        """Say goodbye: nothing is refuted from now on."""
        self._left = True

    def answer(self, claim: Update, *, now_ns: int) -> bool:
        """True if the claim about us would win over ours, and our incarnation was raised above it."""
        ours = self.update()
        if self._left or claim_key(claim) <= claim_key(ours):
            return False
        if claim.incarnation + RESTART_STEP > INCARNATION_MAX or not self._allowance.take(1, now_ns):
            return False
        if claim.boot == self._boot:
            self._incarnation = claim.incarnation + 1
        else:
            self._incarnation = (claim.incarnation // RESTART_STEP + 1) * RESTART_STEP
        return True


def _checked(metadata: bytes) -> bytes:
    if len(metadata) > METADATA_BYTES_MAX:
        raise ConfigurationError(
            f"swim: {len(metadata)} bytes of metadata, at most {METADATA_BYTES_MAX} possible"
        )
    return metadata
