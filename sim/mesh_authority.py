"""The operator of a simulated mesh: issues identities, revokes them, and rotates its authority."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gossipsa.wire.authority import first_trust_list, issue
from gossipsa.wire.gateway_keys import SEED_BYTES, GatewayKeys
from gossipsa.wire.identity import SERIAL_BYTES, Identity, make_request
from gossipsa.wire.signing import SIGNING_KEY_BYTES, SigningKey
from gossipsa.wire.trust import TrustList

MESH = "sim"
START_S = 1_800_000_000
"""The date at which every run begins, in Unix seconds."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the operator put on a gateway's disk."""

    keys: GatewayKeys
    identity: Identity
    trust: TrustList


class MeshAuthority:
    """Its key and its newest trust list.

    Args:
        draw: returns that many random bytes.
    """

    def __init__(self, draw: Callable[[int], bytes]) -> None:
        self._draw = draw
        self.key = SigningKey.from_seed(draw(SIGNING_KEY_BYTES))
        self.trust = first_trust_list(MESH, self.key)

    def enrol(
        self,
        name: str,
        *,
        zone: str = "",
        site: str = "",
        keys: GatewayKeys | None = None,
        issued_s: int = START_S - _DAY_S,
    ) -> Enrolment:
        """An identity for a gateway, for new keys unless it has some."""
        keys = keys or GatewayKeys.from_seed(self._draw(SEED_BYTES))
        identity = issue(
            self.trust,
            self.key,
            make_request(keys),
            name=name,
            site=site,
            zone=zone,
            serial=self._draw(SERIAL_BYTES),
            not_before_s=issued_s,
            not_after_s=issued_s + 365 * _DAY_S,
        )
        return Enrolment(keys=keys, identity=identity, trust=self.trust)
