"""How large everything is that a core holds: containers found by walking its objects."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

_LEAVES = (str, bytes, int, float, bool, type(None), type, FunctionType, MethodType, ModuleType)
_CONTAINERS = (dict, list, set, deque, OrderedDict, Counter)


def containers_of(root: object) -> dict[str, int]:
    """Lengths of all containers that can change, by class and attribute, such as `Sessions.by_index`.

    Of containers alike (one a session, one a member) the longest counts.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _LEAVES) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, _CONTAINERS):
            found[path] = max(found.get(path, 0), len(value))
        waiting.extend(_parts(path, value))
    return found


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}[]", item
            yield f"{path}{{}}", key
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for item in value:
            yield f"{path}[]", item
    else:
        for name in _attributes(value):
            yield f"{type(value).__name__.lstrip('_')}.{name.lstrip('_')}", getattr(value, name, None)


def _attributes(value: Any) -> Iterator[str]:
    if type(value).__module__.partition(".")[0] != "gossipsa":
        return
    yield from getattr(value, "__dict__", ())
    yield from getattr(type(value), "__struct_fields__", ())
    for kind in type(value).__mro__:
        yield from getattr(kind, "__slots__", ())
