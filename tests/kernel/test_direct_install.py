"""Clients without an IKE daemon: their SAs from their records, and into the kernel."""

import errno
import random
from ipaddress import IPv4Address

import msgspec
import pytest
import trio

from gossipsa.errors import CallerError, IkeDaemonError
from gossipsa.identifiers import ClientId, Endpoint, Secret
from gossipsa.ike_daemon import (
    ActivateClient,
    ClientChanged,
    ClientDeleted,
    IkeDaemon,
    IkeDaemonStarted,
    ImportClient,
)
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa, IkeSpis, IpsecMode
from gossipsa.kernel.backend import NewSa, SaId
from gossipsa.kernel.client_sas import client_sas
from gossipsa.kernel.direct_install import DirectInstall
from gossipsa.kernel.memory import MemoryKernel, MemoryKernelSettings, open_memory_kernel
from gossipsa.kernel.memory_sad import MemorySad, Opened, Operation
from tests.kernel.samples import INNER, selector

CLIENT = ClientId(bytes(15) + b"\1")
OTHER = ClientId(bytes(15) + b"\2")
GATEWAY_END = Endpoint(IPv4Address("127.0.0.1"), 4500)
CLIENT_END = Endpoint(IPv4Address("127.0.0.9"), 1024)
SPIS = IkeSpis(initiator=b"initiato", responder=b"responde")


def ike_sa(spis: IkeSpis = SPIS) -> IkeSa:
    return IkeSa(
        spis=spis,
        we_initiated=False,
        prf=5,
        encryption=20,
        encryption_key_bits=128,
        integrity=None,
        dh=31,
        nonce_i=Secret(b"i" * 32),
        nonce_r=Secret(b"r" * 32),
        shared_secret=Secret(b"s" * 32),
        local=GATEWAY_END,
        remote=CLIENT_END,
        established=True,
    )


def child_sa(inbound_spi: int = 0x2000, outbound_spi: int = 0x1000, *, spis: IkeSpis = SPIS) -> ChildSa:
    return ChildSa(
        ike_spis=spis,
        name="net",
        inbound_spi=inbound_spi,
        outbound_spi=outbound_spi,
        mode=IpsecMode.TUNNEL,
        encryption=20,
        encryption_key_bits=128,
        integrity=None,
        esn=True,
        we_initiated=False,
        nonce_i=Secret(b"I" * 32),
        nonce_r=Secret(b"R" * 32),
        local_selectors=(selector("192.168.7.0", "192.168.7.255"),),
        remote_selectors=(selector(str(INNER)),),
    )


STATE = ClientState(ike_sas=(ike_sa(),), children=(child_sa(),))
SETTINGS = MemoryKernelSettings(listen=Endpoint(GATEWAY_END.address, 0))


def ids_in(kernel: MemoryKernel) -> set[int]:
    return {sa.id.spi for sa in kernel.sad.sas()}


def mirrored(state: ClientState) -> tuple[NewSa, ...]:
    """The client's own view of a record: ends, SPIs and initiator the other way round."""
    (ike,), (child,) = state.ike_sas, state.children
    ike = msgspec.structs.replace(ike, local=ike.remote, remote=ike.local, we_initiated=not ike.we_initiated)
    child = msgspec.structs.replace(
        child,
        inbound_spi=child.outbound_spi,
        outbound_spi=child.inbound_spi,
        we_initiated=not child.we_initiated,
        remote_selectors=child.local_selectors,
        local_selectors=child.remote_selectors,
    )
    return client_sas(ClientState(ike_sas=(ike,), children=(child,)))


@pytest.mark.parametrize("we_initiated", [False, True])
def test_both_ends_derive_the_same_sas(we_initiated: bool) -> None:
    child = msgspec.structs.replace(child_sa(), we_initiated=we_initiated)
    state = ClientState(ike_sas=(ike_sa(),), children=(child,))
    gateway, client = (MemorySad(random_bytes=random.Random(seed).randbytes) for seed in (1, 2))
    assert gateway.add_sas(client_sas(state)) == (None, None)
    assert client.add_sas(mirrored(state)) == (None, None)
    up = client.seal_outbound(IPv4Address("192.168.7.10"), b"up")
    assert up is not None
    assert up.destination == GATEWAY_END
    opened = gateway.open_inbound(up.packet, destination=GATEWAY_END.address)
    assert isinstance(opened, Opened)
    down = gateway.seal_outbound(INNER, b"down")
    assert down is not None
    assert down.destination == CLIENT_END
    opened = client.open_inbound(down.packet, destination=CLIENT_END.address)
    assert isinstance(opened, Opened)
    assert opened.payload == b"down"


def test_child_sa_keeps_the_keys_of_the_ike_sa_that_made_it() -> None:
    newer = msgspec.structs.replace(ike_sa(IkeSpis(initiator=b"12345678", responder=b"87654321")))
    after_rekey = ClientState(ike_sas=(ike_sa(), newer), children=(child_sa(),))
    assert client_sas(after_rekey) == client_sas(STATE)


