"""The kernel's names of the transforms that IKEv2 negotiates (net/xfrm/xfrm_algo.c)."""

from __future__ import annotations

import errno
from typing import Any

from gossipsa.errors import KernelError
from gossipsa.identifiers import Secret
from gossipsa.ipsec.transforms import EncryptionTransform as Encr
from gossipsa.ipsec.transforms import IntegrityTransform as Integ
from gossipsa.kernel.xfrm.uapi import Algorithm

_AEAD = {
    Encr.AES_CCM_8: (b"rfc4309(ccm(aes))", 64),
    Encr.AES_CCM_12: (b"rfc4309(ccm(aes))", 96),
    Encr.AES_CCM_16: (b"rfc4309(ccm(aes))", 128),
    Encr.AES_GCM_8: (b"rfc4106(gcm(aes))", 64),
    Encr.AES_GCM_12: (b"rfc4106(gcm(aes))", 96),
    Encr.AES_GCM_16: (b"rfc4106(gcm(aes))", 128),
    Encr.CHACHA20_POLY1305: (b"rfc7539esp(chacha20,poly1305)", 128),
}
_ENCRYPTION = {
    Encr.TRIPLE_DES: b"cbc(des3_ede)",
    Encr.AES_CBC: b"cbc(aes)",
    Encr.AES_CTR: b"rfc3686(ctr(aes))",
    Encr.CAMELLIA_CBC: b"cbc(camellia)",
}
_INTEGRITY = {
    Integ.MD5_96: (b"hmac(md5)", 96),
    Integ.SHA1_96: (b"hmac(sha1)", 96),
    Integ.AES_XCBC_96: (b"xcbc(aes)", 96),
    Integ.AES_CMAC_96: (b"cmac(aes)", 96),
    Integ.SHA2_256_128: (b"hmac(sha256)", 128),
    Integ.SHA2_384_192: (b"hmac(sha384)", 192),
    Integ.SHA2_512_256: (b"hmac(sha512)", 256),
}


def algorithm_attributes(
    *, encryption: int, encryption_key: Secret, integrity: int | None, integrity_key: Secret
) -> list[tuple[str, Any]]:
    """Return the attributes of a NEWSA message for a pair of transforms.

    Raises:
        KernelError: EOPNOTSUPP, no name is known for one of them.
    """
    aead = _AEAD.get(encryption)  # type: ignore[call-overload]
    if aead is not None:
        name, icv_bits = aead
        return [("XFRMA_ALG_AEAD", Algorithm(name, encryption_key, icv_bits))]
    cipher = _ENCRYPTION.get(encryption)  # type: ignore[call-overload]
    authenticator = _INTEGRITY.get(integrity)  # type: ignore[call-overload]
    if cipher is None or authenticator is None:
        raise KernelError(
            f"no kernel algorithm is known for transforms {encryption} and {integrity}",
            errno=errno.EOPNOTSUPP,
        )
    name, icv_bits = authenticator
    return [
        ("XFRMA_ALG_AUTH_TRUNC", Algorithm(name, integrity_key, icv_bits)),
        ("XFRMA_ALG_CRYPT", Algorithm(cipher, encryption_key)),
    ]
