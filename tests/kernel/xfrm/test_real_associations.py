"""What the real kernel's SAs have beyond the contract: marks, legacy replay state, lost events."""

import errno
import socket

import trio

from gossipsa.ipsec.replay_window import ReplayWindow
from gossipsa.kernel.backend import PacketLimitReached, SaId, SetNumbers, SetPacketLimit
from gossipsa.kernel.xfrm import COMMON_CIPHERS, XfrmSettings, open_xfrm_kernel, preload_ciphers
from gossipsa.kernel.xfrm.messages import encode
from gossipsa.kernel.xfrm.netlink import NETLINK_XFRM
from gossipsa.kernel.xfrm.request_socket import RequestSocket
from gossipsa.kernel.xfrm.uapi import MessageType, UserSaInfo, pack_address
from tests.kernel.rigs import XfrmRig, find, run
from tests.kernel.samples import CLIENT, CLIENT6, GATEWAY, GATEWAY6, cbc_sa, gcm_sa

ALGORITHMS = f"auth-trunc 'hmac(sha256)' 0x{'11' * 32} 128 enc 'cbc(aes)' 0x{'22' * 16}"
LEGACY = SaId(0x4000, CLIENT)
MARKED = SaId(0x4001, CLIENT)


def add_by_ip(sa_id: SaId, options: str = "") -> None:
    """Add an SA as strongSwan does without ESN: its replay state is the legacy one."""
    run(
        f"ip xfrm state add src {GATEWAY} dst {sa_id.destination} proto esp spi {sa_id.spi:#x} reqid 3 "
        f"mode tunnel replay-window 32 {ALGORITHMS} {options}"
    )


async def test_legacy_sa_keeps_time_limits_encapsulation_and_window(real_rig: XfrmRig) -> None:
    kernel = real_rig.kernel
    add_by_ip(
        LEGACY,
        "encap espinudp 4500 1024 0.0.0.0 "
        "limit time-soft 3000 limit time-hard 4000 limit byte-hard 123456789",
    )
    recorded = ReplayWindow(window_packets=32, extended=False, top_sequence=70, bitmap=0b1001)
    numbers = SetNumbers(id=LEGACY, sent=50, received=70, window_bitmap=recorded.to_ring())
    assert await kernel.set_numbers([numbers]) == (None,)
    assert await kernel.set_packet_limits([SetPacketLimit(id=LEGACY, soft=60, hard=70)]) == (None,)
    sa = await find(kernel, LEGACY)
    assert sa is not None
    assert (sa.sent, sa.packets, sa.received, sa.packet_limit) == (50, 50, 70, 70)
    assert sa.window_bitmap == recorded.to_ring()
    shown = run("ip -s xfrm state")
    for kept in (
        "anti-replay context: seq 0x46, oseq 0x32, bitmap 0x00000009",
        "encap type espinudp sport 4500 dport 1024",
        "soft 3000(sec), hard 4000(sec)",
        "hard 123456789(bytes)",
        "soft 60(packets), hard 70(packets)",
        "0x" + "22" * 16,
        "reqid 3",
    ):
        assert kept in shown


async def test_marked_sa_is_changed_and_deleted(real_rig: XfrmRig) -> None:
    kernel = real_rig.kernel
    add_by_ip(MARKED, "mark 0x7 mask 0xff")
    gone = SaId(0x4999, CLIENT)
    numbers = [SetNumbers(id=MARKED, sent=9), SetNumbers(id=gone, sent=9)]
    done, refused = await kernel.set_numbers(numbers)
    assert done is None
    assert refused is not None
    assert refused.errno == errno.ESRCH
    assert await kernel.set_packet_limits([SetPacketLimit(id=MARKED, soft=20, hard=21)]) == (None,)
    sa = await find(kernel, MARKED)
    assert sa is not None
    assert (sa.sent, sa.packet_limit) == (9, 21)
    assert await kernel.delete_sas([gone, MARKED]) == (None, None)
    assert await kernel.sas() == ()


