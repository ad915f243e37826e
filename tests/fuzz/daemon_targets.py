"""What comes from this host: charon, the kernel, the operator and his files."""

from __future__ import annotations

import base64
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random

from gossipsa.authority_key_file import read_authority_key, write_authority_key
from gossipsa.config import load_configuration
from gossipsa.config_table import parse_endpoint
from gossipsa.daemon import admin, admin_client
from gossipsa.errors import ConfigurationError, KernelError, PeerError
from gossipsa.kernel.xfrm.expiry import decode_expire
from gossipsa.kernel.xfrm.ike_sockets import decode_ipv4, decode_ipv6
from gossipsa.kernel.xfrm.netlink import read_answer, split_attributes, split_messages
from gossipsa.kernel.xfrm.policies import decode_policy_record
from gossipsa.kernel.xfrm.routes import decode_host_route, decode_next_hop
from gossipsa.kernel.xfrm.sa_record import decode_kernel_sa, decode_sa_record, decode_usersa_info
from gossipsa.kernel.xfrm.udp_header import read_datagram
from gossipsa.key_files import (
    read_gateway_keys,
    read_identity,
    read_private_file,
    read_trust_list,
    trust_list_text,
)
from gossipsa.state_files import MEMBERS_FILE, read_members
from gossipsa.strongswan.client_table import ClientTable
from gossipsa.strongswan.ha_codec import HaDecodeError, decode
from gossipsa.strongswan.sa_listing import connections_in, ike_sas_in
from gossipsa.strongswan.vici_codec import (
    PACKET_BYTES_MAX,
    PacketType,
    ViciDecodeError,
    ViciPacket,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
)
from gossipsa.wire.codec import encode
from gossipsa.wire.text_form import TextKind, to_text
from tests.authorities import TRUST, identity_of
from tests.client_states import make_client_state
from tests.fuzz.target import Syntax, Target, name_of
from tests.kernel.xfrm.vectors import read_vectors
from tests.strongswan.capture import capture_lines
from tests.strongswan.test_sa_listing import listed_sa

_HA_BYTES_MAX = 65_507
_NETLINK_BYTES_MAX = 64 * 1024
_FILE_BYTES_MAX = 64 * 1024
_IPV6_PKTINFO = (41, 50, bytes(20))
_EXAMPLE = Path(__file__).parents[2] / "examples" / "gossipsa.toml"
_KEY = base64.b64encode(bytes(range(32)))


def targets() -> Iterator[Target]:
    yield from _charon()
    yield from _kernel()
    yield from _operator()


# charon


def _charon() -> Iterator[Target]:
    datagrams = tuple(line.data for line in capture_lines())
    yield Target(
        name="charon-ha",
        run=lambda data: decode(data, byteorder="little"),
        refuses=(HaDecodeError,),
        seeds=datagrams,
        input_bytes_max=_HA_BYTES_MAX,
        covers=(name_of(decode),),
        growth=200,
    )
    yield Target(
        name="charon-ha-clients",
        run=_Tables().handle,
        refuses=(HaDecodeError,),
        seeds=datagrams,
        input_bytes_max=_HA_BYTES_MAX,
        covers=(name_of(decode),),
        growth=400,
    )
    event = ViciPacket(type=PacketType.EVENT, name="list-sa", body=encode_message(listed_sa()))
    yield Target(
        name="vici-packet",
        run=lambda data: list(ike_sas_in(decode_packet(data).message())),
        refuses=(ViciDecodeError,),
        seeds=(encode_packet(event)[4:], encode_packet(ViciPacket(type=PacketType.CMD_RESPONSE))[4:]),
        input_bytes_max=PACKET_BYTES_MAX,
        covers=(name_of(decode_packet),),
        growth=200,
    )
    connections = encode_message({"rw": {"children": {"net": {"mode": "TUNNEL"}}, "version": "IKEv2"}})
    yield Target(
        name="vici-message",
        run=lambda data: list(connections_in(decode_message(data))),
        refuses=(ViciDecodeError,),
        seeds=(connections, encode_message(listed_sa())),
        input_bytes_max=PACKET_BYTES_MAX,
        covers=(name_of(decode_message),),
        growth=200,
    )


class _Tables:
    """Folds one datagram after the other into a table of clients."""

    def __init__(self) -> None:
        self._executions = 0
        self._table = ClientTable()

    def handle(self, data: bytes) -> None:
        self._executions += 1
        if self._executions % 1000 == 0:
            self._table = ClientTable()
        message = decode(data, byteorder="little")
        self._table.handle(message, now_ns=self._executions * 10**7)
        for client in self._table.clients():
            self._table.state(client)


