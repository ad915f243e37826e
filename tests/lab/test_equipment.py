"""The lab itself can be trusted: it loses nothing, repeats nothing and sees every exchange."""

import pytest

from tests.lab.conftest import Findings, RunScenario

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def findings(run_scenario: RunScenario) -> Findings:
    return run_scenario("equipment", timeout_s=90)


def test_traffic_without_a_fault_loses_nothing(findings: Findings) -> None:
    assert findings["pings"] > 100
    assert findings["pings_lost"] == 0
    assert findings["bystander_pings_lost"] == 0
    assert findings["stream_error"] is None
    assert findings["stream_echoed"] == findings["stream_sent"] > 20


def test_clients_can_rekey(findings: Findings) -> None:
    names = [f"c{number:03d}" for number in range(5)]
    assert findings["rekeyed_children"] == names
    assert findings["rekeyed_ike"] == names


def test_capture_sees_every_exchange_and_no_repeated_sequence_number(findings: Findings) -> None:
    # Each rekey is a CREATE_CHILD_SA and an INFORMATIONAL that deletes the old SA.
    assert findings["exchanges_after_connecting"] == {
        "CREATE_CHILD_SA from 10.0.1.2": 10,
        "INFORMATIONAL from 10.0.1.2": 10,
    }
    assert findings["esp_packets"] > 2 * 100
    assert findings["repeated_sequence_numbers"] == []
