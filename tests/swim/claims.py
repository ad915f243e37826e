"""Values that tests of several modules need, and strategies for them."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
from hypothesis import strategies as st

from gossipsa.identifiers import BootId, Endpoint, GatewayName
from gossipsa.swim import statements
from gossipsa.swim.digest import tag_of
from gossipsa.swim.messages import (
    DIGEST_BUCKETS,
    FINGERPRINT_BYTES,
    Ack,
    DigestReply,
    DigestRequest,
    Fetch,
    Heard,
    IndirectAck,
    MemberState,
    Nack,
    Ping,
    PingRequest,
    StateReply,
    StateRequest,
    StreamAck,
    StreamPing,
    SwimPacket,
    Testimony,
    Update,
    Version,
    Yielded,
    Yielding,
)
from sim.mesh.credentials import MemberCredentials

US = GatewayName("us")
THEM = GatewayName("them")
OTHERS = tuple(GatewayName(f"other{index}") for index in range(6))
BOOT = BootId(b"b" * 16)
NEW_BOOT = BootId(b"a" * 16)
"""Sorts before BOOT, so that nothing passes by the accident of the tie-break."""
ENDPOINT = Endpoint(ip_address("192.0.2.1"), 4600)


def word_of(
    witness: GatewayName,
    *,
    member: GatewayName = THEM,
    boot: BootId = BOOT,
    incarnation: int = 0,
    author: GatewayName | None = None,
) -> Testimony:
    """What a witness signed; an author who is somebody else forges it."""
    statement = statements.suspicion(member, boot, incarnation)
    return Testimony(witness=witness, signature=MemberCredentials(author or witness).sign(statement))


def claim(
    state: MemberState = MemberState.ALIVE,
    *,
    member: GatewayName = THEM,
    boot: BootId = BOOT,
    incarnation: int = 0,
    witness: GatewayName | None = None,
    witnesses: tuple[GatewayName, ...] = (OTHERS[0],),
    complete: bool | None = None,
    metadata: bytes = b"",
    age_s: int = 0,
    succeeds: bytes = b"",
    author: GatewayName | None = None,
) -> Update:
    """An update as it travels, truly signed: only what members say of themselves is complete, unless said
    otherwise. An author who is somebody else forges the member's words.
    """
    accuses = state in (MemberState.SUSPECT, MemberState.FAILED)
    complete = not accuses if complete is None else complete
    if witness is not None:
        witnesses = (witness,)
    words = Update(
        member=member,
        boot=boot,
        incarnation=incarnation,
        state=state,
        evidence=tuple(
            word_of(witness, member=member, boot=boot, incarnation=incarnation) for witness in witnesses
        )
        if accuses
        else (),
        age_s=age_s,
        address=ENDPOINT.address.packed if complete else b"",
        port=ENDPOINT.port if complete else 0,
        metadata=metadata,
        succeeds=succeeds,
    )
    return signed(words, author=author) if complete else words


def signed(words: Update, *, author: GatewayName | None = None) -> Update:
    """A complete update with the identity of its member, and its signature or that of a forger."""
    return msgspec.structs.replace(
        words,
        identity=MemberCredentials(words.member).identity,
        signature=MemberCredentials(author or words.member).sign(statements.own_words(words)),
    )


gateway_names = st.sampled_from([US, THEM, *OTHERS])
boots = st.sampled_from([BOOT, NEW_BOOT, BootId(b"c" * 16)])
incarnations = st.integers(0, 3) | st.integers(0, 1 << 62)
sequences = st.integers(0, 5) | st.integers(0, (1 << 32) - 1)
signatures = st.binary(min_size=64, max_size=64)
testimonies = st.builds(Testimony, witness=gateway_names, signature=signatures)
updates = st.builds(
    Update,
    member=gateway_names,
    boot=boots,
    incarnation=incarnations,
    state=st.sampled_from(MemberState),
    evidence=st.lists(testimonies, max_size=3).map(tuple),
    age_s=st.integers(0, 200_000),
    address=st.sampled_from([b"", b"\x0a\0\0\1", b"\xfd" * 16, b"bad"]),
    port=st.integers(0, 65_535),
    metadata=st.binary(max_size=288),
    succeeds=st.just(b"") | boots,
    identity=st.binary(max_size=512),
    signature=st.just(b"") | signatures,
)
tags = gateway_names.map(tag_of) | st.integers(0, (1 << 64) - 1)
versions = st.builds(
    Version,
    tag=tags,
    boot=st.binary(min_size=4, max_size=4),
    incarnation=incarnations,
    state=st.sampled_from(MemberState),
)
messages = st.one_of(
    st.builds(Ping, sequence=sequences, locate=st.booleans()),
    st.builds(Ack, sequence=sequences, coordinate=st.binary(max_size=32)),
    st.builds(StreamPing, sequence=sequences),
    st.builds(StreamAck, sequence=sequences, silent_ms=st.integers(0, 65_535)),
    st.builds(PingRequest, sequence=sequences, target=gateway_names),
    st.builds(IndirectAck, sequence=sequences, boot=boots),
    st.builds(Nack, sequence=sequences),
    st.builds(Heard, member=gateway_names, boot=boots, incarnation=incarnations),
    st.builds(StateRequest, sequence=sequences),
    st.builds(
        DigestRequest,
        sequence=sequences,
        fingerprints=st.binary(
            min_size=DIGEST_BUCKETS * FINGERPRINT_BYTES, max_size=DIGEST_BUCKETS * FINGERPRINT_BYTES
        ),
    ),
    st.builds(
        DigestReply,
        sequence=sequences,
        buckets=st.lists(st.integers(0, DIGEST_BUCKETS - 1), max_size=4).map(tuple),
        versions=st.lists(versions, max_size=4).map(tuple),
    ),
    st.builds(Fetch, tags=st.lists(tags, max_size=4).map(tuple)),
    st.builds(StateReply, sequence=sequences, part=st.integers(0, 63), parts=st.integers(1, 64)),
    st.builds(Yielding, successor=boots, signature=signatures),
    st.builds(Yielded, boot=boots, signature=signatures),
)
packets = st.builds(
    SwimPacket,
    boot=boots,
    messages=st.lists(messages, max_size=5).map(tuple),
    updates=st.lists(updates, max_size=8).map(tuple),
)
