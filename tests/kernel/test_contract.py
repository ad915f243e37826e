"""What every kernel does alike. The real one is asked by `test_on_real_kernels`."""

import errno
from ipaddress import IPv4Address

import msgspec
import pytest
import trio

from gossipsa.identifiers import Secret
from gossipsa.ipsec.esp import EspKeys, seal_esp
from gossipsa.ipsec.replay_window import ReplayWindow
from gossipsa.kernel.backend import (
    UNLIMITED_PACKETS,
    Answer,
    ClientRoute,
    KernelSa,
    OutboundBlock,
    PacketLimitReached,
    SaId,
    SetNumbers,
    SetPacketLimit,
)
from tests.kernel.rigs import Rig, find
from tests.kernel.samples import CLIENT, GATEWAY, GCM_KEY, INNER, cbc_sa, gcm_sa, selector

TO_INNER = (selector(str(INNER)),)
OUT = SaId(0x1000, CLIENT)
IN = SaId(0x2000, GATEWAY)
NOBODY = SaId(0x3000, CLIENT)
LANE = 2**30


def errnos(answers: tuple[Answer, ...]) -> list[int]:
    """Errnos of a batch, 0 for done."""
    return [0 if answer is None else answer.errno for answer in answers]


async def only_sa(rig: Rig) -> KernelSa:
    (sa,) = await rig.kernel.sas()
    return sa


async def outbound(rig: Rig, *, esn: bool = True, sent: int = 0) -> None:
    """Add the outbound SA OUT, which carries packets for INNER."""
    sa = gcm_sa(OUT.spi, esn=esn, sent=sent, destinations=TO_INNER)
    assert errnos(await rig.kernel.add_sas([sa])) == [0]
    await rig.carry(sa)


async def limit_events(rig: Rig, count: int) -> list[PacketLimitReached]:
    """Return so many limit events, which must be there soon, and no more."""
    channel = rig.kernel.limit_events()
    with trio.fail_after(5):
        events = [await channel.receive() for _ in range(count)]
    assert channel.statistics().current_buffer_used == 0
    return events


def esp_packet(sequence: int, *, spi: int = IN.spi, key: Secret = GCM_KEY) -> bytes:
    """Seal an IPv4 packet with nothing in it, as CLIENT would with an ESN SA."""
    inner = bytes.fromhex("45000014000000004011") + bytes(2) + INNER.packed + GATEWAY.packed
    return seal_esp(
        spi=spi,
        sequence_low=sequence & 0xFFFFFFFF,
        sequence_high=sequence >> 32,
        keys=EspKeys(encryption=20, integrity=None, encryption_key=key),
        payload=inner,
        next_header=4,
        iv=sequence.to_bytes(8, "big"),
    )


async def test_added_sa_is_listed_with_its_numbers(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(OUT.spi, sent=7, received=1000, packet_limit=100)])
    sa = await only_sa(rig)
    assert (sa.id, sa.source, sa.esn, sa.sent, sa.received) == (OUT, GATEWAY, True, 7, 1000)
    assert (sa.packets, sa.packet_limit) == (7, 100)


async def test_numbers_received_before_installation_count_as_seen(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(OUT.spi, received=1000)])
    assert (await only_sa(rig)).window_bitmap == (0xFFFFFFFF, 0xFFFFFFFF)


async def test_sa_without_esn_is_listed_as_such(rig: Rig) -> None:
    await rig.kernel.add_sas([cbc_sa(OUT.spi)])
    sa = await only_sa(rig)
    assert (sa.esn, sa.packet_limit) == (False, UNLIMITED_PACKETS)


async def test_refused_sa_leaves_the_rest_of_the_batch_alone(rig: Rig) -> None:
    unknown_cipher = msgspec.structs.replace(gcm_sa(0x1003), encryption=999)
    batch = [gcm_sa(0x1001), gcm_sa(0x1001), unknown_cipher, gcm_sa(0x1002)]
    assert errnos(await rig.kernel.add_sas(batch)) == [0, errno.EEXIST, errno.EOPNOTSUPP, 0]
    assert {sa.id.spi for sa in await rig.kernel.sas()} == {0x1001, 0x1002}


async def test_empty_batches_have_empty_answers(policy_rig: Rig) -> None:
    kernel = policy_rig.kernel
    assert await kernel.set_numbers([]) == ()
    assert await kernel.set_packet_limits([]) == ()
    assert await kernel.add_sas([]) == ()
    assert await kernel.delete_sas([]) == ()
    assert await kernel.block_outbound([]) == ()
    assert await kernel.add_routes([]) == ()


async def test_changes_of_unknown_sas_are_refused(rig: Rig) -> None:
    await outbound(rig)
    numbers = [SetNumbers(id=NOBODY, sent=1), SetNumbers(id=OUT, sent=2)]
    assert errnos(await rig.kernel.set_numbers(numbers)) == [errno.ESRCH, 0]
    limits = [SetPacketLimit(id=NOBODY, soft=1, hard=2), SetPacketLimit(id=OUT, soft=5, hard=6)]
    assert errnos(await rig.kernel.set_packet_limits(limits)) == [errno.ESRCH, 0]
    sa = await only_sa(rig)
    assert (sa.sent, sa.packet_limit) == (2, 6)


