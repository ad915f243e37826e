"""The recorded HA datagrams of a real gateway; see vectors/strongswan-5.9.8/PROVENANCE.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gossipsa.strongswan.ha_codec import HaMessage, decode
from tests.vectors.strongswan_capture import DIRECTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureLine:
    """One datagram; seconds since the first."""

    name: str
    time_s: float
    data: bytes

    @property
    def message(self) -> HaMessage:
        return decode(self.data, byteorder="little")


@cache
def capture_lines() -> tuple[CaptureLine, ...]:
    lines = (DIRECTORY / "ha-messages.txt").read_text().splitlines()
    start = float(lines[0].split()[0])
    return tuple(
        CaptureLine(
            name=f"line{number}",
            time_s=float(line.split()[0]) - start,
            data=bytes.fromhex(line.split()[-1]),
        )
        for number, line in enumerate(lines, start=1)
    )
