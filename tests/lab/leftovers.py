"""What a gateway has of clients: in its kernel and in its charon, by other eyes than the product's."""

import re
from collections.abc import Collection
from typing import Any

from tests.lab import topology
from tests.lab.inner_routes import GOSSIPSA_ROUTE_PROTOCOL
from tests.lab.strongswan import Charon


def clients_in(charon: Charon, virtual_addresses: Collection[str]) -> dict[str, Any]:
    """Return what kernel and charon of a gateway have of clients with these addresses.

    Returns:
        sas: ESP SAs of the kernel, whoever's they are, larval ones too.
        policies, routes: lines of the kernel that name one of the addresses.
        ike_sas: remote identities of charon's IKE_SAs, passive ones too.
    """
    namespace = charon.namespace
    states = topology.in_namespace(namespace, ["ip", "xfrm", "state", "list"])
    policies = topology.in_namespace(namespace, ["ip", "xfrm", "policy", "list"])
    routes = topology.in_namespace(
        namespace, ["ip", "route", "list", "proto", str(GOSSIPSA_ROUTE_PROTOCOL), "table", "all"]
    )
    return {
        "sas": len(re.findall(r"^src ", states, re.MULTILINE)),
        "policies": _lines_about(policies, virtual_addresses),
        "routes": _lines_about(routes, virtual_addresses),
        "ike_sas": [fields.get("remote-id", "?") for _, fields in charon.sas()],
    }


def _lines_about(text: str, addresses: Collection[str]) -> list[str]:
    wanted = set(addresses)
    return [line for line in text.splitlines() if wanted & set(re.split(r"[\s/]+", line))]