# The kernel


def _kernel() -> Iterator[Target]:
    payloads = tuple(vector.payload for vector in read_vectors())
    expire = tuple(payload + b"\x01" + bytes(7) for payload in payloads if len(payload) >= 224)
    whole = tuple(_netlink(vector.message_type, vector.payload) for vector in read_vectors())
    answers = (
        _netlink(2, struct.pack("=i", -2) + bytes(16)),
        _netlink(2, struct.pack("=i", -22) + bytes(16) + struct.pack("=HH", 8, 1) + b"bad\0", flags=0x300),
        _netlink(2, struct.pack("=i", 0) + bytes(16)),
    )
    cases: tuple[tuple[str, Callable[[bytes], object], tuple[bytes, ...], tuple[str, ...]], ...] = (
        (
            "kernel-sa",
            lambda data: decode_kernel_sa(data, 0, len(data)),
            payloads,
            (name_of(decode_kernel_sa),),
        ),
        (
            "kernel-sa-record",
            lambda data: decode_sa_record(data, 0, len(data)),
            payloads,
            (name_of(decode_sa_record),),
        ),
        (
            "kernel-usersa-info",
            lambda data: decode_usersa_info(data, 0, len(data)),
            payloads,
            (name_of(decode_usersa_info),),
        ),
        ("kernel-expire", lambda data: decode_expire(data, 0, len(data)), expire, (name_of(decode_expire),)),
        (
            "kernel-policy",
            lambda data: decode_policy_record(data, 0, len(data)),
            payloads,
            (name_of(decode_policy_record),),
        ),
        (
            "kernel-next-hop",
            lambda data: decode_next_hop(data, 0, len(data)),
            _routes(),
            (name_of(decode_next_hop),),
        ),
        (
            "kernel-host-route",
            lambda data: decode_host_route(data, 0, len(data), protocol=118, table=254),
            _routes(),
            (name_of(decode_host_route),),
        ),
        (
            "kernel-attributes",
            lambda data: list(split_attributes(data, 0, len(data))),
            tuple(payload[224:] for payload in payloads if len(payload) > 224),
            (name_of(split_attributes),),
        ),
        ("kernel-messages", _split, whole + answers, (name_of(split_messages), name_of(read_answer))),
    )
    for name, run, seeds, covers in cases:
        yield Target(
            name=name,
            run=run,
            refuses=(KernelError,),
            seeds=seeds,
            input_bytes_max=_NETLINK_BYTES_MAX,
            covers=covers,
        )
    udp = struct.pack("!HHHH", 4500, 4500, 8 + 4 + 28, 0) + bytes(4) + bytes(28)
    ipv4 = (
        bytes((0x45, 0))
        + struct.pack("!H", 20 + len(udp))
        + bytes(8)
        + b"\xc0\x00\x02\x01\xc0\x00\x02\x02"
        + udp
    )
    for name, run, seed, covers in (
        ("raw-udp", read_datagram, udp, (name_of(read_datagram),)),
        ("raw-ipv4", lambda data: decode_ipv4(data, nat_port=4500), ipv4, (name_of(decode_ipv4),)),
        (
            "raw-ipv6",
            lambda data: decode_ipv6(data, "fe80::1%eth0", [_IPV6_PKTINFO], nat_port=4500),
            udp,
            (name_of(decode_ipv6),),
        ),
    ):
        yield Target(
            name=name,
            run=run,
            refuses=(PeerError,),
            seeds=(seed,),
            input_bytes_max=_HA_BYTES_MAX,
            covers=covers,
        )


def _netlink(message_type: int, payload: bytes, *, flags: int = 0) -> bytes:
    padded = payload + bytes(-len(payload) % 4)
    return struct.pack("=IHHII", 16 + len(payload), message_type, flags, 1, 0) + padded


def _split(data: bytes) -> object:
    return [read_answer(data, message) for message in split_messages(data) if message.type == 2]


def _routes() -> tuple[bytes, ...]:
    """An IPv4 host route of protocol 118, and one with a gateway."""
    header = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 118, 0, 1, 0)
    destination = struct.pack("=HH", 8, 1) + b"\x0a\xc8\x00\x01"
    table = struct.pack("=HHI", 8, 15, 254)
    interface = struct.pack("=HHI", 8, 4, 2)
    gateway = struct.pack("=HH", 8, 5) + b"\xc0\x00\x02\x01"
    return header + destination + table + interface, header + destination + gateway + interface


# The operator


