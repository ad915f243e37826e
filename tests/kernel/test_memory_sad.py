"""The in-memory kernel beyond the contract: packets, endpoints, faults on purpose."""

import errno
import random
import subprocess
import sys
from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.identifiers import Endpoint, Secret
from gossipsa.kernel.backend import ClientRoute, OutboundBlock, SaId, SetNumbers, SetPacketLimit
from gossipsa.kernel.memory_sad import InboundDrop, MemorySad, Opened, Operation
from tests.kernel.samples import CLIENT, GATEWAY, INNER, cbc_sa, gcm_sa, selector

OUT = SaId(0x1000, CLIENT)
IN = SaId(0x2000, GATEWAY)
TO_INNER = (selector(str(INNER)),)


def gateway() -> MemorySad:
    """A gateway with the pair of SAs of one client."""
    sad = MemorySad(random_bytes=random.Random(1).randbytes)
    sad.add_sas(
        [
            gcm_sa(OUT.spi, destinations=TO_INNER, reverse=IN, encapsulation=(4500, 4500)),
            gcm_sa(IN.spi, GATEWAY, CLIENT, reverse=OUT, encapsulation=(4500, 4500)),
        ]
    )
    return sad


def client() -> MemorySad:
    """The client's side of it."""
    sad = MemorySad(random_bytes=random.Random(2).randbytes)
    sad.add_sas(
        [
            gcm_sa(OUT.spi, reverse=IN, encapsulation=(4500, 4500)),
            gcm_sa(IN.spi, GATEWAY, CLIENT, reverse=OUT, encapsulation=(4500, 4500)),
        ]
    )
    return sad


def packet_to_gateway(peer: MemorySad, payload: bytes = b"up") -> bytes:
    sealed = peer.seal_outbound(IN, payload)
    assert sealed is not None
    assert sealed.destination == Endpoint(GATEWAY, 4500)
    return sealed.packet


@given(payload=st.binary(max_size=100), next_header=st.integers(0, 255))
def test_payload_passes_from_client_to_gateway(payload: bytes, next_header: int) -> None:
    sealed = client().seal_outbound(IN, payload, next_header=next_header)
    assert sealed is not None
    opened = gateway().open_inbound(sealed.packet, destination=GATEWAY)
    assert opened == Opened(IN, 1, next_header, payload)


def test_cbc_packets_pass_too() -> None:
    sender, receiver = (MemorySad(random_bytes=random.Random(seed).randbytes) for seed in (1, 2))
    sender.add_sas([cbc_sa(OUT.spi)])
    receiver.add_sas([cbc_sa(OUT.spi)])
    for number in (1, 2):
        sealed = sender.seal_outbound(OUT, b"payload")
        assert sealed is not None
        opened = receiver.open_inbound(sealed.packet, destination=CLIENT)
        assert opened == Opened(OUT, number, 59, b"payload")


def test_replay_is_dropped() -> None:
    sad, packet = gateway(), packet_to_gateway(client())
    assert isinstance(sad.open_inbound(packet, destination=GATEWAY), Opened)
    assert sad.open_inbound(packet, destination=GATEWAY) is InboundDrop.SEQUENCE_ERROR


@given(position=st.integers(8, 30), flip=st.integers(1, 255))
def test_damaged_packet_is_dropped_and_changes_nothing(position: int, flip: int) -> None:
    sad, packet = gateway(), bytearray(packet_to_gateway(client()))
    packet[position % len(packet)] ^= flip
    before = sad.sas()
    assert sad.open_inbound(bytes(packet), destination=GATEWAY) is InboundDrop.PROTOCOL_ERROR
    assert sad.sas() == before


@given(packet=st.binary(max_size=60))
def test_noise_is_dropped(packet: bytes) -> None:
    assert isinstance(gateway().open_inbound(packet, destination=GATEWAY), InboundDrop)


def test_packet_for_an_unknown_sa_is_dropped() -> None:
    sad = gateway()
    packet = packet_to_gateway(client())
    sad.delete_sas([IN])
    assert sad.open_inbound(packet, destination=GATEWAY) is InboundDrop.NO_STATE


def test_answers_follow_the_newest_authentic_packet() -> None:
    sad, peer = gateway(), client()
    first, second = packet_to_gateway(peer), packet_to_gateway(peer)
    here, there = Endpoint(CLIENT, 1024), Endpoint(IPv4Address("198.51.100.7"), 2048)

    def answered_to() -> Endpoint:
        sealed = sad.seal_outbound(OUT, b"down")
        assert sealed is not None
        return sealed.destination

    assert answered_to() == Endpoint(CLIENT, 4500)
    sad.open_inbound(second, destination=GATEWAY, source=here)
    assert answered_to() == here
    sad.open_inbound(first, destination=GATEWAY, source=there)
    sad.open_inbound(second, destination=GATEWAY, source=there)
    sad.open_inbound(b"\0\0\x20\0" + bytes(40), destination=GATEWAY, source=there)
    assert answered_to() == here


