"""Numbers of the encryption and integrity transforms that IKEv2 negotiates, for itself and for ESP.

Source: IANA registry "Internet Key Exchange Version 2 (IKEv2) Parameters", transform types 1 and 3.
Values that travel stay plain integers, so that an unknown number is data and never an exception.
"""

from __future__ import annotations

from enum import IntEnum


class EncryptionTransform(IntEnum):
    """Transform type 1 (ENCR)."""

    DES = 2
    TRIPLE_DES = 3
    NULL = 11
    AES_CBC = 12
    AES_CTR = 13
    AES_CCM_8 = 14
    AES_CCM_12 = 15
    AES_CCM_16 = 16
    AES_GCM_8 = 18
    AES_GCM_12 = 19
    AES_GCM_16 = 20
    NULL_AUTH_AES_GMAC = 21
    CAMELLIA_CBC = 23
    CAMELLIA_CTR = 24
    CHACHA20_POLY1305 = 28


class IntegrityTransform(IntEnum):
    """Transform type 3 (INTEG)."""

    NONE = 0
    MD5_96 = 1
    SHA1_96 = 2
    AES_XCBC_96 = 5
    AES_CMAC_96 = 8
    SHA2_256_128 = 12
    SHA2_384_192 = 13
    SHA2_512_256 = 14
