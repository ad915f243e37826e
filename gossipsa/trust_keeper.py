"""The trust list in a running mesh: whoever is behind is brought up, and what it takes back has to go.

Each gateway tells one other, now and then, which version it has; a new version is told to several at once, so
that it passes through the mesh like any rumour, and a gateway that misses it hears of it soon after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from gossipsa.effects import RememberTrust
from gossipsa.identifiers import GatewayName
from gossipsa.mesh_message import OfferTrust, PassTrust
from gossipsa.outbox import Outbox
from gossipsa.swim.allowance import Allowance, SenderAllowances
from gossipsa.wire.codec import encode
from gossipsa.wire.keyring import Keyring
from gossipsa.wire.trust import Refusal, TrustError, decode_trust_list

WARN_DAYS = 30
"""An identity that ends within this time is told of at the start, and every day."""

_NS_PER_S = 1_000_000_000
_DAY_S = 86_400
_OFFER_INTERVAL_NS = 10 * _NS_PER_S
_CHECK_INTERVAL_NS = 60 * _NS_PER_S
_FANOUT = 8
_PASSES_PER_SECOND = 1
_PASSES_BURST = 4
_SENDERS_MAX = 1_024
_UNSEALED_PER_SECOND = 4
_UNSEALED_BURST = 16


class TrustKeeper:
    """Keeps a keyring's trust list the newest there is, and the keyring clean of whom it does not trust."""

    def __init__(self, *, keyring: Keyring, random: Random, outbox: Outbox) -> None:
        self._keyring = keyring
        self._random = random
        self._outbox = outbox
        self._sends: list[tuple[GatewayName, OfferTrust | PassTrust]] = []
        self._passes = SenderAllowances(
            per_second=_PASSES_PER_SECOND, burst=_PASSES_BURST, senders_max=_SENDERS_MAX
        )
        self._unsealed = Allowance(per_second=_UNSEALED_PER_SECOND, burst=_UNSEALED_BURST)
        self._dropped: list[tuple[GatewayName, Refusal]] = []
        self._is_news = False
        self._now_ns = 0
        self._offer_ns = 0
        self._check_ns = 0
        self._warn_s = 0

    def start(self, *, now_ns: int) -> None:
        """Looks at the date, once."""
        self._offer_ns = now_ns + int(_OFFER_INTERVAL_NS * self._random.random())
        if self._keyring.calendar.is_implausible:
            self._outbox.report(
                "clock-implausible",
                detail="it contradicts the validity of our identity, and is moved into it",
            )
        self._check(now_ns)

    def next_deadline_ns(self) -> int:
        return self._now_ns if self._is_news else min(self._offer_ns, self._check_ns)

    def tick(self, *, live: Callable[[], Sequence[GatewayName]], now_ns: int) -> None:
        """Offers the list to some of the live members, if it is time."""
        if now_ns >= self._check_ns:
            self._check(now_ns)
        if self._is_news:
            names = live()
            for name in self._random.sample(names, min(_FANOUT, len(names))):
                self.offer(name)
            self._is_news = False
        if now_ns >= self._offer_ns:
            names = live()
            if names:
                self.offer(self._random.choice(names))
            self._offer_ns = now_ns + int(_OFFER_INTERVAL_NS * (0.5 + self._random.random()))

    def gateway_joined(self, name: GatewayName, *, live: int) -> None:
        """It may be behind, or ahead: as many as whose list is new tell it, of however many live members."""
        if live <= _FANOUT or self._random.random() * live < _FANOUT:
            self.offer(name)

    def offer(self, name: GatewayName) -> None:
        """Tells a gateway which version we have."""
        self._sends.append((name, OfferTrust(version=self._keyring.trust.version)))

    def hear_offer(self, sender: GatewayName, offer: OfferTrust, *, now_ns: int) -> None:
        """Passes the list on to a sender that is behind, and asks one that is ahead."""
        version = self._keyring.trust.version
        if offer.version == version or not self._passes.take(sender, 1, now_ns):
            return
        if offer.version > version:
            self.offer(sender)
        else:
            self._sends.append((sender, PassTrust(trust_list=encode(self._keyring.trust))))

    def hear_unsealed(self, data: bytes, *, now_ns: int) -> None:
        """A list from nobody in particular, such as in answer to an introduction: its signature counts."""
        if self._unsealed.take(1, now_ns):
            self.take(data, whence="an introduction", now_ns=now_ns)

    def take(self, data: bytes, *, whence: str, now_ns: int) -> None:
        """Goes by a list from now on, if it is newer and may take the place of ours."""
        try:
            newer = decode_trust_list(data)
        except TrustError as error:
            self._outbox.report("trust-list-refused", detail=f"{error}, from {whence}")
            return
        if newer == self._keyring.trust:
            return
        if not self._keyring.follow(newer):
            self._outbox.report(
                "trust-list-refused", detail=f"version {newer.version} does not follow from ours, {whence}"
            )
            return
        self._outbox.report("trust-list-accepted", detail=f"version {newer.version}, from {whence}")
        self._outbox.do(RememberTrust(trust_list=data))
        self._is_news, self._now_ns = True, now_ns
        self._check(now_ns)

    def take_dropped(self) -> tuple[tuple[GatewayName, Refusal], ...]:
        """Returns, once, who left the keyring, and why."""
        dropped, self._dropped = tuple(self._dropped), []
        return dropped

    def take_sends(self) -> tuple[tuple[GatewayName, OfferTrust | PassTrust], ...]:
        """Returns, once, what is to be sent."""
        sends, self._sends = tuple(self._sends), []
        return sends

    def _check(self, now_ns: int) -> None:
        self._check_ns = now_ns + _CHECK_INTERVAL_NS
        self._dropped += self._keyring.drop_refused()
        now_s, own = self._keyring.calendar.now_s, self._keyring.own
        if now_s < self._warn_s:
            return
        refusal = self._keyring.own_refusal()
        left_s = own.not_after_s - now_s
        if refusal is not None:
            self._outbox.report("own-identity-refused", detail=refusal.value)
        elif left_s < WARN_DAYS * _DAY_S:
            self._outbox.report("identity-ends-soon", detail=f"in {left_s // _DAY_S} days")
        else:
            return
        self._warn_s = now_s + _DAY_S
