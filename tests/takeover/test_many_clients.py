"""A gateway with many clients dies: its takers go on step by step."""

from __future__ import annotations

from collections import Counter

from gossipsa.effects import InstallClient
from tests.bench.state.planning import OWNER, TAKER, mesh_with_clients

_CLIENTS = 1_280
_S = 1_000_000_000


def test_first_clients_are_installed_before_the_last_ones_are_claimed() -> None:
    cores = mesh_with_clients(_CLIENTS, cost_ns=100_000)
    taker = cores.cores[TAKER]
    cores.kill(OWNER)
    for step in cores.run(for_ns=30 * _S):
        if any(isinstance(effect, InstallClient) for effect in step.effects):
            assert step.name == TAKER
            break
    roles = Counter(client.role for client in taker.status(now_ns=cores.now_ns).clients)
    assert roles["installing"] + roles["queued"] < _CLIENTS
    for _ in cores.run(for_ns=_S):
        pass
    roles = Counter(client.role for client in taker.status(now_ns=cores.now_ns).clients)
    assert roles == {"installing": 64, "queued": _CLIENTS - 64}
