"""All targets, by name; and what looks like a decoder and is none."""

from __future__ import annotations

from functools import cache

from tests.fuzz import daemon_targets, ike_targets, mesh_targets, trust_targets
from tests.fuzz.target import Target


@cache
def all_targets() -> dict[str, Target]:
    found: dict[str, Target] = {}
    for module in (mesh_targets, trust_targets, ike_targets, daemon_targets):
        for target in module.targets():
            assert target.name not in found, target.name
            found[target.name] = target
    return found


NOT_DECODERS = {
    "gossipsa.ipsec.cipher_suite:CipherSuite.open": "opens what IKE and ESP targets seal; decodes nothing",
    "gossipsa.kernel.memory_sad:MemorySad.open_inbound": "looks an SA up; ESP targets open the packet",
    "gossipsa.kernel.xfrm.uapi:unpack_address": "takes 16 bytes that a struct has cut out",
    "gossipsa.kernel.xfrm.uapi:StructField.decode_from": "used by tests to read back what was encoded",
    "gossipsa.kernel.xfrm.uapi:ReplayStateEsnField.decode_from": "used by tests to read back",
    "gossipsa.kernel.xfrm.uapi:_AlgorithmField.decode_from": "used by tests to read back",
    "gossipsa.takeover.redirect:Redirect.hear": "opens by `open_message`, and never raises",
}
"""Functions that the search finds, with the reason why no target runs them."""
