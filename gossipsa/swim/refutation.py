"""What we say of ourselves, signed, and how we outbid what others say of us."""

from __future__ import annotations

import msgspec

from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim import statements
from gossipsa.swim.allowance import Allowance, SenderAllowances
from gossipsa.swim.credentials import Credentials
from gossipsa.swim.messages import INCARNATION_MAX, METADATA_BYTES_MAX, MemberState, Update

RESTART_STEP = 1 << 20
"""A boot starts at the next multiple of this: above every refutation of the boot before it, known or not."""

REFUTATIONS_BURST = 32
REFUTATIONS_PER_SECOND = 4
"""What one sender can make us say anew; and how often we outbid other boots of our name."""


class OwnClaim:
    """Our own entry in everybody's table. Nobody else raises its incarnation."""

    def __init__(
        self,
        *,
        name: GatewayName,
        boot: BootId,
        endpoint: Endpoint,
        metadata: bytes,
        credentials: Credentials,
        accusers_max: int,
    ) -> None:
        self._credentials = credentials
        self._update = Update(
            member=name,
            boot=boot,
            incarnation=0,
            state=MemberState.ALIVE,
            address=endpoint.address.packed,
            port=endpoint.port,
            metadata=_checked(metadata),
        )
        self._signed = False
        self._accusers = SenderAllowances(
            per_second=REFUTATIONS_PER_SECOND, burst=REFUTATIONS_BURST, senders_max=accusers_max
        )
        self._successions = Allowance(per_second=REFUTATIONS_PER_SECOND, burst=REFUTATIONS_BURST)

    @property
    def incarnation(self) -> int:
        return self._update.incarnation

    @property
    def left(self) -> bool:
        return self._update.state is MemberState.LEFT

    @property
    def metadata(self) -> bytes:
        return self._update.metadata

    def update(self) -> Update:
        """Our words, complete."""
        if not self._signed:
            self._update = msgspec.structs.replace(
                self._update,
                identity=self._credentials.identity,
                signature=self._credentials.sign(statements.own_words(self._update)),
            )
            self._signed = True
        return self._update

    def describe(self, metadata: bytes) -> bool:
        """Say something else of ourselves; False if it is what we say already.

        Raises:
            ConfigurationError: longer than METADATA_BYTES_MAX.
        """
        if _checked(metadata) == self.metadata:
            return False
        self._say(metadata=metadata, incarnation=self.incarnation + 1)
        return True

    def reintroduce(self) -> None:
        """Say the same under the identity that we have now."""
        self._say(incarnation=self.incarnation + 1)

    def leave(self) -> None:
        """Say goodbye: nothing is refuted from now on."""
        self._say(state=MemberState.LEFT)

    def refute(self, accusation: Update, sender: GatewayName, *, now_ns: int) -> bool:
        """Answer a suspicion or verdict about our words of now; False if it is about others, or too many."""
        if self.left or (accusation.boot, accusation.incarnation) != (self._update.boot, self.incarnation):
            return False
        if self.incarnation >= INCARNATION_MAX or not self._accusers.take(sender, 1, now_ns):
            return False
        self._say(incarnation=self.incarnation + 1)
        return True

    def outbid(self, words: Update, *, succeeding: bool, now_ns: int) -> bool:
        """Speak above another boot of our name; False if that is not possible, or too often.

        Args:
            succeeding: name it as the boot that we replace.
        """
        if self.left or words.incarnation + RESTART_STEP > INCARNATION_MAX:
            return False
        if not self._successions.take(1, now_ns):
            return False
        incarnation = (words.incarnation // RESTART_STEP + 1) * RESTART_STEP
        self._say(incarnation=incarnation, succeeds=words.boot if succeeding else self._update.succeeds)
        return True

    def _say(self, **changes: object) -> None:
        self._update = msgspec.structs.replace(self._update, **changes)
        self._signed = False


def _checked(metadata: bytes) -> bytes:
    if len(metadata) > METADATA_BYTES_MAX:
        raise ConfigurationError(
            f"swim: {len(metadata)} bytes of metadata, at most {METADATA_BYTES_MAX} possible"
        )
    return metadata