def test_child_sa_without_its_ike_sa_is_refused() -> None:
    stray = child_sa(spis=IkeSpis(initiator=bytes(8), responder=bytes(8)))
    with pytest.raises(CallerError, match="is missing"):
        client_sas(ClientState(ike_sas=(ike_sa(),), children=(stray,)))


async def test_offered_client_is_installed_and_announced() -> None:
    async with open_memory_kernel(SETTINGS) as kernel, trio.open_nursery() as nursery:
        daemon = DirectInstall(kernel)
        await nursery.start(daemon.run)
        assert await daemon.events().receive() == IkeDaemonStarted(resumed=False)
        await daemon.offer(CLIENT, STATE)
        assert await daemon.events().receive() == ClientChanged(CLIENT, STATE)
        assert ids_in(kernel) == {0x1000, 0x2000}
        await daemon.withdraw(CLIENT)
        assert await daemon.events().receive() == ClientDeleted(CLIENT)
        assert ids_in(kernel) == set()
        nursery.cancel_scope.cancel()


async def test_offer_again_replaces_the_sas_that_went() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        daemon = DirectInstall(kernel)
        await daemon.offer(CLIENT, STATE)
        rekeyed = ClientState(ike_sas=STATE.ike_sas, children=(child_sa(), child_sa(0x2001, 0x1001)))
        await daemon.offer(CLIENT, rekeyed)
        assert ids_in(kernel) == {0x1000, 0x2000, 0x1001, 0x2001}
        await daemon.offer(CLIENT, ClientState(ike_sas=STATE.ike_sas, children=rekeyed.children[1:]))
        assert ids_in(kernel) == {0x1001, 0x2001}


async def test_imported_client_becomes_active_when_told() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        daemon = DirectInstall(kernel)
        assert await daemon.import_clients([ImportClient(client=CLIENT, state=STATE)]) == (None,)
        assert CLIENT not in daemon.active
        done, refused = await daemon.activate_clients(
            [
                ActivateClient(client=CLIENT, message_id_initiator=3),
                ActivateClient(client=OTHER, message_id_initiator=3),
            ]
        )
        assert done is None
        assert isinstance(refused, IkeDaemonError)
        assert list(daemon.active) == [CLIENT]
        assert await daemon.forget_clients([CLIENT, OTHER]) == (None, None)
        assert ids_in(kernel) == set()
        assert list(daemon.active) == []


async def test_half_installed_client_is_taken_back() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        daemon = DirectInstall(kernel)
        await kernel.add_sas(client_sas(STATE)[1:])
        (refused,) = await daemon.import_clients([ImportClient(client=CLIENT, state=STATE)])
        assert isinstance(refused, IkeDaemonError)
        assert ids_in(kernel) == {0x2000}
        assert await daemon.forget_clients([CLIENT]) == (None,)
        assert ids_in(kernel) == {0x2000}


async def test_client_that_cannot_be_deleted_is_kept_in_mind() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        daemon = DirectInstall(kernel)
        await daemon.offer(CLIENT, STATE)
        kernel.sad.refuse_next(Operation.DELETE_SAS, errno.ENOBUFS)
        (refused,) = await daemon.forget_clients([CLIENT])
        assert isinstance(refused, IkeDaemonError)
        assert await daemon.forget_clients([CLIENT]) == (None,)
        assert ids_in(kernel) == set()


async def test_clients_still_in_the_kernel_are_adopted() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        await DirectInstall(kernel).offer(CLIENT, STATE)
        restarted = DirectInstall(kernel)
        other = ClientState(ike_sas=STATE.ike_sas, children=(child_sa(0x2009, 0x1009),))
        known = [ImportClient(client=CLIENT, state=STATE), ImportClient(client=OTHER, state=other)]
        assert await restarted.adopt_clients(known) == (CLIENT,)
        await restarted.forget_clients([CLIENT])
        assert await kernel.sas() == ()


async def test_rekey_is_impossible() -> None:
    async with open_memory_kernel(SETTINGS) as kernel:
        daemon: IkeDaemon = DirectInstall(kernel)
        with pytest.raises(IkeDaemonError, match="no IKE daemon"):
            await daemon.rekey_child(CLIENT, child_sa())


def test_sas_name_both_ends() -> None:
    outbound, inbound = client_sas(STATE)
    assert (outbound.id, outbound.source) == (SaId(0x1000, CLIENT_END.address), GATEWAY_END.address)
    assert (inbound.id, inbound.source) == (SaId(0x2000, GATEWAY_END.address), CLIENT_END.address)
    assert (outbound.encapsulation, inbound.encapsulation) == ((4500, 1024), (1024, 4500))
    assert (outbound.reverse, inbound.reverse) == (inbound.id, outbound.id)
