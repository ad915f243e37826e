"""The floor: the same bytes through MessagePack and XChaCha20-Poly1305, in one process, and nothing else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from nacl import bindings

from gossipsa.identifiers import BootId, ClientId, Endpoint, Epoch, GatewayName, Holder, IpAddress
from gossipsa.replication.messages import AcknowledgeRecords, PutRecords, RecordCopy, RecordVersion
from gossipsa.replication.record import ClientRecord, KeyNumbers
from gossipsa.takeover.messages import AnswerClaims, CeilingClaim, Claim, ClaimAnswer, ClientClaim, Verdict
from gossipsa.wire.codec import Decoder, encode
from tests.bench.state.clients import make_client
from tests.bench.state.figures import Floor

_RECORDS_A_MESSAGE = 64
_CLAIMS_A_MESSAGE = 256
_HEADER = bytes(14)
_CEILING = (1 << 30) - 1
_OWNER = Holder(GatewayName("owner"), BootId(b"o" * 16))
_REPLICAS = (Holder(GatewayName("one"), BootId(b"1" * 16)), Holder(GatewayName("two"), BootId(b"2" * 16)))


class _Pipe:
    """Seals on one side and opens on the other."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._count = 0

    def pass_on(self, message: object, decoder: Callable[[bytes], object]) -> bytes:
        """Returns the payload as it was opened."""
        self._count += 1
        nonce = self._count.to_bytes(24, "big")
        sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            encode(message), _HEADER, nonce, self._key
        )
        opened = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, _HEADER, nonce, self._key)
        decoder(opened)
        return opened


def measure_floor(*, records: int, differences: int, claims: int, gateway: IpAddress) -> Floor:
    """Everything that is compared."""
    own = [_record(index, gateway) for index in range(records)]
    copies_s = _copy_all(own)
    return Floor(
        encoded_bytes_a_record=sum(len(encode(record)) for record in own) / records,
        kept_bytes_a_record=_kept(own),
        updates_a_second=records / (2 * copies_s),
        copies_a_second=records / copies_s,
        versions_bytes=len(encode([_version(record) for record in own[:differences]])),
        claims_s=_claim_all([own[index % records] for index in range(claims)]),
    )


def _record(index: int, gateway: IpAddress) -> ClientRecord:
    client, state = make_client(index, gateway=Endpoint(gateway, 4500), draw=os.urandom)
    return ClientRecord(
        client=client,
        owner=_OWNER.gateway,
        epoch=Epoch(1, _OWNER.boot),
        sequence=1,
        state=state,
        keys=tuple(
            KeyNumbers(outbound_spi=child.outbound_spi, creator=_OWNER, ceiling=_CEILING)
            for child in state.children
        ),
        replicas=_REPLICAS,
    )


def _kept(records: Sequence[ClientRecord]) -> float:
    """Bytes a record of a dictionary of encoded records. The resident set would not tell: what other
    measurements left free is filled first."""
    kept = {bytes(record.client): encode(record) for record in records}
    objects = sum(sys.getsizeof(client) + sys.getsizeof(record) for client, record in kept.items())
    return (sys.getsizeof(kept) + objects) / len(kept)


def _copy_all(records: Sequence[ClientRecord]) -> float:
    """Seconds for one copy of all, and the answers."""
    pipe = _Pipe()
    put = Decoder[PutRecords](PutRecords).decode
    answer = Decoder[AcknowledgeRecords](AcknowledgeRecords).decode
    kept: dict[ClientId, bytes] = {}
    begun_s = time.process_time()
    for start in range(0, len(records), _RECORDS_A_MESSAGE):
        part = records[start : start + _RECORDS_A_MESSAGE]
        message = PutRecords(copies=tuple(RecordCopy(record=record) for record in part))
        opened = pipe.pass_on(message, put)
        for record in part:
            kept[record.client] = opened
        pipe.pass_on(AcknowledgeRecords(versions=tuple(_version(record) for record in part)), answer)
    return time.process_time() - begun_s


def _claim_all(records: Sequence[ClientRecord]) -> float:
    """Seconds for a claim of each, and its answer."""
    pipe = _Pipe()
    claim, answer = Decoder[Claim](Claim).decode, Decoder[AnswerClaims](AnswerClaims).decode
    epoch = Epoch(2, _REPLICAS[0].boot)
    begun_s = time.process_time()
    for start in range(0, len(records), _CLAIMS_A_MESSAGE):
        part = records[start : start + _CLAIMS_A_MESSAGE]
        claims = tuple(
            ClientClaim(
                client=record.client,
                epoch=epoch,
                ceilings=(CeilingClaim(outbound_spi=record.keys[0].outbound_spi, ceiling=_CEILING),),
            )
            for record in part
        )
        pipe.pass_on(Claim(owner=_OWNER.gateway, claims=claims), claim)
        answers = tuple(
            ClaimAnswer(client=record.client, claimed=epoch, verdict=Verdict.GRANTED, known=epoch)
            for record in part
        )
        pipe.pass_on(AnswerClaims(answers=answers), answer)
    return time.process_time() - begun_s


def _version(record: ClientRecord) -> RecordVersion:
    return RecordVersion(client=record.client, epoch=record.epoch, sequence=record.sequence)
