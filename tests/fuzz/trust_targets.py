"""What authorities sign: identities, requests for them, trust lists, and their text forms."""

from __future__ import annotations

from collections.abc import Iterator

from gossipsa.errors import CallerError, PeerError
from gossipsa.wire.authority import add_successor, first_trust_list, issue, revoke
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import GatewayKeys
from gossipsa.wire.identity import (
    IDENTITY_BYTES_MAX,
    SERIAL_BYTES,
    IdentityError,
    decode_identity,
    decode_request,
    make_request,
)
from gossipsa.wire.signing import SigningKey
from gossipsa.wire.text_form import TextFormError, TextKind, from_text, to_text
from gossipsa.wire.trust import TRUST_LIST_BYTES_MAX, TrustError, decode_trust_list
from tests.fuzz.target import Syntax, Target, name_of

_SEED_BYTES_MAX = 64


def targets() -> Iterator[Target]:
    authority, successor = (SigningKey.from_seed(bytes((number,)) * 32) for number in (1, 2))
    request = make_request(GatewayKeys.from_seed(bytes([3]) * 32))
    first = first_trust_list("mesh", authority)
    newer = revoke(first, authority, serials=(bytes(SERIAL_BYTES),), names=("gone",), now_s=1)
    newest = add_successor(newer, authority, successor.public)
    identity = issue(
        first,
        authority,
        request,
        name="a",
        site="ams1",
        zone="netherlands",
        serial=bytes(SERIAL_BYTES),
        not_before_s=10,
        not_after_s=1 << 33,
    )

    def judge_list(data: bytes) -> object:
        trust = decode_trust_list(data)
        return first.accepts(trust), trust.refusal(identity, now_s=20)

    yield Target(
        name="identity",
        run=lambda data: newest.refusal(decode_identity(data), now_s=20),
        refuses=(IdentityError,),
        seeds=(encode(identity),),
        input_bytes_max=2 * IDENTITY_BYTES_MAX,
        covers=(name_of(decode_identity),),
        syntax=Syntax.MESSAGEPACK,
        growth=400,
    )
    yield Target(
        name="identity-request",
        run=decode_request,
        refuses=(IdentityError,),
        seeds=(encode(request),),
        input_bytes_max=2 * IDENTITY_BYTES_MAX,
        covers=(name_of(decode_request),),
        syntax=Syntax.MESSAGEPACK,
        growth=400,
    )
    yield Target(
        name="trust-list",
        run=judge_list,
        refuses=(TrustError,),
        seeds=tuple(encode(trust) for trust in (first, newer, newest)),
        input_bytes_max=2 * TRUST_LIST_BYTES_MAX,
        covers=(name_of(decode_trust_list),),
        syntax=Syntax.MESSAGEPACK,
        growth=400,
    )
    yield Target(
        name="text-form",
        run=lambda data: from_text(TextKind.IDENTITY, data.decode(errors="replace")),
        refuses=(TextFormError,),
        seeds=(to_text(TextKind.IDENTITY, encode(identity)).encode(),),
        input_bytes_max=2 * TRUST_LIST_BYTES_MAX,
        covers=(name_of(from_text),),
        syntax=Syntax.TEXT,
    )
    yield Target(
        name="key-seeds",
        run=lambda data: (GatewayKeys.from_seed(data), SigningKey.from_seed(data)),
        refuses=(CallerError, PeerError),
        seeds=(bytes(32),),
        input_bytes_max=_SEED_BYTES_MAX,
        covers=(name_of(GatewayKeys.from_seed), name_of(SigningKey.from_seed)),
    )