def _operator() -> Iterator[Target]:
    state = base64.b64encode(encode(make_client_state(Random(1)))).decode()
    requests = (
        {"op": "status"},
        {"op": "offer", "client": "00" * 16, "state": state},
        {"op": "leave"},
    )
    yield Target(
        name="admin-request",
        run=_request,
        refuses=(admin.RequestError,),
        seeds=tuple(json.dumps(request).encode() for request in requests),
        input_bytes_max=admin.REQUEST_BYTES_MAX,
        covers=("gossipsa.daemon.admin:_REQUEST_DECODER", name_of(admin.AdminRequests.answer)),
        syntax=Syntax.TEXT,
        growth=400,
    )
    yield Target(
        name="admin-answer",
        run=admin_client.decode_answer,
        refuses=(admin_client.DaemonUnreachableError, admin_client.DaemonRefusedError),
        seeds=(b'{"text": "x"}\n', b'{"error": "no"}\n', b'{"members": [{"name": "a", "rtt": 1.5e3}]}\n'),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(admin_client.decode_answer),),
        syntax=Syntax.TEXT,
        growth=400,
    )
    yield Target(
        name="endpoint-text",
        run=lambda data: parse_endpoint(data.decode(errors="replace")),
        refuses=(ValueError,),
        seeds=(b"192.0.2.1:7946", b"[2001:db8::1]:7946"),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(parse_endpoint),),
        syntax=Syntax.TEXT,
    )
    example = _EXAMPLE.read_bytes()
    plain = b"\n".join(line for line in example.splitlines() if not line.startswith(b"#"))
    # With every setting in use: those that are commented out have the form `#key = value`.
    full = b"\n".join(
        line.removeprefix(b"#") for line in example.splitlines() if line and not line.startswith(b"# ")
    )
    yield Target(
        name="configuration",
        run=_of_file(load_configuration, mode=0o644),
        refuses=(ConfigurationError,),
        seeds=(plain, full),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(load_configuration),),
        syntax=Syntax.TEXT,
        growth=3_000,
    )
    yield Target(
        name="private-key",
        run=_of_file(read_gateway_keys, mode=0o600),
        refuses=(ConfigurationError,),
        seeds=(_KEY + b"\n",),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(
            name_of(read_gateway_keys),
            name_of(read_private_file),
            "gossipsa.wire.key_pair:KeyPair.from_private",
        ),
        syntax=Syntax.TEXT,
    )
    yield Target(
        name="identity-file",
        run=_of_file(read_identity, mode=0o644),
        refuses=(ConfigurationError,),
        seeds=(to_text(TextKind.IDENTITY, encode(identity_of("a"))).encode() + b"\n",),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(read_identity),),
        syntax=Syntax.TEXT,
    )
    yield Target(
        name="trust-file",
        run=_of_file(read_trust_list, mode=0o644),
        refuses=(ConfigurationError,),
        seeds=(trust_list_text(encode(TRUST)),),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(read_trust_list),),
        syntax=Syntax.TEXT,
    )
    yield Target(
        name="members-file",
        run=_members_of_file,
        refuses=(),
        seeds=(b"192.0.2.1:7946\n[2001:db8::1]:7946\n",),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(read_members),),
        syntax=Syntax.TEXT,
    )
    yield Target(
        name="authority-key-file",
        run=_of_file(_read_unsealed_authority_key, mode=0o600),
        refuses=(ConfigurationError,),
        seeds=(_authority_key(),),
        input_bytes_max=_FILE_BYTES_MAX,
        covers=(name_of(read_authority_key),),
        syntax=Syntax.TEXT,
    )


def _members_of_file(data: bytes) -> object:
    directory = Path(_directory().name)
    (directory / MEMBERS_FILE).write_bytes(data)
    return read_members(directory)


def _read_unsealed_authority_key(file: Path) -> object:
    return read_authority_key(file, passphrase=None)


def _authority_key() -> bytes:
    file = Path(_directory().name) / "authority.key"
    if not file.exists():
        write_authority_key(file, bytes(32), passphrase=None, salt=bytes(16))
    return file.read_bytes()


def _request(data: bytes) -> object:
    request = admin._decode_request(data)
    match request.op:
        case "offer":
            return admin._decode_offer(request)
        case "trust":
            return admin._decode_trust(request)
        case _:
            return request


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gossipsa-fuzz-")


def _of_file(read: Callable[[Path], object], *, mode: int) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        file = Path(_directory().name) / f"{read.__name__}-{os.getpid()}"
        file.write_bytes(data)
        file.chmod(mode)
        return read(file)

    return run
