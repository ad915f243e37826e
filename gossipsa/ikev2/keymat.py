"""Keys of an IKE_SA and of its CHILD_SAs, from nonces and shared secrets.

Source: RFC 7296 sections 2.14, 2.17 and 2.18. The secrets of additional key exchanges (RFC 9370) enter as
one string, concatenated in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gossipsa.errors import CallerError
from gossipsa.identifiers import IKE_SPI_BYTES, Secret
from gossipsa.ikev2.prf import prf as prf_of
from gossipsa.ikev2.prf import prf_key_bytes, prf_plus
from gossipsa.ipsec.cipher_suite import CipherSuite, cipher_suite
from gossipsa.ipsec.esp import EspKeys


class KeymatInputError(CallerError):
    """Ingredients that cannot make keys: an SPI of a wrong length, an old PRF without its SK_d."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeKeys:
    """Transforms and keys of an IKE_SA. SK_pi and SK_pr, which only IKE_AUTH needs, are never made."""

    prf: int
    """IANA number of the PRF."""
    encryption: int
    """IANA number of the encryption transform."""
    encryption_key_bits: int | None
    """Length of the cipher key without its salt; None or 0 where the cipher has only one."""
    integrity: int | None
    """IANA number of the integrity transform; None with an AEAD cipher."""
    sk_d: Secret = field(repr=False)
    """Makes the keys of CHILD_SAs and of the IKE_SA that replaces this one."""
    sk_ai: Secret = field(repr=False)
    """HMAC key of what the original initiator sends; empty with an AEAD cipher."""
    sk_ar: Secret = field(repr=False)
    """HMAC key of what the original responder sends."""
    sk_ei: Secret = field(repr=False)
    """Cipher key of what the original initiator sends, salt at its end."""
    sk_er: Secret = field(repr=False)
    """Cipher key of what the original responder sends."""

    @property
    def suite(self) -> CipherSuite:
        """Sizes and operations of the transforms. Raises UnsupportedTransformError."""
        return cipher_suite(
            encryption=self.encryption,
            encryption_key_bits=self.encryption_key_bits,
            integrity=self.integrity,
        )

    def sender_keys(self, *, is_initiator: bool) -> tuple[Secret, Secret]:
        """Return the cipher and HMAC keys of what the original initiator, or responder, sends."""
        return (self.sk_ei, self.sk_ai) if is_initiator else (self.sk_er, self.sk_ar)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildKeys:
    """Keys of both directions of a CHILD_SA. Initiator is who began the exchange that made the CHILD_SA."""

    initiator_to_responder: EspKeys
    responder_to_initiator: EspKeys


