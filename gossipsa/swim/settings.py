"""Timing and bounds of the membership protocol, and the profiles shipped.

All members of a mesh use the same profile; a mesh of mixed profiles works, as slow as its slowest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gossipsa.errors import ConfigurationError
from gossipsa.swim.messages import EVIDENCE_MAX, STATE_PARTS_MAX, UPDATES_MAX

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000 * MILLISECOND_NS
HOUR_NS = 3_600 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class SwimSettings:
    """Every duration is in nanoseconds. Impossible combinations raise ConfigurationError."""

    probe_interval_ns: int = 500 * MILLISECOND_NS
    """Time between two probes of the round robin (SWIM's protocol period)."""
    watch_interval_ns: int = 110 * MILLISECOND_NS
    """Silence of a watched gateway after which it is probed. Shorter detects sooner and costs packets."""
    watched_max: int = 6
    """Gateways watched at once; more are ignored."""
    neighbours: int = 2
    """Members that follow us in the circle, each probed when it was silent for `probe_interval_ns`, or longer
    while we are not well. With 0 there is the round robin only, as in SWIM."""

    ping_attempts: int = 8
    """Pings of one probe before it fails. At 25 % loss each way nearly one in two is lost: 6 at least."""
    ping_gap_ns: int = 16 * MILLISECOND_NS
    """Time between the pings of one probe after the first repetition."""
    ack_wait_initial_ns: int = 100 * MILLISECOND_NS
    """Wait for the first answer of a gateway whose round-trip time was never measured."""
    ack_wait_min_ns: int = 40 * MILLISECOND_NS
    """Least wait for an answer: what a healthy but busy host may take to schedule its daemon."""
    ack_wait_max_ns: int = 400 * MILLISECOND_NS
    """Longest wait for an answer, however slow the path was measured."""
    relays: int = 3
    """Members asked for an indirect probe, each time (SWIM's k)."""
    relay_attempts: tuple[int, ...] = (3, 6)
    """The attempts of a probe, counted from 1, with which relays are asked."""
    stream_attempt: int = 3
    """The attempt of a probe, counted from 1, with which the target is asked over its stream; 0: never."""
    stream_check_interval_ns: int = 5 * SECOND_NS
    """Time between two trials of the streams: of those whose state we share, and of one random member."""
    probes_max: int = 64
    """Probes under way at once, those made for others included."""
    late_ack_ns: int = 2 * SECOND_NS
    """How long an answer is still recognised: it shows that the path is slower than believed."""

    suspicion_min_ns: int = 200 * MILLISECOND_NS
    """Time a suspect has to refute, however many confirm the suspicion."""
    suspicion_max_ns: int = 1_000 * MILLISECOND_NS
    """Time a suspect has to refute when nobody confirms."""
    confirmations: int = 2
    """Independent confirmations that bring the timeout down to the minimum (Lifeguard's K)."""
    witnesses_min: int = 2
    """Members that must have found another one silent before anybody takes it for dead, up to 3. With 1 every
    single member can have any other one taken for dead, as in SWIM (DSN 2002)."""
    second_look: bool = True
    """Look for ourselves before we believe others: verdicts are checked, suspects are asked, and what they
    answer counts against suspicions. Without it others are believed, as in SWIM."""
    buddy: bool = True
    """Tell a suspect so with every packet to it (Lifeguard, arXiv 1707.00788 section IV.C)."""
    second_opinions: int = 8
    """Members that probe a suspect at once, on average, when they hear of a suspicion."""

    gossip_interval_ns: int = 50 * MILLISECOND_NS
    """Time between packets sent only to spread news; none are sent when there is no news."""
    gossip_fanout: int = 3
    """Members told with each of them."""
    retransmissions: int = 2
    """An update is sent this many times log2 of the number of members, rounded up, by each member."""
    encoded_bytes_max: int = 1_330
    """Largest packet that goes as a datagram, before sealing: sealed, it fits 1,400 bytes."""

    state_datagrams_max: int = 8
    """A full state that needs more datagrams than this goes over a stream."""
    exchange_interval_ns: int = 15 * SECOND_NS
    """Time between comparisons of all knowledge with a random member, while nothing changes."""
    exchange_soon_ns: int = 200 * MILLISECOND_NS
    """Time from a change to the first comparison; each one doubles the time to the next."""
    join_retry_ns: int = 150 * MILLISECOND_NS
    """First wait for a seed's answer; doubled at each attempt, up to `reunion_interval_ns`."""
    join_parallel: int = 3
    """Seeds asked for their full state at first; twice as many with each retry while nobody answers."""
    seeds_max: int = 64
    """Seeds called at once; beyond that, those called in vain most often give way to new ones."""
    reunion_interval_ns: int = 1 * SECOND_NS
    """Time between two attempts to reach a failed member, one at a time: partitions heal by this."""
    reunion_burst: int = 16
    """Failed members called at once when a returned member reports them alive."""
    forget_ns: int = 24 * HOUR_NS
    """How long failed and departed members are remembered."""

    flap_half_life_ns: int = 60 * SECOND_NS
    """Time in which half of a member's penalty for flapping decays (RFC 2439)."""
    flap_suppress_penalty: int = 2_500
    """Penalty from which on a member is damped: 1,000 for each return from death, 500 for each refutation."""
    flap_reuse_penalty: int = 750
    """Penalty below which it no longer is."""
    flap_suppress_max_ns: int = 300 * SECOND_NS
    """Longest time that a member stays damped after its last flap. At most 64 half-lives."""

    stall_ns: int = 60 * MILLISECOND_NS
    """Lateness of our own timer beyond which we were stalled, and blame nobody for the silence; 0: never."""
    health_max: int = 4
    """Highest local health score: waits stretch up to (1 + this) times (Lifeguard)."""

    members_max: int = 1_024
    """Members known at once, the failed and departed included."""
    goodbyes_max: int = 64
    """Members told directly that we leave; they tell the others."""
    queued_updates_max: int = 2_048
    """Updates waiting to be spread."""
    updates_per_second_max: int = 2_000
    """Updates accepted from one sender each second, beyond a burst of four full states."""

    def __post_init__(self) -> None:
        for name in POSITIVE:
            _require(getattr(self, name) > 0, f"{name} must be positive")
        for name in NOT_NEGATIVE:
            _require(getattr(self, name) >= 0, f"{name} must not be negative")
        for holds, message in RELATIONS:
            _require(holds(self), message)

    @property
    def probe_min_ns(self) -> int:
        """What the shortest probe takes to fail."""
        return 2 * self.ack_wait_min_ns + (self.ping_attempts - 2) * self.ping_gap_ns

    @property
    def probe_max_ns(self) -> int:
        """What a probe takes to fail on the slowest path, if we are well."""
        return 2 * self.ack_wait_max_ns + (self.ping_attempts - 2) * self.ping_gap_ns


POSITIVE = (
    "probe_interval_ns",
    "watch_interval_ns",
    "ping_gap_ns",
    "ack_wait_min_ns",
    "suspicion_min_ns",
    "gossip_interval_ns",
    "exchange_interval_ns",
    "exchange_soon_ns",
    "join_retry_ns",
    "reunion_interval_ns",
    "forget_ns",
    "flap_half_life_ns",
    "flap_suppress_max_ns",
    "flap_reuse_penalty",
    "gossip_fanout",
    "retransmissions",
    "confirmations",
    "second_opinions",
    "probes_max",
    "join_parallel",
    "seeds_max",
    "reunion_burst",
    "goodbyes_max",
    "state_datagrams_max",
    "queued_updates_max",
    "updates_per_second_max",
)
NOT_NEGATIVE = ("watched_max", "neighbours", "relays", "health_max", "stall_ns")

Relation = tuple[Callable[[SwimSettings], bool], str]

RELATIONS: tuple[Relation, ...] = (
    (
        lambda it: 2 <= it.members_max < UPDATES_MAX,
        f"members_max must lie between 2 and {UPDATES_MAX - 1}",
    ),
    (
        lambda it: 1 <= it.witnesses_min <= EVIDENCE_MAX,
        f"witnesses_min must lie between 1 and {EVIDENCE_MAX}",
    ),
    (lambda it: it.ping_attempts >= 2, "ping_attempts must be at least 2"),
    (
        lambda it: all(1 < attempt <= it.ping_attempts for attempt in it.relay_attempts),
        "relay_attempts must lie between 2 and ping_attempts",
    ),
    (
        lambda it: list(it.relay_attempts) == sorted(set(it.relay_attempts)),
        "relay_attempts must increase",
    ),
    (
        lambda it: it.stream_attempt == 0 or 1 < it.stream_attempt <= it.ping_attempts,
        "stream_attempt must be 0, or lie between 2 and ping_attempts",
    ),
    (
        lambda it: it.ack_wait_min_ns <= it.ack_wait_initial_ns <= it.ack_wait_max_ns,
        "ack_wait_min_ns <= ack_wait_initial_ns <= ack_wait_max_ns must hold",
    ),
    (
        lambda it: it.ping_gap_ns <= it.ack_wait_max_ns,
        "ping_gap_ns must not exceed ack_wait_max_ns",
    ),
    (
        lambda it: it.late_ack_ns >= it.probe_max_ns,
        "late_ack_ns must not be below the longest probe: twice ack_wait_max_ns, and all gaps",
    ),
    (
        lambda it: it.late_ack_ns >= it.suspicion_max_ns,
        "late_ack_ns must not be below suspicion_max_ns: the dead have failed before they seem half-dead",
    ),
    (
        lambda it: it.stream_check_interval_ns > it.late_ack_ns,
        "stream_check_interval_ns must exceed late_ack_ns: one trial ends before the next",
    ),
    (
        lambda it: it.suspicion_min_ns <= it.suspicion_max_ns,
        "suspicion_min_ns must not exceed suspicion_max_ns",
    ),
    (
        lambda it: it.suspicion_max_ns >= it.probe_min_ns,
        "suspicion_max_ns must outlast a probe, or nobody can confirm in time: "
        "twice ack_wait_min_ns, and the gaps of all other pings",
    ),
    (
        lambda it: it.suspicion_min_ns >= 2 * it.gossip_interval_ns,
        "suspicion_min_ns must leave two gossip_interval_ns for a refutation to arrive",
    ),
    (
        lambda it: it.stall_ns <= it.suspicion_min_ns,
        "stall_ns must not exceed suspicion_min_ns: no verdict falls while we are stalled unnoticed",
    ),
    (
        lambda it: it.second_opinions >= it.confirmations,
        "second_opinions must not be below confirmations",
    ),
    (
        lambda it: it.watch_interval_ns <= it.probe_interval_ns,
        "watch_interval_ns must not exceed probe_interval_ns",
    ),
    (
        lambda it: it.probes_max > it.watched_max + it.neighbours,
        "probes_max must exceed watched_max and neighbours together: the round robin needs a probe, too",
    ),
    (
        lambda it: it.join_retry_ns <= it.reunion_interval_ns,
        "join_retry_ns must not exceed reunion_interval_ns",
    ),
    (
        lambda it: it.state_datagrams_max <= STATE_PARTS_MAX,
        f"state_datagrams_max must not exceed {STATE_PARTS_MAX}",
    ),
    (
        lambda it: it.encoded_bytes_max >= 1_325,
        "encoded_bytes_max must leave room for a member with the longest name, identity and metadata: "
        "1325 at least",
    ),
    (
        lambda it: it.flap_suppress_max_ns <= 64 * it.flap_half_life_ns,
        "flap_suppress_max_ns must not exceed 64 times flap_half_life_ns",
    ),
    (
        lambda it: it.flap_reuse_penalty < it.flap_suppress_penalty,
        "flap_reuse_penalty must be below flap_suppress_penalty",
    ),
    (
        lambda it: (
            it.flap_suppress_penalty
            < it.flap_reuse_penalty * 2.0 ** (it.flap_suppress_max_ns / it.flap_half_life_ns)
        ),
        "flap_suppress_max_ns must be so many flap_half_life_ns that flap_suppress_penalty decays in it",
    ),
    (
        lambda it: it.exchange_soon_ns <= it.exchange_interval_ns,
        "exchange_soon_ns must not exceed exchange_interval_ns",
    ),
    (
        lambda it: it.forget_ns > it.exchange_interval_ns,
        "forget_ns must exceed exchange_interval_ns",
    ),
    (
        lambda it: it.forget_ns > it.reunion_interval_ns,
        "forget_ns must exceed reunion_interval_ns",
    ),
)
"""Settings that must hold together, and what to say if they do not."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigurationError(f"swim: {message}")


LAN = SwimSettings()
"""Sites up to 100 ms apart. A watched gateway that dies is failed after 0.4 s, 0.6 s at 80 ms round trip."""

WAN = SwimSettings(
    probe_interval_ns=1 * SECOND_NS,
    watch_interval_ns=250 * MILLISECOND_NS,
    ping_gap_ns=50 * MILLISECOND_NS,
    ack_wait_initial_ns=300 * MILLISECOND_NS,
    ack_wait_min_ns=50 * MILLISECOND_NS,
    ack_wait_max_ns=1 * SECOND_NS,
    late_ack_ns=4 * SECOND_NS,
    suspicion_min_ns=500 * MILLISECOND_NS,
    suspicion_max_ns=3 * SECOND_NS,
    gossip_interval_ns=100 * MILLISECOND_NS,
    exchange_interval_ns=30 * SECOND_NS,
    exchange_soon_ns=500 * MILLISECOND_NS,
    stream_check_interval_ns=10 * SECOND_NS,
    join_retry_ns=400 * MILLISECOND_NS,
    stall_ns=150 * MILLISECOND_NS,
)
"""Sites on different continents, or links that stall for some hundred milliseconds."""

LOCAL = SwimSettings(
    probe_interval_ns=250 * MILLISECOND_NS,
    watch_interval_ns=50 * MILLISECOND_NS,
    ping_gap_ns=10 * MILLISECOND_NS,
    ack_wait_initial_ns=50 * MILLISECOND_NS,
    ack_wait_min_ns=10 * MILLISECOND_NS,
    ack_wait_max_ns=100 * MILLISECOND_NS,
    suspicion_min_ns=100 * MILLISECOND_NS,
    suspicion_max_ns=600 * MILLISECOND_NS,
    gossip_interval_ns=25 * MILLISECOND_NS,
    exchange_interval_ns=10 * SECOND_NS,
    exchange_soon_ns=100 * MILLISECOND_NS,
    join_retry_ns=50 * MILLISECOND_NS,
    reunion_interval_ns=500 * MILLISECOND_NS,
    stall_ns=30 * MILLISECOND_NS,
)
"""One rack, with daemons that are scheduled promptly."""

PROFILES = {"lan": LAN, "wan": WAN, "local": LOCAL}
"""Profiles by the names that a configuration uses."""
