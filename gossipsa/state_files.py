"""What a gateway keeps over restarts: the newest trust list, and where members of the mesh were reached.

Nothing in it is secret, and nothing is needed: without it a gateway starts with what its configuration names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from gossipsa.config_table import parse_endpoint
from gossipsa.errors import ConfigurationError
from gossipsa.identifiers import Endpoint
from gossipsa.introductions import REMEMBERED_MAX
from gossipsa.key_files import read_trust_list, replace_file, trust_list_text
from gossipsa.wire.trust import TrustList

TRUST_FILE = "trust"
MEMBERS_FILE = "members"
_MEMBERS_BYTES_MAX = 64 << 10

logger = logging.getLogger(__name__)


def newest_trust_list(configured: TrustList, directory: Path) -> TrustList:
    """The list that was kept, if it follows from the configured one; else that."""
    file = directory / TRUST_FILE
    if not file.exists():
        return configured
    try:
        kept = read_trust_list(file)
    except ConfigurationError as error:
        logger.warning("%s; going by the configured trust list", error)
        return configured
    if configured.accepts(kept):
        return kept
    if kept.version > configured.version:
        logger.warning("%s: does not follow from the configured trust list; not used", file)
    return configured


def read_members(directory: Path) -> tuple[Endpoint, ...]:
    """Where members were; what cannot be read is left out."""
    try:
        with (directory / MEMBERS_FILE).open("rb") as opened:
            lines = opened.read(_MEMBERS_BYTES_MAX).decode("ascii", errors="replace").split()
        return tuple(parse_endpoint(line) for line in lines[:REMEMBERED_MAX])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        logger.warning("%s: cannot be used: %s", directory / MEMBERS_FILE, error)
        return ()


def write_trust_list(directory: Path, trust_list: bytes) -> None:
    """Keeps an encoded trust list. Raises OSError; then the one before is still there."""
    replace_file(directory / TRUST_FILE, trust_list_text(trust_list))


def write_members(directory: Path, endpoints: Iterable[Endpoint]) -> None:
    """Keeps where members are. Raises OSError; then what was kept before is still there."""
    replace_file(directory / MEMBERS_FILE, "".join(f"{endpoint}\n" for endpoint in endpoints).encode())
