"""An authority made on the fly, and what it writes for each gateway: key, identity, trust list."""

from __future__ import annotations

import time
from pathlib import Path

from examples.demo.client_states import Draw
from gossipsa.key_files import trust_list_text, write_gateway_key
from gossipsa.wire.authority import first_trust_list, issue
from gossipsa.wire.codec import encode
from gossipsa.wire.gateway_keys import SEED_BYTES, GatewayKeys
from gossipsa.wire.identity import SERIAL_BYTES, make_request
from gossipsa.wire.signing import SIGNING_KEY_BYTES, SigningKey
from gossipsa.wire.text_form import TextKind, to_text

_DAY_S = 86_400


class MeshAuthority:
    """The authority of a mesh that lives for a day. Its key is never written.

    Args:
        mesh: the label of the mesh.
        draw: source of keys.
    """

    def __init__(self, mesh: str, draw: Draw) -> None:
        self._draw = draw
        self._key = SigningKey.from_seed(draw(SIGNING_KEY_BYTES))
        self._trust = first_trust_list(mesh, self._key)

    def write_trust(self, file: Path) -> None:
        file.write_bytes(trust_list_text(encode(self._trust)))

    def enrol(self, name: str, *, site: str, zone: str, key_file: Path, identity_file: Path) -> None:
        """Draw a gateway's key, and write it with its identity."""
        seed = self._draw(SEED_BYTES)
        write_gateway_key(key_file, seed)
        now_s = int(time.time())
        identity = issue(
            self._trust,
            self._key,
            make_request(GatewayKeys.from_seed(seed)),
            name=name,
            site=site,
            zone=zone,
            serial=self._draw(SERIAL_BYTES),
            not_before_s=now_s,
            not_after_s=now_s + _DAY_S,
        )
        identity_file.write_text(to_text(TextKind.IDENTITY, encode(identity)) + "\n")
