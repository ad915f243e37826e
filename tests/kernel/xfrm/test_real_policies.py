"""Blocks and routes beside those of others, on a real kernel (any, ESP is not needed)."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import trio

from gossipsa.identifiers import Endpoint
from gossipsa.kernel.backend import ClientRoute, OutboundBlock
from gossipsa.kernel.xfrm import XfrmSettings, open_xfrm_kernel
from tests.kernel.rigs import XfrmRig, run
from tests.kernel.samples import CLIENT, CLIENT6, GATEWAY, GATEWAY6, INNER, selector

BLOCK = OutboundBlock((selector(str(INNER)),))
FORWARDED_SOURCE = IPv4Address("10.1.0.77")


def policies() -> list[str]:
    """List policies in one line each, without those of sockets."""
    text = run("ip xfrm policy").replace("\n\t", " ").strip()
    return [" ".join(line.split()) for line in text.splitlines() if " socket " not in line]


def send_locally(destination: IPv4Address) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.sendto(b"payload", (str(destination), 9))
        except PermissionError:
            return False
    return True


def forwards(destination: IPv4Address) -> bool:
    """Let a packet come in from the neighbour, and tell whether it goes out again."""
    run("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter")
    run("echo 0 > /proc/sys/net/ipv4/conf/under-test/rp_filter")
    udp = struct.pack("!HHHH", 7, 9, 8, 0)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0)
    header += FORWARDED_SOURCE.packed + destination.packed
    total = sum(struct.unpack("!10H", header))
    header = header[:10] + struct.pack("!H", ~(total % 0xFFFF) & 0xFFFF) + header[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as interface:
        interface.bind(("under-test", 0))
        gateway_mac = interface.getsockname()[4]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind(("nowhere", 3))
        wire.settimeout(0.3)
        wire.send(gateway_mac + bytes.fromhex("020000000001") + b"\x08\x00" + header + udp)
        try:
            while True:
                frame, address = wire.recvfrom(2000)
                is_incoming_ipv4 = address[1] == 0x0800 and address[2] != 4
                if is_incoming_ipv4 and frame[26:30] == FORWARDED_SOURCE.packed:
                    return frame[30:34] == destination.packed
        except TimeoutError:
            return False


async def test_block_stops_forwarded_and_local_packets(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    assert send_locally(INNER)
    assert forwards(INNER)
    await kernel.block_outbound([BLOCK])
    assert not send_locally(INNER)
    assert not forwards(INNER)
    assert send_locally(INNER + 1)
    assert forwards(INNER + 1)
    await kernel.unblock_outbound([BLOCK])
    assert send_locally(INNER)
    assert forwards(INNER)


async def test_block_lives_beside_a_policy_of_the_same_addresses(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    others = f"src 0.0.0.0/0 dst {INNER}/32 dir out"
    run(f"ip xfrm policy add {others} priority 1 action allow")
    (before,) = policies()
    await kernel.block_outbound([BLOCK])
    assert len(policies()) == 2
    assert not send_locally(INNER)
    await kernel.unblock_outbound([BLOCK])
    assert policies() == [before]
    await kernel.block_outbound([BLOCK])
    # The IKE daemon updates and deletes its own policy while the block is there.
    run(f"ip xfrm policy update {others} priority 3 action allow")
    run(f"ip xfrm policy delete {others}")
    assert len(policies()) == 1
    assert not send_locally(INNER)


async def test_block_with_sources_leaves_other_sources_alone(real_policy_rig: XfrmRig) -> None:
    everywhere = (selector("0.0.0.0", "255.255.255.255"),)
    block = OutboundBlock(everywhere, sources=(selector("192.168.7.0", "192.168.7.255"),))
    await real_policy_rig.kernel.block_outbound([block])
    assert send_locally(INNER)
    assert policies() == ["src 192.168.7.0/24 dst 0.0.0.0/0 dir out action block priority 0 ptype main"]
    await real_policy_rig.kernel.unblock_outbound([block])
    assert policies() == []


async def test_block_holds_for_every_interface_id_named(real_policy_rig: XfrmRig) -> None:
    async with open_xfrm_kernel(XfrmSettings(interface_ids=(0, 9))) as kernel:
        await kernel.block_outbound([BLOCK])
        assert sorted("if_id 0x9" in policy for policy in policies()) == [False, True]
        await kernel.unblock_outbound([BLOCK])
        assert policies() == []


async def test_policies_of_a_dead_daemon_go_in_all_directions(real_policy_rig: XfrmRig) -> None:
    template = f"tmpl src {GATEWAY} dst {CLIENT} proto esp reqid 1 mode tunnel"
    back = f"tmpl src {CLIENT} dst {GATEWAY} proto esp reqid 1 mode tunnel"
    for address in ("10.99.1.1", "10.99.1.2"):
        out, into = f"src 192.168.7.0/24 dst {address}/32", f"src {address}/32 dst 192.168.7.0/24"
        run(f"ip xfrm policy add {out} dir out priority 371327 {template}")
        run(f"ip xfrm policy add {out} dir out priority 371327 if_id 7 {template}")
        run(f"ip xfrm policy add {out} dir out priority 371327 mark 7 mask 255 {template}")
        run(f"ip xfrm policy add {into} dir in priority 371327 {back}")
        run(f"ip xfrm policy add {into} dir fwd priority 371327 {back}")
    kernel = real_policy_rig.kernel
    await kernel.block_outbound([BLOCK])
    assert await kernel.delete_outbound_policies([BLOCK, BLOCK]) == (None, None)
    left = policies()
    assert len(left) == 6
    assert sum("10.99.1.2/32" in policy for policy in left) == 5
    assert sum("action block" in policy for policy in left) == 1


async def test_route_goes_by_the_next_hop_of_the_outer_address(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    inner6 = IPv6Address("fd99::1")
    await kernel.add_routes(
        [
            ClientRoute(INNER, IPv4Address("192.0.2.1")),
            ClientRoute(INNER + 1, GATEWAY + 1),
            ClientRoute(inner6, CLIENT6),
            ClientRoute(inner6 + 1, CLIENT),
        ]
    )
    assert run("ip -4 route show proto 118").splitlines() == [
        "10.99.1.1 via 10.1.0.9 dev under-test metric 118 ",
        "10.99.1.2 dev under-test scope link metric 118 ",
    ]
    assert [line.split(" metric")[0] for line in run("ip -6 route show proto 118").splitlines()] == [
        "fd99::1 dev under-test",
        "fd99::2 dev under-test",
    ]
    await kernel.delete_routes(await kernel.routes())
    assert await kernel.routes() == ()


async def test_routes_of_others_stay(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    run(f"ip route add {INNER}/32 dev under-test")
    await kernel.add_routes([ClientRoute(INNER, CLIENT)])
    assert len(run(f"ip route show {INNER}").splitlines()) == 2
    await kernel.delete_routes([INNER, INNER])
    assert run(f"ip route show {INNER}").strip() == f"{INNER} dev under-test scope link"
    run(f"ip route delete {INNER}/32 dev under-test")


async def test_routes_go_to_the_table_named(real_policy_rig: XfrmRig) -> None:
    settings = XfrmSettings(routing_table=1000, routing_protocol=200, route_metric=5)
    async with open_xfrm_kernel(settings) as kernel:
        assert await kernel.routes() == ()
        await kernel.add_routes([ClientRoute(INNER, CLIENT)])
        assert await kernel.routes() == (INNER,)
        assert await real_policy_rig.kernel.routes() == ()
        listed = run("ip route show table 1000").strip()
        assert listed == f"{INNER} dev under-test proto 200 scope link metric 5"
        await kernel.delete_routes([INNER])


async def test_client_without_a_way_to_it_gets_no_route(real_policy_rig: XfrmRig) -> None:
    run("ip route add unreachable 198.51.100.0/24")
    routes = [ClientRoute(INNER, IPv4Address("198.51.100.1")), ClientRoute(INNER + 1, CLIENT)]
    refused, done = await real_policy_rig.kernel.add_routes(routes)
    assert str(refused) == "no route to 198.51.100.1: No route to host"
    assert done is None
    await real_policy_rig.kernel.delete_routes([INNER + 1])


async def test_ike_passes_blocks_and_policies(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    for address, mine in ((CLIENT, GATEWAY), (CLIENT6, GATEWAY6)):
        await kernel.block_outbound([OutboundBlock((selector(str(address)), selector(str(mine))))])
        # Inbound too: nothing but ESP may come from there.
        run(f"ip xfrm policy add src {mine} dst {mine} dir in action block priority 1")
        own = Endpoint(mine, 500)
        await kernel.send_ike(source=own, destination=Endpoint(address, 4500), data=b"ike")
        await kernel.send_ike(source=own, destination=own, data=b"ike to ourselves")
        with trio.fail_after(5):
            copy = await kernel.ike_messages().receive()
        assert (copy.source, copy.destination, copy.data) == (own, own, b"ike to ourselves")


async def test_esp_in_udp_and_keepalives_are_not_taken_for_ike(real_policy_rig: XfrmRig) -> None:
    kernel = real_policy_rig.kernel
    for mine in (GATEWAY, GATEWAY6):
        family = socket.AF_INET if mine.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            for payload in (b"\0\0\0\1esp", b"\xff", b"\0\0", b"\0\0\0\0ike"):
                udp.sendto(payload, (str(mine), 4500))
            udp.sendto(b"\0\0\0\0not ike", (str(mine), 4501))
            udp.sendto(b"ike", (str(mine), 500))
        with trio.fail_after(5):
            copies = [await kernel.ike_messages().receive() for _ in range(2)]
        assert [(copy.destination.port, copy.data) for copy in copies] == [(4500, b"ike"), (500, b"ike")]
        assert kernel.ike_messages().statistics().current_buffer_used == 0
