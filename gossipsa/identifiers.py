"""Names and numbers that identify gateways, their boots, clients and ownership."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Annotated, NewType

import msgspec
from msgspec import Meta

BOOT_ID_BYTES = 16
CLIENT_ID_BYTES = 16
SPI_BYTES = 4
IKE_SPI_BYTES = 8
EPOCH_COUNTER_MAX = 1 << 62
"""Far above what takeovers reach, and still a MessagePack integer."""

GatewayName = NewType("GatewayName", str)
"""The operator's name of a gateway, unique in the mesh, 1 to 64 characters."""

BootId = NewType("BootId", bytes)
"""16 random bytes drawn at every start of the daemon."""

ClientId = NewType("ClientId", bytes)
"""16 bytes that stay with a client through rekeys and moves."""

# As they travel. Bounds hold for what is decoded: whatever does not keep them never gets into the core.
SentName = Annotated[GatewayName, Meta(min_length=1, max_length=64)]
SentBoot = Annotated[BootId, Meta(min_length=BOOT_ID_BYTES, max_length=BOOT_ID_BYTES)]
SentClient = Annotated[ClientId, Meta(min_length=CLIENT_ID_BYTES, max_length=CLIENT_ID_BYTES)]

U16 = Annotated[int, Meta(ge=0, lt=1 << 16)]
U32 = Annotated[int, Meta(ge=0, lt=1 << 32)]
U64 = Annotated[int, Meta(ge=0)]
"""MessagePack has no greater integers."""

_FAMILIES = frozenset({IPv4Address, IPv6Address})

if TYPE_CHECKING:
    IpAddress = IPv4Address | IPv6Address
else:

    class _EitherFamily(type):
        """Registered with an abstract class, each address would take a microsecond to be known as one."""

        def __instancecheck__(cls, value: object) -> bool:
            return type(value) in _FAMILIES

    class IpAddress(metaclass=_EitherFamily):
        """IPv4Address or IPv6Address: one name at run time, so that the codec can ask for it."""


class Secret(bytes):
    """Key material. Prints as its length only, whatever it is nested in."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret {len(self)} B>"

    __str__ = __repr__


class Endpoint(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=False, gc=False
):
    """A UDP endpoint."""

    address: IpAddress
    port: U16

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


class Holder(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True, gc=False):
    """One boot of one gateway: what a lane is granted to, and what acknowledges a record."""

    gateway: SentName
    boot: SentBoot

    def __str__(self) -> str:
        return f"{self.gateway}/{self.boot.hex()[:8]}"


class Epoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True, gc=False):
    """An ownership of a client: the higher one stays. Ties of the counter are settled by the boot."""

    counter: Annotated[int, Meta(ge=0, le=EPOCH_COUNTER_MAX)]
    boot: SentBoot

    @classmethod
    def above(cls, counter: int, boot: BootId) -> Epoch:
        """The next epoch of `boot`. Stays one that can travel, wherever somebody drove the counter."""
        return cls(min(counter + 1, EPOCH_COUNTER_MAX), boot)

    def __str__(self) -> str:
        return f"{self.counter}.{self.boot.hex()[:8]}"
