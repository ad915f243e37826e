"""The core through every scenario: no promise broken. Seeds that once found something stay here by name."""

from __future__ import annotations

import pytest

from gossipsa.replication.store import RecordStore
from sim.__main__ import main
from sim.scenarios import SCENARIOS
from sim.scenarios.scenario import Outcome, run

EVENTUAL = ("ClientsAreServed", "Convergence", "KeyHoldersAreFew", "SingleOwner", "BystandersStay")
"""Promises that many faults at once may delay beyond any fixed bound."""


def _clean(outcome: Outcome) -> None:
    if outcome.violation is not None:
        chart = "\n".join(outcome.cluster.trace.chart())
        pytest.fail(f"{outcome.violation}\n{chart}\n{outcome.reproduction}")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "storm"])
def test_scenario_breaks_no_promise(name: str, seed: int) -> None:
    _clean(run(SCENARIOS[name], seed))


@pytest.mark.parametrize("seed", range(3))
def test_no_storm_breaks_what_must_never_break(seed: int) -> None:
    violation = run(SCENARIOS["storm"], seed).violation
    assert violation is None or violation.checker in EVENTUAL, violation


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        pytest.param("gossipsa_stalled", 4, id="replaced_replica_that_was_not_dead_drops_its_copy"),
        pytest.param("cut_off", 2, id="owner_that_yields_takes_back_copies_made_in_its_half"),
        pytest.param("gossipsa_killed", 6, id="replicas_of_before_a_restart_learn_of_the_new_epoch"),
        pytest.param("torn", 11, id="client_stays_with_the_gateway_that_hears_it"),
        pytest.param("gossipsa_killed", 9, id="sessions_survive_crossed_hellos"),
    ],
)
def test_seed_that_found_something_stays_clean(name: str, seed: int) -> None:
    _clean(run(SCENARIOS[name], seed))


def test_kill_moves_every_client_of_the_dead_host_and_nobody_else() -> None:
    cluster = run(SCENARIOS["kill"], 5).cluster
    (dead,) = {note.node for note in cluster.trace.notes if note.text == "host-crashed"}
    for name, client in cluster.clients.items():
        assert (cluster.gateway_of(client).name == cluster.started_at[name]) is (
            cluster.started_at[name] != dead
        )


def test_clients_of_a_dead_host_spread_over_several_takers() -> None:
    outcome = run(SCENARIOS["kill"], 2, gateways=7, clients=35)
    _clean(outcome)
    cluster = outcome.cluster
    (dead,) = {note.node for note in cluster.trace.notes if note.text == "host-crashed"}
    takers = {
        cluster.gateway_of(client).name
        for name, client in cluster.clients.items()
        if cluster.started_at[name] == dead
    }
    assert len(takers) >= 2
    assert dead not in takers


def test_larger_mesh_works_as_well() -> None:
    _clean(run(SCENARIOS["kill"], 1, gateways=9, clients=18))


def test_command_prints_the_timeline_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kill", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "host-crashed" in printed
    assert "nothing violated" in printed


def test_command_runs_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gossipsa_stalled", "--seeds", "2..3"]) == 0
    assert "2 seeds, 0 violations" in capsys.readouterr().out


def test_violation_ends_the_command_with_an_error_and_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordStore, "clients_of", lambda *_: 1 // 0)
    assert main(["kill", "--seed", "2"]) == 1
    assert "python -m sim kill --seed 2 --gateways 4 --clients 6" in capsys.readouterr().out