async def test_larval_sa_is_not_listed(real_rig: XfrmRig) -> None:
    run(f"ip xfrm state allocspi src {GATEWAY} dst {CLIENT} proto esp mode tunnel min 0x5000 max 0x5000")
    assert await real_rig.kernel.sas() == ()
    assert await real_rig.kernel.delete_sas([SaId(0x5000, CLIENT)]) == (None,)
    assert run("ip xfrm state").strip() == ""


async def test_installed_sas_are_what_ip_would_install(real_rig: XfrmRig) -> None:
    kernel = real_rig.kernel
    await kernel.add_sas([gcm_sa(1, encapsulation=(4500, 1024)), cbc_sa(2), gcm_sa(3, CLIENT6, GATEWAY6)])
    ours = run("ip xfrm state")
    run("ip xfrm state flush")
    gcm = "flag esn replay-window 64 aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128"
    cbc = (
        "flag af-unspec replay-window 64 auth-trunc 'hmac(sha256)' "
        f"0x{bytes(range(32)).hex()} 128 enc 'cbc(aes)' 0x{bytes(range(16)).hex()}"
    )
    for ends, spi, rest in (
        (f"src {GATEWAY} dst {CLIENT}", 1, f"flag af-unspec {gcm} encap espinudp 4500 1024 0.0.0.0"),
        (f"src {GATEWAY} dst {CLIENT}", 2, cbc),
        (f"src {GATEWAY6} dst {CLIENT6}", 3, f"flag af-unspec {gcm}"),
    ):
        run(f"ip xfrm state add {ends} proto esp spi {spi} mode tunnel {rest}")
    assert run("ip xfrm state") == ours


async def test_many_sas_are_changed_by_way_of_a_dump(real_rig: XfrmRig) -> None:
    kernel = real_rig.kernel
    ids = [SaId(0x10000 + number, CLIENT) for number in range(600)]
    assert set(await kernel.add_sas([gcm_sa(sa_id.spi) for sa_id in ids])) == {None}
    numbers = [SetNumbers(id=sa_id, sent=sa_id.spi) for sa_id in ids]
    assert set(await kernel.set_numbers(numbers)) == {None}
    limits = [SetPacketLimit(id=sa_id, soft=sa_id.spi + 1, hard=sa_id.spi + 2) for sa_id in ids]
    assert set(await kernel.set_packet_limits(limits)) == {None}
    listed = {sa.id: (sa.sent, sa.packets, sa.packet_limit) for sa in await kernel.sas()}
    assert listed == {sa_id: (sa_id.spi, sa_id.spi, sa_id.spi + 2) for sa_id in ids}
    assert set(await kernel.delete_sas(ids)) == {None}
    assert await kernel.sas() == ()


async def test_lost_events_lead_to_a_listing(real_rig: XfrmRig) -> None:
    reached = SaId(0x6000, CLIENT)
    async with open_xfrm_kernel(XfrmSettings(event_buffer_bytes=4096)) as kernel:
        await kernel.add_sas([gcm_sa(reached.spi), gcm_sa(0x6001)])
        await kernel.set_packet_limits([SetPacketLimit(id=reached, soft=5, hard=9)])
        await kernel.set_numbers([SetNumbers(id=reached, sent=5)])
        # Whoever may configure XFRM may have events sent; these are about the SA that reached nothing.
        other = UserSaInfo(
            destination=pack_address(CLIENT), spi=b"\0\0\x60\1", family=socket.AF_INET, source=bytes(16)
        )
        expire = encode(MessageType.EXPIRE, other)
        with RequestSocket(NETLINK_XFRM, timeout_s=5) as requests:
            await requests.execute([bytearray(expire) for _ in range(200)])
        with trio.fail_after(5):
            assert await kernel.limit_events().receive() == PacketLimitReached(reached, hard=False)
        assert kernel.counters.event_overflows >= 1
        assert kernel.counters.failed_resyncs == 0


async def test_common_ciphers_are_there_and_leave_nothing_behind(real_rig: XfrmRig) -> None:
    assert await preload_ciphers(COMMON_CIPHERS) == ()
    assert await real_rig.kernel.sas() == ()
