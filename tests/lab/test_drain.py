"""A gateway is emptied while it lives, stopped and started again: its clients notice next to nothing."""

import pytest

from tests.lab import topology
from tests.lab.conftest import Findings, RunScenario

pytestmark = pytest.mark.lab

_PING_INTERVAL_S = 0.05
_PINGS_LOST_MAX = 3
"""From a client, and to it, beside those of the time that its own IKE daemon takes to move its SAs."""


@pytest.fixture(scope="module")
def findings(run_scenario: RunScenario) -> Findings:
    return run_scenario("drain", timeout_s=150)


def test_every_client_moves_by_its_own_answer(findings: Findings) -> None:
    drain = findings["drain"]
    assert drain["status"] == 0, drain["said"]
    assert drain["said"][-1] == "0 clients left"
    assert drain["all_moved"]
    assert len(drain["moves"]) == len(findings["clients"]) == 10
    assert [move["client"] for move in drain["moves"] if move["taker"] is None] == []
    assert {move["client"]: move["taker"] for move in drain["moves"]} == drain["serving"]
    assert "a" not in drain["serving"].values()


def test_drained_gateway_says_nothing_to_its_clients(findings: Findings) -> None:
    address = topology.GATEWAY["a"].address
    for phase in ("drain", "stopped"):
        assert [name for name in findings[phase]["exchanges"] if name.endswith(f" {address}")] == []
    assert findings["ike_sas_deleted_by_gateways"] == 0


def test_no_client_connects_anew(findings: Findings) -> None:
    assert findings["new_connections"] == 0


def test_no_sequence_number_is_used_twice(findings: Findings) -> None:
    assert findings["esp_packets"] > 1000
    assert findings["repeated_sequence_numbers"] == []


def test_few_pings_are_lost_by_a_move(findings: Findings) -> None:
    lost = findings["drain"]["pings_lost"]
    allowed = {
        move["client"]: _PINGS_LOST_MAX + (move["answer_s"] - move["redirect_s"]) / _PING_INTERVAL_S
        for move in findings["drain"]["moves"]
    }
    assert {name: both for name, both in lost.items() if max(both) > allowed[name]} == {}


def test_drained_gateway_holds_nothing_of_its_clients(findings: Findings) -> None:
    before, after = findings["drain"]["held_before"], findings["drain"]["held_after"]
    assert before["sas"] == 2 * len(before["ike_sas"]) == 2 * len(findings["clients"])
    assert before["policies"]
    assert after == {"sas": 0, "policies": [], "routes": [], "ike_sas": []}


def test_nobody_loses_a_ping_when_the_drained_gateway_stops_and_returns(findings: Findings) -> None:
    assert findings["stopped"]["serving"] == findings["drain"]["serving"]
    assert set(map(max, findings["stopped"]["pings_lost"].values())) == {0}
    assert findings["bystander_pings_lost"] == 0
    assert findings["stream"]["error"] is None
    assert findings["stream"]["echoed"] == findings["stream"]["sent"] > 100


def test_clients_can_rekey_with_their_new_gateway(findings: Findings) -> None:
    assert findings["drain"]["rekeyed_by_taker"] == findings["clients"]
    assert findings["stopped"]["rekeyed_children"] == findings["clients"]
    assert findings["stopped"]["rekeyed_ike"] == findings["clients"]


def test_undrained_gateway_holds_copies_again_and_nobody_moves(findings: Findings) -> None:
    """The scenario ends only when the copies are there: after the restart, gone after a drain, and back."""
    assert findings["undrained"]["statuses"] == [0, 0]
    assert findings["undrained"]["serving"] == findings["drain"]["serving"]
