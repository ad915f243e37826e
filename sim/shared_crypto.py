"""What simulated gateways compute for each other: with a thousand of them on one core, the same all the time.

A signature is verified once, not by every gateway that hears of it; of two gateways that agree on a secret,
the second one is told it. This concerns how fast a run is, and nothing that happens in it: the core knows
nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from nacl import bindings

_VERIFIED_MAX = 1 << 16
_AGREED_MAX = 1 << 16


@contextmanager
def shared_crypto() -> Iterator[None]:
    """Libsodium's Ed25519 verification and X25519 remember what they were asked, as long as this lasts."""
    verify, multiply, base = (
        bindings.crypto_sign_open,
        bindings.crypto_scalarmult,
        bindings.crypto_scalarmult_base,
    )
    public_of: dict[bytes, bytes] = {}
    agreed: dict[tuple[bytes, bytes], bytes] = {}

    def remembering_base(n: bytes) -> bytes:
        public = public_of.get(n)
        if public is None:
            if len(public_of) >= _AGREED_MAX:
                public_of.clear()
            public = public_of[n] = base(n)
        return public

    def remembering_multiply(n: bytes, p: bytes) -> bytes:
        own = remembering_base(n)
        pair = (own, p) if own < p else (p, own)
        secret = agreed.pop(pair, None)
        if secret is None:
            secret = multiply(n, p)
            if len(agreed) >= _AGREED_MAX:
                agreed.clear()
            agreed[pair] = secret
        return secret

    bindings.crypto_sign_open = lru_cache(maxsize=_VERIFIED_MAX)(verify)
    bindings.crypto_scalarmult, bindings.crypto_scalarmult_base = remembering_multiply, remembering_base
    try:
        yield
    finally:
        bindings.crypto_sign_open = verify
        bindings.crypto_scalarmult, bindings.crypto_scalarmult_base = multiply, base
