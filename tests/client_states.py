"""Client states with random keys, for tests of the core."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random

from gossipsa.identifiers import Endpoint, Secret
from gossipsa.ipsec.security_association import ChildSa, ClientState, IkeSa, IkeSpis, IpsecMode
from gossipsa.ipsec.traffic_selector import TrafficSelector

GATEWAY = Endpoint(IPv4Address("10.0.2.2"), 4500)


def make_child(ike_spis: IkeSpis, random: Random) -> ChildSa:
    return ChildSa(
        ike_spis=ike_spis,
        name="net",
        inbound_spi=random.getrandbits(32),
        outbound_spi=random.getrandbits(32),
        mode=IpsecMode.TUNNEL,
        encryption=20,
        encryption_key_bits=128,
        integrity=None,
        esn=True,
        we_initiated=False,
        nonce_i=Secret(random.randbytes(32)),
        nonce_r=Secret(random.randbytes(32)),
        local_selectors=(
            TrafficSelector(
                protocol=0,
                from_port=0,
                to_port=65535,
                start=IPv4Address("192.168.7.0"),
                end=IPv4Address("192.168.7.255"),
            ),
        ),
        remote_selectors=(),
    )


def make_client_state(random: Random, *, message_id_initiator: int = 0) -> ClientState:
    """A client at 10.0.1.x with one CHILD_SA and a virtual address."""
    host = random.randrange(2, 250)
    spis = IkeSpis(random.randbytes(8), random.randbytes(8))
    ike_sa = IkeSa(
        spis=spis,
        we_initiated=False,
        prf=5,
        encryption=20,
        encryption_key_bits=128,
        integrity=None,
        dh=31,
        nonce_i=Secret(random.randbytes(32)),
        nonce_r=Secret(random.randbytes(32)),
        shared_secret=Secret(random.randbytes(32)),
        local=GATEWAY,
        remote=Endpoint(IPv4Address(f"10.0.1.{host}"), 4500),
        connection="net",
        virtual_addresses=(IPv4Address(f"10.99.0.{host}"),),
        message_id_initiator=message_id_initiator,
        established=True,
    )
    return ClientState(ike_sas=(ike_sa,), children=(make_child(spis, random),))
