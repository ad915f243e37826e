"""Faults of everything but the gateway: no client moves, and traffic goes on."""

import pytest

from tests.lab.conftest import Findings, RunScenario

pytestmark = pytest.mark.lab

_TIMEOUT_S = 150
_CHARON_OUTAGE_S_MAX = 0.2
_PING_INTERVAL_S = 0.05
_ROUND_TRIP_S = 0.04
_SCENARIOS = ("gossipsa_killed", "mesh_filtered", "charon_restarted")


@pytest.fixture(scope="module", params=_SCENARIOS)
def findings(request: pytest.FixtureRequest, run_scenario: RunScenario) -> Findings:
    return run_scenario(request.param, timeout_s=_TIMEOUT_S)


def test_no_client_moves(findings: Findings) -> None:
    assert findings["clients"]
    assert findings["serving"] == dict.fromkeys(findings["clients"], "a")


def test_no_ike_message_is_exchanged(findings: Findings) -> None:
    assert findings["exchanges"] == {}


def test_clients_can_rekey_afterwards(findings: Findings) -> None:
    assert findings["rekeyed_children"] == findings["rekeyed_ike"] == findings["clients"]


def test_no_sequence_number_is_used_twice(findings: Findings) -> None:
    assert findings["repeated_sequence_numbers"] == []


def test_bystanders_lose_no_ping(findings: Findings) -> None:
    assert findings["bystander_pings_lost"] == 0


@pytest.mark.parametrize("scenario", ["gossipsa_killed", "mesh_filtered"])
def test_faults_beside_the_ike_daemon_lose_no_ping(scenario: str, run_scenario: RunScenario) -> None:
    findings = run_scenario(scenario, timeout_s=_TIMEOUT_S)
    assert set(findings["pings_lost"].values()) == {0}


def test_restarted_charon_takes_its_clients_back_within_a_fifth_of_a_second(
    run_scenario: RunScenario,
) -> None:
    findings = run_scenario("charon_restarted", timeout_s=_TIMEOUT_S)
    pings_lost_max = _CHARON_OUTAGE_S_MAX / _PING_INTERVAL_S
    assert {name: lost for name, lost in findings["pings_lost"].items() if lost > pings_lost_max} == {}
    # Between two replies lie the outage, one interval and what a round trip may vary.
    silence_s_max = _CHARON_OUTAGE_S_MAX + _PING_INTERVAL_S + _ROUND_TRIP_S
    assert {name: s for name, s in findings["silence_s"].items() if s > silence_s_max} == {}
