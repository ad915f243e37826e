"""What is known of one member, and how claims about it are ordered."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

import msgspec

from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim.messages import EVIDENCE_MAX, MemberState, Testimony, Update, Yielded
from gossipsa.swim.reachability import Way
from gossipsa.swim.round_trip import RoundTrip
from gossipsa.swim.suspicion import Suspicion

NEVER_NS = -(1 << 62)
"""Earlier than any clock."""

ClaimKey = tuple[int, BootId, MemberState]


def claim_key(update: Update) -> ClaimKey:
    """Of two claims about one member the one with the greater key stays, in whatever order they arrive.

    First the incarnation, then the state: SWIM (DSN 2002) section 4.2. A new boot starts far above the
    incarnations of the boot before it; equal incarnations of two boots exist only until the living one hears
    of it and raises its own, and the boot id decides meanwhile.
    """
    return (update.incarnation, update.boot, update.state)


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member as others see it: a copy."""

    name: GatewayName
    boot: BootId
    state: MemberState
    incarnation: int
    metadata: bytes
    endpoint: Endpoint
    rtt_ns: int | None
    """Smoothed round-trip time; None if never measured."""
    since_ns: int
    """When it came into this state, on our clock."""
    suspected_since_ns: int | None
    witnesses: tuple[GatewayName, ...]
    """Who suspects it, first hand."""
    heard_ns: int
    """Last sign of life, first hand; far in the past if there was none."""
    flapping: bool = False
    """It keeps failing and returning, or being suspected: see `flap_damping`."""
    closed: frozenset[Way] = frozenset()
    """Ways to it, or from it, on which nothing passes though it is alive."""


class Member(msgspec.Struct, kw_only=True):
    """One other gateway. Failed and departed ones are kept for a while."""

    name: GatewayName
    boot: BootId
    incarnation: int
    state: MemberState
    endpoint: Endpoint
    metadata: bytes
    since_ns: int
    identity: bytes = b""
    signature: bytes = b""
    """Its own, over the words above."""
    succeeds: bytes = b""
    evidence: tuple[Testimony, ...] = ()
    """What its verdict rests on; present in state FAILED only."""
    suspicion: Suspicion | None = None
    """Present exactly in state SUSPECT."""
    rumour: Update | None = None
    """A verdict of others that we doubt: to be checked, and told to the member so that it refutes."""
    spoken_boot: BootId | None = None
    """The boot in its last packet, if it is not `boot`: it restarted and was not announced yet."""
    rival: Yielded | None = None
    """What another host of this name said when it gave way, to be passed on when the member is heard next."""
    rival_passes: int = 0
    """How often that was passed on."""
    round_trip: RoundTrip = msgspec.field(default_factory=RoundTrip)
    heard_ns: int = NEVER_NS
    """Last packet of this boot, first hand."""
    silent_ns: int = NEVER_NS
    """When a probe of ours failed last."""

    @property
    def key(self) -> ClaimKey:
        return (self.incarnation, self.boot, self.state)

    @property
    def words(self) -> tuple[int, BootId]:
        """Which of its words we hold: the greater ones are the later ones."""
        return (self.incarnation, self.boot)

    @property
    def testimonies(self) -> tuple[Testimony, ...]:
        """Why it is suspected or failed, as much as travels."""
        return (self.evidence if self.suspicion is None else self.suspicion.testimonies)[:EVIDENCE_MAX]

    @property
    def heard_since_suspicion(self) -> bool:
        return self.suspicion is not None and self.heard_ns > self.suspicion.started_ns

    def update(self, *, now_ns: int) -> Update:
        """All we believe of it, complete."""
        age_s = 0 if self.state.live else max(0, (now_ns - self.since_ns) // 1_000_000_000)
        return Update(
            member=self.name,
            boot=self.boot,
            incarnation=self.incarnation,
            state=self.state,
            evidence=self.testimonies,
            age_s=age_s,
            address=self.endpoint.address.packed,
            port=self.endpoint.port,
            metadata=self.metadata,
            succeeds=self.succeeds,
            identity=self.identity,
            signature=self.signature,
        )

    def accusation(self, *, now_ns: int) -> Update | None:
        """What this member should hear about itself, so that it can refute; None if there is nothing."""
        if self.spoken_boot is not None:
            # It cannot know what an earlier boot said, and believes it by the signature.
            return self.update(now_ns=now_ns)
        if self.rumour is not None:
            return self.rumour
        return self.accused(self.state, self.testimonies) if self.testimonies else None

    def accused(self, state: MemberState, evidence: tuple[Testimony, ...]) -> Update:
        """A suspicion or a verdict about the words that we hold."""
        return Update(
            member=self.name,
            boot=self.boot,
            incarnation=self.incarnation,
            state=state,
            evidence=evidence,
        )

    def view(self, *, flapping: bool = False, closed: frozenset[Way] = frozenset()) -> MemberView:
        return MemberView(
            name=self.name,
            boot=self.boot,
            state=self.state,
            incarnation=self.incarnation,
            metadata=self.metadata,
            endpoint=self.endpoint,
            rtt_ns=self.round_trip.smoothed_ns,
            since_ns=self.since_ns,
            suspected_since_ns=None if self.suspicion is None else self.suspicion.started_ns,
            witnesses=() if self.suspicion is None else self.suspicion.witnesses,
            heard_ns=self.heard_ns,
            closed=closed,
            flapping=flapping,
        )


def endpoint_of(update: Update) -> Endpoint:
    """The endpoint of a complete update."""
    return _endpoint(update.address, update.port)


@lru_cache(maxsize=1 << 13)
def _endpoint(address: bytes, port: int) -> Endpoint:
    return Endpoint(ip_address(address), port)
