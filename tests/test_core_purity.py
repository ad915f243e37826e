"""The core does no IO: what it imports says so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gossipsa

ROOT = Path(gossipsa.__file__).parent
FORBIDDEN = {
    "asyncio",
    "os",
    "secrets",
    "select",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
    "trio",
}
PACKAGES = ("swim", "replication", "takeover", "wire", "ikev2", "ipsec")
TOP_LEVEL = (
    "gateway",
    "mesh_port",
    "first_contact",
    "introductions",
    "contacts",
    "partners",
    "membership_changes",
    "clients",
    "audits",
    "own_metadata",
    "inspection",
    "trust_keeper",
    "mesh_view",
    "mesh_message",
    "inputs",
    "effects",
    "outbox",
    "timers",
    "settings",
    "steady_time",
)
CORE = sorted(
    [path for package in PACKAGES for path in (ROOT / package).glob("*.py")]
    + [ROOT / f"{module}.py" for module in TOP_LEVEL]
)
MAY_IMPORT = {
    "ipsec": {"ipsec"},
    "wire": {"wire", "ipsec"},
    "ikev2": {"ikev2", "ipsec"},
    "swim": {"swim"},
    "replication": {"replication", "wire", "ipsec"},
    "takeover": {"takeover", "replication", "wire", "ikev2", "ipsec"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_nothing_that_does_io(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & FORBIDDEN


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_takes_randomness_from_outside(path: Path) -> None:
    used = {name for name in imported(path) if name == "random" or name.startswith("random.")}
    assert used <= {"random", "random.Random"}
    assert "import random" not in path.read_text()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_down_only(package: str) -> None:
    for path in (ROOT / package).glob("*.py"):
        packages = {
            name.split(".")[1] for name in imported(path) if name.startswith("gossipsa.") and "." in name
        }
        assert packages & set(PACKAGES) <= MAY_IMPORT[package], path
