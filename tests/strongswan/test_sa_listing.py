"""VICI's description of SAs."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from gossipsa.identifiers import Endpoint
from gossipsa.ipsec.security_association import IkeSpis
from gossipsa.strongswan.sa_listing import ListedChildSa, ListedIkeSa, connections_in, endpoint, ike_sas_in
from gossipsa.strongswan.vici_codec import ViciMessage


def listed_sa(**changes: str) -> ViciMessage:
    """What charon 5.9.8 tells of an IKE_SA, with two CHILD_SAs of which one is not installed yet."""
    installed: ViciMessage = {
        "name": "net",
        "uniqueid": "3",
        "state": "INSTALLED",
        "spi-in": "c7909fea",
        "spi-out": "c108912b",
        "local-ts": ["192.168.7.0/24"],
    }
    section: ViciMessage = {
        "uniqueid": "1",
        "version": "2",
        "state": "ESTABLISHED",
        "local-host": "10.0.2.2",
        "local-port": "4500",
        "remote-host": "10.0.1.2",
        "remote-port": "4500",
        "initiator-spi": "adcb04c28e47e29e",
        "responder-spi": "2f8053f03a7b7c64",
        "child-sas": {"net-3": installed, "net-4": {"name": "net", "uniqueid": "4", "state": "CREATED"}},
    }
    section.update(changes)
    return {"rw": section}


def test_an_ike_sa_is_read_with_its_installed_children() -> None:
    assert list(ike_sas_in(listed_sa())) == [
        ListedIkeSa(
            connection="rw",
            unique_id="1",
            ike_version="2",
            spis=IkeSpis(
                initiator=bytes.fromhex("adcb04c28e47e29e"), responder=bytes.fromhex("2f8053f03a7b7c64")
            ),
            we_initiated=False,
            state="ESTABLISHED",
            local=Endpoint(address=IPv4Address("10.0.2.2"), port=4500),
            remote=Endpoint(address=IPv4Address("10.0.1.2"), port=4500),
            children=(ListedChildSa(name="net", unique_id="3", inbound_spi=0xC7909FEA),),
        )
    ]


@pytest.mark.parametrize("spi", ["", "00", "not hex"])
def test_an_ike_sa_without_both_spis_is_left_out(spi: str) -> None:
    assert list(ike_sas_in(listed_sa(**{"responder-spi": spi}))) == []


def test_an_address_that_is_none_is_none() -> None:
    (sa,) = ike_sas_in(listed_sa(**{"remote-host": "%any", "local-port": ""}))
    assert (sa.local, sa.remote) == (None, None)


def test_the_endpoints_of_an_update_stand_outside_the_section() -> None:
    message: ViciMessage = {"remote-host": "198.51.100.7", "remote-port": "1024", **listed_sa()}
    assert endpoint(message, "remote") == Endpoint(address=IPv4Address("198.51.100.7"), port=1024)
    assert endpoint(message, "local") is None


def test_connections_are_read_with_their_children() -> None:
    message: ViciMessage = {"rw": {"version": "IKEv2", "children": {"net": {}, "voice": {}}}, "bare": {}}
    assert dict(connections_in(message)) == {"rw": frozenset({"net", "voice"}), "bare": frozenset()}
