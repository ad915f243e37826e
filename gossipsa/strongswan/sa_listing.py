"""What VICI tells of IKE_SAs and CHILD_SAs, as far as gossipsa wants to know. No IO.

Source: strongSwan, src/libcharon/plugins/vici/vici_query.c (list_ike, list_child, ike_update).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from gossipsa.identifiers import IKE_SPI_BYTES, Endpoint
from gossipsa.ipsec.security_association import IkeSpis
from gossipsa.strongswan.vici_codec import ViciMessage, subsections, text

PASSIVE = "PASSIVE"
ESTABLISHED = "ESTABLISHED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChildSa:
    name: str
    unique_id: str
    """Charon's number of it, as its commands want it."""
    inbound_spi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedIkeSa:
    connection: str
    unique_id: str
    ike_version: str
    spis: IkeSpis
    we_initiated: bool
    state: str
    """Such as PASSIVE or ESTABLISHED."""
    local: Endpoint | None
    remote: Endpoint | None
    children: tuple[ListedChildSa, ...]
    """Those that are installed."""


def ike_sas_in(message: ViciMessage) -> Iterator[ListedIkeSa]:
    """Yield the IKE_SAs in a list-sa, ike-updown, child-updown or ike-update event.

    Sections that do not describe an IKE_SA with both SPIs are left out.
    """
    for connection, section in subsections(message).items():
        spis = _spis(section)
        if spis is None:
            continue
        yield ListedIkeSa(
            connection=connection,
            unique_id=text(section, "uniqueid"),
            ike_version=text(section, "version"),
            spis=spis,
            we_initiated=text(section, "initiator") == "yes",
            state=text(section, "state"),
            local=endpoint(section, "local"),
            remote=endpoint(section, "remote"),
            children=tuple(_children(section)),
        )


def endpoint(section: ViciMessage, end: str) -> Endpoint | None:
    """Return the endpoint that a section gives as `end`-host and `end`-port, None if it has no such."""
    port = text(section, f"{end}-port")
    try:
        return Endpoint(address=ip_address(text(section, f"{end}-host")), port=int(port))
    except ValueError:
        return None


def connections_in(message: ViciMessage) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the connections in a list-conn event: each name, and the names of its children."""
    for name, section in subsections(message).items():
        children = section.get("children")
        yield name, frozenset(subsections(children)) if isinstance(children, dict) else frozenset()


def _children(section: ViciMessage) -> Iterator[ListedChildSa]:
    children = section.get("child-sas")
    if not isinstance(children, dict):
        return
    for child in subsections(children).values():
        try:
            inbound_spi = int(text(child, "spi-in"), 16)
        except ValueError:
            continue
        yield ListedChildSa(
            name=text(child, "name"), unique_id=text(child, "uniqueid"), inbound_spi=inbound_spi
        )


def _spis(section: ViciMessage) -> IkeSpis | None:
    try:
        initiator = bytes.fromhex(text(section, "initiator-spi"))
        responder = bytes.fromhex(text(section, "responder-spi"))
    except ValueError:
        return None
    if len(initiator) != IKE_SPI_BYTES or len(responder) != IKE_SPI_BYTES:
        return None
    return IkeSpis(initiator=initiator, responder=responder)