async def test_deleting_an_sa_that_is_gone_counts_as_done(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(OUT.spi)])
    assert errnos(await rig.kernel.delete_sas([NOBODY, OUT, OUT])) == [0, 0, 0]
    assert await rig.kernel.sas() == ()


async def test_packet_counter_follows_the_sequence_number(rig: Rig) -> None:
    await outbound(rig)
    assert errnos(await rig.kernel.set_numbers([SetNumbers(id=OUT, sent=LANE)])) == [0]
    sa = await only_sa(rig)
    assert (sa.sent, sa.packets) == (LANE, LANE)
    assert await rig.send() == LANE + 1


async def test_sequence_number_never_goes_back(rig: Rig) -> None:
    await outbound(rig, sent=50)
    refused = [SetNumbers(id=OUT, sent=49), SetNumbers(id=OUT, received=5)]
    assert errnos(await rig.kernel.set_numbers(refused)) == [errno.EINVAL, errno.EINVAL]
    assert (await only_sa(rig)).sent == 50


async def test_numbers_beyond_32_bits_need_esn(rig: Rig) -> None:
    await outbound(rig, esn=False)
    refused = [SetNumbers(id=OUT, sent=2**32), SetNumbers(id=OUT, sent=0, received=2**32)]
    assert errnos(await rig.kernel.set_numbers(refused)) == [errno.ERANGE, errno.ERANGE]


@pytest.mark.parametrize("received", [1, 31, 64, 65, 1000, 2**33 + 5])
async def test_received_number_marks_all_before_it_as_seen(rig: Rig, received: int) -> None:
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.kernel.set_numbers([SetNumbers(id=IN, received=received)])
    sa = await only_sa(rig)
    window = ReplayWindow.from_ring(
        sa.window_bitmap, top_sequence=sa.received, window_packets=64, extended=True
    )
    assert (window.top_sequence, window.bitmap) == (received, (1 << min(received, 64)) - 1)


async def test_recorded_window_is_taken_over(rig: Rig) -> None:
    recorded = ReplayWindow(window_packets=64, extended=True, top_sequence=1003, bitmap=0b1011)
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.kernel.set_numbers([SetNumbers(id=IN, received=1003, window_bitmap=recorded.to_ring())])
    assert (await only_sa(rig)).window_bitmap == recorded.to_ring()
    await rig.receive(esp_packet(1001))
    assert (await only_sa(rig)).window_bitmap == recorded.accept(1001).to_ring()


async def test_older_record_leaves_the_window_where_it_is(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.receive(esp_packet(100))
    await rig.kernel.set_numbers([SetNumbers(id=IN, received=98)])
    sa = await only_sa(rig)
    window = ReplayWindow.from_ring(
        sa.window_bitmap, top_sequence=sa.received, window_packets=64, extended=True
    )
    assert (window.top_sequence, window.bitmap) == (100, (1 << 64) - 1 - 0b10)


async def test_packets_up_to_the_received_number_are_replays(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.kernel.set_numbers([SetNumbers(id=IN, received=LANE)])
    await rig.receive(esp_packet(LANE))
    await rig.receive(esp_packet(LANE - 3))
    assert (await only_sa(rig)).packets == 0
    await rig.receive(esp_packet(LANE + 2))
    sa = await only_sa(rig)
    assert (sa.packets, sa.received) == (1, LANE + 2)


async def test_forward_jump_into_the_shared_region_is_accepted(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.receive(esp_packet(5))
    await rig.receive(esp_packet(2**31 - 1))
    assert (await only_sa(rig)).received == 2**31 - 1


async def test_forged_packet_does_not_move_the_window(rig: Rig) -> None:
    await rig.kernel.add_sas([gcm_sa(IN.spi, GATEWAY, CLIENT)])
    await rig.receive(esp_packet(9, key=Secret(bytes(20))))
    assert (await only_sa(rig)).received == 0


async def test_packet_limit_fences_the_sequence_number(rig: Rig) -> None:
    await outbound(rig)
    await rig.kernel.set_numbers([SetNumbers(id=OUT, sent=LANE)])
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=LANE + 2, hard=LANE + 4)])
    sequences = [await rig.send() for _ in range(7)]
    assert sequences == [LANE + 1, LANE + 2, LANE + 3, LANE + 4, None, None, None]
    assert await limit_events(rig, 2) == [
        PacketLimitReached(OUT, hard=False),
        PacketLimitReached(OUT, hard=True),
    ]
    assert await find(rig.kernel, OUT) is None


async def test_raised_limit_lets_traffic_go_on(rig: Rig) -> None:
    await outbound(rig)
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=1, hard=3)])
    before = [await rig.send() for _ in range(2)]
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=4, hard=6)])
    after = [await rig.send() for _ in range(5)]
    assert before + after == [1, 2, 3, 4, 5, 6, None]
    events = await limit_events(rig, 3)
    assert [event.hard for event in events] == [False, False, True]


