"""Authorities and identities for tests: small, real, and the same in every run."""

from __future__ import annotations

import hashlib

from gossipsa.wire.authority import first_trust_list, issue
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.identity import SERIAL_BYTES, Identity, make_request
from gossipsa.wire.signing import SigningKey
from gossipsa.wire.trust import TrustList

MESH = "testmesh"
NOW_S = 1_800_000_000
DAY_S = 86_400

AUTHORITY = SigningKey.from_seed(b"A" * 32)
SUCCESSOR = SigningKey.from_seed(b"B" * 32)
STRANGER = SigningKey.from_seed(b"S" * 32)
TRUST = first_trust_list(MESH, AUTHORITY)


def keys_of(name: str) -> GatewayKeys:
    """The keys that a gateway of this name has in tests."""
    return GatewayKeys.from_seed(hashlib.blake2b(name.encode(), digest_size=32).digest())


def identity_of(
    name: str,
    *,
    keys: GatewayKeys | None = None,
    authority: SigningKey = AUTHORITY,
    trust: TrustList | None = None,
    mesh: str = MESH,
    serial: bytes | None = None,
    site: str = "",
    zone: str = "",
    not_before_s: int = NOW_S - DAY_S,
    not_after_s: int = NOW_S + 365 * DAY_S,
) -> Identity:
    """An identity as the authority issues it; by default of a list that trusts this authority alone."""
    return issue(
        trust or first_trust_list(mesh, authority),
        authority,
        make_request(keys or keys_of(name)),
        name=name,
        site=site,
        zone=zone,
        serial=serial or hashlib.blake2b(name.encode(), digest_size=SERIAL_BYTES).digest(),
        not_before_s=not_before_s,
        not_after_s=not_after_s,
    )
