"""Where other gateways are reached: by their own signed word, or where we met them.

Also what follows from it: streams are opened to those that we will need, and where members live is remembered
for the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gossipsa.effects import OpenStream, RememberMembers
from gossipsa.identifiers import Endpoint, GatewayName, Holder
from gossipsa.introductions import REMEMBERED_MAX
from gossipsa.outbox import Outbox
from gossipsa.swim.member import MemberView

_REMEMBER_INTERVAL_NS = 10_000_000_000
_REMEMBER_FIRST_NS = 1_000_000_000


class Contacts:
    """Endpoints of gateways.

    Args:
        seeds: the operator's, not worth remembering.
        remembered: what an earlier boot remembered.
    """

    def __init__(self, seeds: tuple[Endpoint, ...], remembered: tuple[Endpoint, ...]) -> None:
        self.remembered = remembered[:REMEMBERED_MAX]
        self._seeds = frozenset(seeds)
        self._introduced: dict[GatewayName, Endpoint] = {}
        # By authenticated datagrams: which boot spoke last, and from where.
        self._heard: dict[GatewayName, tuple[Holder, Endpoint]] = {}
        self._opened: dict[GatewayName, Endpoint] = {}
        self._kept = self.remembered
        self._remember_ns: int | None = None

    def introduced(self, name: GatewayName, source: Endpoint) -> None:
        """An identity was shown from there, by whomever."""
        self._introduced[name] = source

    def heard(self, sender: Holder, source: Endpoint) -> None:
        """A sealed datagram of this boot came from there."""
        self._heard[sender.gateway] = (sender, source)

    def heard_over_stream(self, sender: Holder) -> None:
        """A sealed frame of this boot came. It tells no place: that is where its identity was shown."""
        known, place = self._heard.get(sender.gateway), self._introduced.get(sender.gateway)
        if place is not None and (known is None or known[0].boot != sender.boot):
            self._heard[sender.gateway] = (sender, place)

    def forget(self, name: GatewayName) -> None:
        """A gateway is none of ours any more."""
        for known in (self._introduced, self._heard, self._opened):
            known.pop(name, None)

    def endpoint(self, name: GatewayName, member: MemberView | None) -> Endpoint | None:
        """Where to send to: what the gateway says of itself, but for a boot that has not said it yet."""
        heard = self._heard.get(name)
        if member is not None and (heard is None or heard[0].boot == member.boot):
            return member.endpoint
        if heard is not None:
            return heard[1]
        return self._introduced.get(name)

    def endpoints(self, name: GatewayName, member: MemberView | None) -> tuple[Endpoint, ...]:
        """Where it may be for a handshake, whose success alone tells: as `endpoint` says, or where its
        identity was shown last."""
        places = (self.endpoint(name, member), self._introduced.get(name))
        return tuple(dict.fromkeys(place for place in places if place is not None))

    def open_streams(
        self,
        partners: Iterable[GatewayName],
        *,
        endpoint_of: Callable[[GatewayName], Endpoint | None],
        outbox: Outbox,
    ) -> None:
        """Opens streams to gateways that records go to or come from, where they are now."""
        opened = {}
        for name in partners:
            endpoint = endpoint_of(name)
            if endpoint is None:
                continue
            opened[name] = endpoint
            if self._opened.get(name) != endpoint:
                outbox.do(OpenStream(to=name, destination=endpoint))
        self._opened = opened

    def members_changed(self, *, now_ns: int) -> None:
        """Somebody came, went or moved: to be remembered, soon the first time, and now and then later."""
        if self._remember_ns is None:
            self._remember_ns = now_ns + (_REMEMBER_INTERVAL_NS if self._kept else _REMEMBER_FIRST_NS)

    def next_deadline_ns(self) -> int | None:
        return self._remember_ns

    def is_due(self, *, now_ns: int) -> bool:
        """True if it is time to `remember`."""
        return self._remember_ns is not None and now_ns >= self._remember_ns

    def remember(self, live: Iterable[Endpoint], *, outbox: Outbox) -> None:
        """Keeps where members are; whoever lost everybody still knows where they were."""
        self._remember_ns = None
        found = tuple(endpoint for endpoint in live if endpoint not in self._seeds)[:REMEMBERED_MAX]
        if found and found != self._kept:
            self._kept = found
            outbox.do(RememberMembers(endpoints=found))
