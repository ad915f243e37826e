"""Reads TOML tables strictly: unknown keys are refused, and every complaint names file and key."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import math
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gossipsa.errors import CallerError, ConfigurationError
from gossipsa.identifiers import Endpoint, IpAddress

T = TypeVar("T")
Settings = TypeVar("Settings")

_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000


class ConfigTable:
    """One table of a configuration file. Each `take_…` reads a key and remembers that it is known.

    Args:
        path: dotted path of the table, empty for the top of the file.
    """

    def __init__(self, values: Mapping[str, Any], *, file: Path, path: str = "") -> None:
        self.file = file
        self.path = path
        self._left = dict(values)

    def __contains__(self, key: object) -> bool:
        return key in self._left

    def is_text(self, key: str) -> bool:
        return isinstance(self._left.get(key), str)

    def error(self, key: str, complaint: str) -> ConfigurationError:
        """The error to raise about a key."""
        where = ".".join(part for part in (self.path, key) if part)
        return ConfigurationError(f"{self.file}: {where}: {complaint}")

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """A value of a plain type; without default the key must be there."""
        if key not in self._left:
            if default is None:
                raise self.error(key, "is missing")
            return default
        value = self._left.pop(key)
        # bool is an int to Python, and never meant as one here.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {_describe(kind)}, not {_describe(type(value))}")
        return value

    def take_number(self, key: str, default: int, *, lowest: int, highest: int) -> int:
        number = self.take(key, int, default)
        if not lowest <= number <= highest:
            raise self.error(key, f"is {number}, but must be {lowest} to {highest}")
        return number

    def take_choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        choice = self.take(key, str, default)
        if choice not in choices:
            raise self.error(key, f'is "{choice}", but must be one of {", ".join(choices)}')
        return choice

    def take_path(self, key: str, default: Path | None = None) -> Path:
        """A path; a relative one starts at the directory of the configuration file."""
        if key not in self._left and default is not None:
            return default
        text = self.take(key, str)
        if "\0" in text:
            raise self.error(key, "is no path: there is a NUL in it")
        return self.file.parent / text

    def take_endpoint(self, key: str, default: Endpoint | None = None) -> Endpoint:
        if key not in self._left and default is not None:
            return default
        try:
            return parse_endpoint(self.take(key, str))
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def take_addresses(self, key: str, default: tuple[IpAddress, ...]) -> tuple[IpAddress, ...]:
        if key not in self._left:
            return default
        texts = self.take(key, list)
        try:
            # A number would pass for an address, too.
            return tuple(ipaddress.ip_address(str(text)) for text in texts)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def take_key(self, key: str, size_bytes: int) -> bytes:
        """Base64 text of a fixed number of bytes."""
        try:
            value = base64.b64decode(self.take(key, str), validate=True)
        except (binascii.Error, ValueError):
            raise self.error(key, "is no base64 text") from None
        if len(value) != size_bytes:
            raise self.error(key, f"has {len(value)} bytes, but must have {size_bytes}")
        return value

    def take_table(self, key: str) -> ConfigTable:
        """A table within this one; an empty one if it is not there."""
        values = self.take(key, dict, {})
        return ConfigTable(values, file=self.file, path=f"{self.path}.{key}" if self.path else key)

    def take_settings(
        self, base: Settings, *, exclude: frozenset[str] = frozenset(), **given: object
    ) -> Settings:
        """The settings of `base` with those of its fields replaced that stand in this table.

        A field `…_ns` or `…_s` is the key `…_ms`. Ends the table.

        Args:
            base: a dataclass or struct; its own checks apply.
            exclude: fields that are no keys here.
            given: further fields to replace.
        """
        kinds = typing.get_type_hints(type(base))
        changes: dict[str, Any] = dict(given)
        for name in sorted(settings_fields(base) - exclude):
            key = key_of_field(name)
            if key in self._left:
                changes[name] = self._take_field(key, name, kinds[name])
        self.end()
        replace: Callable[..., Any] = (
            msgspec.structs.replace if isinstance(base, msgspec.Struct) else dataclasses.replace
        )
        try:
            result: Settings = replace(base, **changes)
        except CallerError as error:
            raise ConfigurationError(f"{self.file}: {self.path}: {error}") from None
        return result

    def end(self) -> None:
        """Refuse what nobody took. Raises ConfigurationError."""
        for key in self._left:
            raise self.error(key, "is no setting that gossipsa knows")

    def _take_field(self, key: str, name: str, kind: Any) -> object:
        if typing.get_origin(kind) is tuple:
            values = self.take(key, list)
            return tuple(self._convert(f"{key}[{index}]", name, value) for index, value in enumerate(values))
        if kind in (bool, str):
            return self.take(key, kind)
        if kind is Path:
            return self.take_path(key)
        if kind is Endpoint:
            return self.take_endpoint(key)
        return self._convert(key, name, self._left.pop(key))

    def _convert(self, key: str, name: str, value: object) -> int | float:
        may_be_fraction = name.endswith(("_ns", "_s"))
        if isinstance(value, bool) or not isinstance(value, int | float if may_be_fraction else int):
            raise self.error(key, f"must be {_describe(int)}, not {_describe(type(value))}")
        if not math.isfinite(value):
            raise self.error(key, f"is {value}, and must be finite")
        if name.endswith("_ns"):
            return round(value * _NS_PER_MS)
        return value / _MS_PER_S if name.endswith("_s") else value


def settings_fields(settings: object) -> frozenset[str]:
    """Names of the fields of a dataclass or struct."""
    if isinstance(settings, msgspec.Struct):
        return frozenset(settings.__struct_fields__)
    assert dataclasses.is_dataclass(settings)
    return frozenset(field.name for field in dataclasses.fields(settings))


def key_of_field(name: str) -> str:
    """The key of a settings field in the file: durations are in milliseconds there."""
    for suffix in ("_ns", "_s"):
        if name.endswith(suffix):
            return name.removesuffix(suffix) + "_ms"
    return name


def parse_endpoint(text: str) -> Endpoint:
    """Reads `192.0.2.1:7946` or `[2001:db8::1]:7946`.

    Raises:
        ValueError: anything else; names are not looked up.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise ValueError(f'"{text}" is not address:port')
    try:
        address = ipaddress.ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        raise ValueError(f'"{text}" does not begin with an IP address') from None
    if (address.version == 6) != is_bracketed:
        raise ValueError(f'"{text}": an IPv6 address, and no other, stands in brackets')
    return Endpoint(address, int(port))


_NAMES = {
    bool: "true or false",
    int: "a number",
    float: "a fraction",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def _describe(kind: type) -> str:
    return _NAMES.get(kind, f"a {kind.__name__}")
