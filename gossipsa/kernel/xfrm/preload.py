"""Loads the kernel's crypto modules before they are needed.

The first SA of a cipher makes the kernel look for modules, for seconds, while it holds the lock of the whole
SAD. At start that hurts nobody.
"""

from __future__ import annotations

import errno
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

import trio

from gossipsa.identifiers import Secret
from gossipsa.ipsec.cipher_suite import cipher_suite
from gossipsa.ipsec.security_association import IpsecMode
from gossipsa.ipsec.transforms import EncryptionTransform as Encr
from gossipsa.ipsec.transforms import IntegrityTransform as Integ
from gossipsa.kernel.backend import NewSa, SaId
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NETLINK_XFRM, NLM_F_ACK, Refusal, read_answer, split_messages
from gossipsa.kernel.xfrm.sa_messages import encode_new_sa, sa_identity
from gossipsa.kernel.xfrm.uapi import MessageType

Cipher = tuple[int, int, int | None]
"""Encryption transform, its key bits, integrity transform."""

COMMON_CIPHERS: tuple[Cipher, ...] = (
    (Encr.AES_GCM_16, 128, None),
    (Encr.AES_CBC, 128, Integ.SHA1_96),
    (Encr.AES_CBC, 128, Integ.SHA2_256_128),
    (Encr.AES_CBC, 256, Integ.SHA2_384_192),
    (Encr.AES_CBC, 256, Integ.SHA2_512_256),
    (Encr.CHACHA20_POLY1305, 256, None),
)

# RFC 5737, TEST-NET-1: no policy leads there, so that the SAs are never used while they exist.
_NOWHERE = IPv4Address("192.0.2.1")
_SPI = 0x67737061
_TIMEOUT_S = 30.0


async def preload_ciphers(ciphers: Iterable[Cipher] = COMMON_CIPHERS) -> tuple[Cipher, ...]:
    """Load the modules of some ciphers, by adding and deleting an SA of each, with ESN and without.

    Returns:
        Those that this kernel does not have.

    Raises:
        KernelError: the kernel cannot be asked, or has no ESP at all.
    """
    # In a thread: the kernel does not return from send() before the modules are there.
    return await trio.to_thread.run_sync(_preload, tuple(ciphers))


def _preload(ciphers: tuple[Cipher, ...]) -> tuple[Cipher, ...]:
    missing: dict[Cipher, None] = {}
    last_refusal: Refusal | None = None
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_XFRM) as plain:
            plain.settimeout(_TIMEOUT_S)
            sequences = itertools.count(1)
            for cipher in ciphers:
                for sa in _samples(cipher):
                    added = encode_new_sa(sa, window_packets=32, now_s=0)
                    refusal = _execute(plain, added, next(sequences))
                    if refusal is not None:
                        missing[cipher] = None
                        last_refusal = refusal
                    _execute(plain, encode(MessageType.DELSA, sa_identity(sa.id)), next(sequences))
    except OSError as error:
        raise Refusal(error.errno or errno.ETIMEDOUT, "").to_error("cannot load ciphers") from error
    if len(missing) == len(ciphers) and last_refusal is not None:
        raise last_refusal.to_error("this kernel takes no ESP SA of any cipher")
    return tuple(missing)


def _samples(cipher: Cipher) -> Iterator[NewSa]:
    encryption, key_bits, integrity = cipher
    suite = cipher_suite(encryption=encryption, encryption_key_bits=key_bits, integrity=integrity)
    for esn in (False, True):
        yield NewSa(
            id=SaId(_SPI, _NOWHERE),
            source=_NOWHERE,
            mode=IpsecMode.TRANSPORT,
            encryption=encryption,
            integrity=integrity,
            encryption_key=Secret(bytes(suite.encryption_key_bytes)),
            integrity_key=Secret(bytes(suite.integrity_key_bytes)),
            esn=esn,
        )


def _execute(plain: socket.socket, message: bytearray, sequence: int) -> Refusal | None:
    struct.pack_into("=HI", message, 6, *struct.unpack_from("=H", message, 6), sequence)
    message[6] |= NLM_F_ACK
    plain.send(message)
    while True:
        answer = plain.recv(0x10000)
        for header in split_messages(answer):
            if header.sequence == sequence:
                return read_answer(answer, header)
