"""Valid values of any type that travels, made from its declaration: new messages need no new samples."""

from __future__ import annotations

import contextlib
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

from msgspec import inspect

from gossipsa.identifiers import IpAddress, Secret
from gossipsa.ipsec.traffic_selector import TrafficSelector

_NAMES = ("a", "b", "c", "own")
"""Few, so that values are about the same gateways."""
_ITEMS_MAX = 3
_ATTEMPTS = 200
_ADDRESS: Any = IpAddress


def sample(wanted: Any, random: Random) -> Any:
    """A value of a type, of a union, or of an annotated type."""
    return _sample(inspect.type_info(wanted), random)


def types_in(wanted: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    info = inspect.type_info(wanted)
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    return tuple(member.cls for member in members if isinstance(member, inspect.StructType))


def _sample(info: Any, random: Random) -> Any:
    match info:
        case inspect.UnionType(types=types):
            return _sample(random.choice(types), random)
        case inspect.StructType(cls=cls) if cls is TrafficSelector:
            first = random.randrange(1 << 24)
            return TrafficSelector(
                protocol=random.choice((0, 6, 17)),
                from_port=0,
                to_port=65535,
                start=IPv4Address(first),
                end=IPv4Address(first + random.randrange(1 << 8)),
            )
        case inspect.StructType(cls=cls, fields=fields):
            for _ in range(_ATTEMPTS):
                # What a type checks beyond its fields is met by chance.
                with contextlib.suppress(ValueError):
                    return cls(**{field.name: _sample(field.type, random) for field in fields})
            raise AssertionError(f"no sample of {cls.__name__}")
        case inspect.VarTupleType(item_type=item, min_length=least):
            count = max(least or 0, random.randrange(_ITEMS_MAX + 1))
            return tuple(_sample(item, random) for _ in range(count))
        case inspect.TupleType(item_types=items):
            return tuple(_sample(item, random) for item in items)
        case inspect.ListType(item_type=item):
            return [_sample(item, random) for _ in range(random.randrange(_ITEMS_MAX + 1))]
        case inspect.DictType(key_type=key, value_type=value):
            return {_sample(key, random): _sample(value, random) for _ in range(random.randrange(_ITEMS_MAX))}
        case inspect.BytesType(min_length=least, max_length=most):
            return _bytes(least or 0, most, random)
        case inspect.StrType(min_length=least, max_length=most):
            return random.choice(_NAMES).ljust(least or 0, "x")[: 64 if most is None else most]
        case inspect.IntType() | inspect.FloatType():
            return _number(info, random)
        case inspect.BoolType():
            return random.random() < 0.5
        case inspect.NoneType():
            return None
        case inspect.EnumType(cls=cls):
            return random.choice(_members(cls))
        case inspect.CustomType(cls=cls) if cls is Secret:
            return Secret(random.randbytes(32))
        case inspect.CustomType(cls=cls) if cls is _ADDRESS:
            return random.choice((IPv4Address(random.getrandbits(32)), IPv6Address(random.getrandbits(128))))
        case _:
            raise NotImplementedError(info)


def _members(cls: type[Enum]) -> list[Enum]:
    return list(cls)


def _bytes(least: int, most: int | None, random: Random) -> bytes:
    size = random.choice((4, 8, 16)) if most is None else random.choice((least, min(most, 32)))
    # Few values, so that messages speak of the same clients and boots.
    return bytes((random.randrange(1, 4),)) * max(least, size)


def _number(info: inspect.IntType | inspect.FloatType, random: Random) -> int | float:
    least = info.ge if info.ge is not None else (info.gt + 1 if info.gt is not None else 0)
    most = info.le if info.le is not None else (info.lt - 1 if info.lt is not None else (1 << 31) - 1)
    if isinstance(info, inspect.FloatType):
        return random.uniform(float(least), float(most))
    return int(random.choice((least, min(most, least + 1), random.randrange(int(least), int(most) + 1))))