async def test_limit_below_the_count_ends_a_used_sa_at_once(rig: Rig) -> None:
    await outbound(rig)
    assert await rig.send() == 1
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=1, hard=1)])
    assert await limit_events(rig, 1) == [PacketLimitReached(OUT, hard=True)]
    assert await find(rig.kernel, OUT) is None


async def test_limit_at_the_count_lets_no_packet_of_a_fresh_sa_out(rig: Rig) -> None:
    await outbound(rig, sent=5)
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=5, hard=5)])
    # Not at once: the kernel looks at the limits of an SA that was used.
    assert await find(rig.kernel, OUT) is not None
    assert await rig.send() is None
    assert await limit_events(rig, 1) == [PacketLimitReached(OUT, hard=True)]
    assert await find(rig.kernel, OUT) is None


async def test_setting_limits_leaves_numbers_alone(rig: Rig) -> None:
    await outbound(rig)
    sent = [await rig.send() for _ in range(3)]
    await rig.kernel.set_packet_limits([SetPacketLimit(id=OUT, soft=2**40, hard=2**41)])
    assert [*sent, await rig.send()] == [1, 2, 3, 4]
    sa = await only_sa(rig)
    assert (sa.sent, sa.packets, sa.packet_limit) == (4, 4, 2**41)


async def test_sequence_number_without_esn_does_not_wrap(rig: Rig) -> None:
    await outbound(rig, esn=False, sent=2**32 - 3)
    assert [await rig.send() for _ in range(4)] == [2**32 - 2, 2**32 - 1, None, None]
    assert await find(rig.kernel, OUT) is not None


async def test_sequence_number_with_esn_passes_32_bits(rig: Rig) -> None:
    await outbound(rig, sent=2**32 - 2)
    assert [await rig.send() for _ in range(3)] == [2**32 - 1, 0, 1]
    assert (await only_sa(rig)).sent == 2**32 + 1


async def test_block_holds_until_it_is_lifted(rig: Rig) -> None:
    await outbound(rig)
    block = OutboundBlock(TO_INNER)
    assert errnos(await rig.kernel.block_outbound([block, block])) == [0, 0]
    blocked = [await rig.send() for _ in range(2)]
    assert errnos(await rig.kernel.unblock_outbound([block, block])) == [0, 0]
    assert [*blocked, await rig.send()] == [None, None, 1]


async def test_block_of_another_destination_does_not_matter(rig: Rig) -> None:
    await outbound(rig)
    await rig.kernel.block_outbound([OutboundBlock((selector("10.99.1.2"), selector("fd99::1")))])
    assert await rig.send() == 1


async def test_block_of_a_range_holds_for_addresses_in_it(rig: Rig) -> None:
    await outbound(rig)
    await rig.kernel.block_outbound([OutboundBlock((selector("10.99.1.0", "10.99.1.255"),))])
    assert await rig.send() is None


async def test_lifting_a_block_that_never_was_counts_as_done(policy_rig: Rig) -> None:
    assert errnos(await policy_rig.kernel.unblock_outbound([OutboundBlock(TO_INNER)])) == [0]


async def test_without_its_policy_an_sa_carries_nothing(rig: Rig) -> None:
    await outbound(rig)
    assert errnos(await rig.kernel.delete_outbound_policies([OutboundBlock(TO_INNER)])) == [0]
    assert await rig.send() is None
    assert await find(rig.kernel, OUT) is not None


async def test_routes_are_listed_until_deleted(policy_rig: Rig) -> None:
    kernel = policy_rig.kernel
    first, second = IPv4Address("10.99.1.1"), IPv4Address("10.99.1.2")
    added = await kernel.add_routes([ClientRoute(first, CLIENT), ClientRoute(second, CLIENT)])
    assert errnos(added) == [0, 0]
    assert set(await kernel.routes()) == {first, second}
    assert errnos(await kernel.delete_routes([first, first])) == [0, 0]
    assert await kernel.routes() == (second,)
    assert errnos(await kernel.delete_routes([second])) == [0]


async def test_route_added_again_is_replaced(policy_rig: Rig) -> None:
    kernel = policy_rig.kernel
    routes = [ClientRoute(INNER, CLIENT), ClientRoute(INNER, IPv4Address("192.0.2.7"))]
    assert errnos(await kernel.add_routes(routes)) == [0, 0]
    assert await kernel.routes() == (INNER,)
    await kernel.delete_routes([INNER])
    assert await kernel.routes() == ()


async def test_ike_messages_arrive_as_sent(policy_rig: Rig) -> None:
    gateway = policy_rig.gateway
    message = bytes(range(1, 100))
    # To itself: what is sent from the gateway's IKE port arrives there, and a copy with us.
    await policy_rig.kernel.send_ike(source=gateway, destination=gateway, data=message)
    with trio.fail_after(5):
        copy = await policy_rig.kernel.ike_messages().receive()
    assert (copy.source, copy.destination, copy.data) == (gateway, gateway, message)
