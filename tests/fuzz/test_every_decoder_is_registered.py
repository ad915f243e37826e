"""A decoder that nobody fuzzes fails the build: the search below finds it in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gossipsa
from gossipsa.mesh_message import MESSAGE_DECODER
from tests.fuzz.mesh_targets import decoders
from tests.fuzz.registry import NOT_DECODERS, all_targets
from tests.fuzz.samples import types_in

ROOT = Path(gossipsa.__file__).parent
NAMES = re.compile(
    r"^(decode|parse|open|peek|split|unpack|read|load|accept|answer|feed|from_private|from_seed|from_text|hear|is_sign_of)"
    r"(_|$)"
)
INPUT = re.compile(r"\b(bytes|bytearray|memoryview|Buffer|Path)\b")
TEXT_PARSERS = re.compile(r"^(parse_|from_text)")
LIBRARIES = re.compile(r"\b(json\.Decoder|json\.decode|msgpack\.Decoder|msgpack\.decode|tomllib\.loads?)\(")
IN_A_DECODER = {"config.py", "daemon/admin.py", "daemon/admin_client.py", "wire/codec.py"}


def functions_that_take_bytes() -> Iterator[str]:
    for file in sorted(ROOT.rglob("*.py")):
        module = ".".join(("gossipsa", *file.relative_to(ROOT).with_suffix("").parts))
        yield from (f"{module}:{name}" for name in _found_in(ast.parse(file.read_text()), ""))


def _found_in(tree: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _found_in(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and NAMES.match(node.name):
            kinds = [
                ast.unparse(argument.annotation)
                for argument in (*node.args.args, *node.args.kwonlyargs)
                if argument.annotation is not None
            ]
            takes_text = TEXT_PARSERS.match(node.name) and "str" in kinds
            if takes_text or any(INPUT.search(kind) for kind in kinds):
                yield prefix + node.name


def test_every_decoder_has_a_target() -> None:
    covered = {name for target in all_targets().values() for name in target.covers}
    missing = set(functions_that_take_bytes()) | set(decoders())
    assert missing - covered - set(NOT_DECODERS) == set()


def test_what_is_left_out_or_covered_still_exists() -> None:
    found = set(functions_that_take_bytes())
    assert set(NOT_DECODERS) <= found
    covered = {name for target in all_targets().values() for name in target.covers}
    assert {name for name in covered if "_DECODER" not in name} <= found


def test_every_message_of_the_mesh_has_a_target() -> None:
    targets = set(all_targets())
    for kind in types_in(MESSAGE_DECODER._decoder.type):
        assert f"message_decoder-{kind.__name__}" in targets


def test_parsers_of_libraries_are_called_by_registered_modules_only() -> None:
    callers = {
        str(file.relative_to(ROOT)) for file in ROOT.rglob("*.py") if LIBRARIES.search(file.read_text())
    }
    assert callers == IN_A_DECODER