def derive_ike_keys(
    *,
    prf: int,
    encryption: int,
    encryption_key_bits: int | None,
    integrity: int | None,
    nonce_i: bytes,
    nonce_r: bytes,
    shared_secret: bytes,
    spi_i: bytes,
    spi_r: bytes,
    old_sk_d: bytes | None = None,
    old_prf: int | None = None,
    additional_secrets: bytes = b"",
) -> IkeKeys:
    """Make the keys of an IKE_SA: a new one, or one that replaces an old one.

    New: ``SKEYSEED = prf(Ni | Nr, g^ir)``.
    Rekeyed: ``SKEYSEED = prf(SK_d old, g^ir | Ni | Nr | more secrets)``, which is also what a key exchange in
    IKE_INTERMEDIATE does with the SK_d so far (RFC 9370 section 2.2.2).
    Then ``SK_d | SK_ai | SK_ar | SK_ei | SK_er | ... = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)``.

    Args:
        prf, encryption, encryption_key_bits, integrity: the transforms negotiated, as in `IkeKeys`; an
            integrity transform of 0 means none.
        nonce_i, nonce_r: of the exchange; without payload headers.
        shared_secret: g^ir.
        spi_i, spi_r: of the new IKE_SA, 8 bytes each.
        old_sk_d: of the IKE_SA that is replaced; None for a new one.
        old_prf: of the IKE_SA that is replaced, if it is not `prf`. It then makes SKEYSEED and the keys, as
            strongSwan has it; RFC 7296 section 2.18 leaves open which one prf+ uses.
        additional_secrets: of additional key exchanges; used with `old_sk_d` only.

    Raises:
        UnsupportedTransformError: gossipsa cannot compute with these transforms.
        KeymatInputError: the ingredients do not go together.
    """
    if len(spi_i) != IKE_SPI_BYTES or len(spi_r) != IKE_SPI_BYTES:
        raise KeymatInputError("an IKE SPI has 8 bytes")
    if old_sk_d is None and (old_prf is not None or additional_secrets):
        raise KeymatInputError("old PRF and additional secrets need the SK_d they go with")
    suite = cipher_suite(encryption=encryption, encryption_key_bits=encryption_key_bits, integrity=integrity)
    nonces = nonce_i + nonce_r
    if old_sk_d is None:
        deriving_prf = prf
        skeyseed = prf_of(deriving_prf, nonces, shared_secret)
    else:
        deriving_prf = prf if old_prf is None else old_prf
        skeyseed = prf_of(deriving_prf, old_sk_d, shared_secret + nonces + additional_secrets)
    sizes = (
        prf_key_bytes(prf),
        suite.integrity_key_bytes,
        suite.integrity_key_bytes,
        suite.encryption_key_bytes,
        suite.encryption_key_bytes,
    )
    keymat = prf_plus(deriving_prf, skeyseed, nonces + spi_i + spi_r, sum(sizes))
    sk_d, sk_ai, sk_ar, sk_ei, sk_er = _cut(keymat, sizes)
    return IkeKeys(
        prf=prf,
        encryption=encryption,
        encryption_key_bits=encryption_key_bits,
        integrity=suite.integrity,
        sk_d=sk_d,
        sk_ai=sk_ai,
        sk_ar=sk_ar,
        sk_ei=sk_ei,
        sk_er=sk_er,
    )


def derive_child_keys(
    *,
    sk_d: bytes,
    prf: int,
    encryption: int,
    encryption_key_bits: int | None,
    integrity: int | None,
    nonce_i: bytes,
    nonce_r: bytes,
    shared_secret: bytes | None = None,
    additional_secrets: bytes = b"",
) -> ChildKeys:
    """Make the keys of a CHILD_SA: ``KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr [| more secrets])``.

    Args:
        sk_d, prf: of the IKE_SA under which the CHILD_SA was made; a later rekey of that changes nothing.
        encryption, encryption_key_bits, integrity: the transforms negotiated, as in `IkeKeys`; an integrity
            transform of 0 means none.
        nonce_i, nonce_r: of the exchange; those of IKE_SA_INIT for the first CHILD_SA.
        shared_secret: g^ir of a key exchange of its own (PFS), else None.
        additional_secrets: of additional key exchanges (RFC 9370 section 2.2.4).

    Raises:
        UnsupportedTransformError: gossipsa cannot compute with these transforms.
    """
    suite = cipher_suite(encryption=encryption, encryption_key_bits=encryption_key_bits, integrity=integrity)
    # RFC 7296 section 2.17: initiator to responder first, and of each the cipher key first.
    sizes = (suite.encryption_key_bytes, suite.integrity_key_bytes) * 2
    seed = (shared_secret or b"") + nonce_i + nonce_r + additional_secrets
    encryption_i, integrity_i, encryption_r, integrity_r = _cut(prf_plus(prf, sk_d, seed, sum(sizes)), sizes)

    def direction(encryption_key: Secret, integrity_key: Secret) -> EspKeys:
        return EspKeys(
            encryption=encryption,
            integrity=suite.integrity,
            encryption_key=encryption_key,
            integrity_key=integrity_key,
        )

    return ChildKeys(
        initiator_to_responder=direction(encryption_i, integrity_i),
        responder_to_initiator=direction(encryption_r, integrity_r),
    )


def _cut(keymat: bytes, sizes: tuple[int, ...]) -> list[Secret]:
    parts = []
    offset = 0
    for size in sizes:
        parts.append(Secret(keymat[offset : offset + size]))
        offset += size
    return parts