def test_address_finds_the_newest_sa_of_the_narrowest_policy() -> None:
    sad = gateway()
    sad.add_sas([gcm_sa(0x1001, destinations=(selector("10.99.0.0", "10.99.255.255"),))])
    sad.add_sas([gcm_sa(0x1002, destinations=TO_INNER)])

    def spi_towards(address: IPv4Address) -> int:
        sealed = sad.seal_outbound(address, b"")
        assert sealed is not None
        return int.from_bytes(sealed.packet[:4], "big")

    assert (spi_towards(INNER), spi_towards(INNER + 1)) == (0x1002, 0x1001)
    sad.delete_sas([SaId(0x1002, CLIENT)])
    assert spi_towards(INNER) == 0x1000
    sad.delete_sas([OUT])
    assert spi_towards(INNER) == 0x1001
    assert sad.seal_outbound(IPv4Address("192.0.2.1"), b"") is None


def test_block_holds_for_sas_named_too() -> None:
    sad = gateway()
    sad.block_outbound([OutboundBlock((selector("10.99.1.0", "10.99.1.3"),))])
    assert sad.seal_outbound(OUT, b"") is None
    assert sad.sas()[0].sent == 0


def test_two_gateways_with_one_key_never_use_a_number_or_an_iv_twice() -> None:
    first, second = gateway(), gateway()
    first.set_packet_limits([SetPacketLimit(id=OUT, soft=20, hard=30)])
    second.set_numbers([SetNumbers(id=OUT, sent=30)])
    headers = [
        sealed.packet[:16]
        for sad in (first, second)
        for _ in range(50)
        if (sealed := sad.seal_outbound(OUT, b"")) is not None
    ]
    assert len(headers) == len(set(headers)) == 30 + 50


OPERATIONS = {
    Operation.SET_NUMBERS: lambda sad: sad.set_numbers([SetNumbers(id=OUT, sent=9)] * 2),
    Operation.SET_PACKET_LIMITS: lambda sad: sad.set_packet_limits(
        [SetPacketLimit(id=OUT, soft=9, hard=9)] * 2
    ),
    Operation.ADD_SAS: lambda sad: sad.add_sas([gcm_sa(0x1001)] * 2),
    Operation.DELETE_SAS: lambda sad: sad.delete_sas([OUT, OUT]),
    Operation.BLOCK_OUTBOUND: lambda sad: sad.block_outbound([OutboundBlock(TO_INNER)] * 2),
    Operation.UNBLOCK_OUTBOUND: lambda sad: sad.unblock_outbound([OutboundBlock(TO_INNER)] * 2),
    Operation.DELETE_OUTBOUND_POLICIES: lambda sad: sad.delete_outbound_policies(
        [OutboundBlock(TO_INNER)] * 2
    ),
    Operation.ADD_ROUTES: lambda sad: sad.add_routes([ClientRoute(INNER, CLIENT)] * 2),
    Operation.DELETE_ROUTES: lambda sad: sad.delete_routes([INNER] * 2),
}


@pytest.mark.parametrize("operation", Operation)
def test_operation_fails_as_often_as_asked(operation: Operation) -> None:
    sad = gateway()
    sad.refuse_next(operation, errno.ENOBUFS)
    refused, done = OPERATIONS[operation](sad)
    assert refused.errno == errno.ENOBUFS
    assert str(refused) == f"{operation.value}: refused on purpose"
    assert done is None


def test_refused_operation_has_no_effect() -> None:
    sad = gateway()
    before = sad.sas()
    sad.refuse_next(Operation.SET_NUMBERS, errno.EINVAL)
    sad.refuse_next(Operation.DELETE_SAS, errno.EBUSY, items=2)
    sad.set_numbers([SetNumbers(id=OUT, sent=9)])
    sad.delete_sas([OUT, IN])
    assert sad.sas() == before


def test_wrong_key_length_is_refused() -> None:
    sad = MemorySad(random_bytes=bytes)
    (refused,) = sad.add_sas([msgspec.structs.replace(cbc_sa(1), integrity_key=Secret(b"short"))])
    assert refused is not None
    assert refused.errno == errno.EINVAL


def test_core_of_the_memory_kernel_does_no_io() -> None:
    # The simulator runs it: no clock, no sockets, no randomness of its own.
    probe = (
        "import sys; before = set(sys.modules)\n"
        "import gossipsa.kernel.memory_sad, gossipsa.kernel.client_sas\n"
        "print(sorted({'trio', 'pyroute2', 'secrets'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
