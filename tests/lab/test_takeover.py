"""A gateway's power is cut: its clients go on elsewhere under the same SAs, and nobody else notices."""

import pytest

from tests.lab.conftest import Findings, RunScenario

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", params=["takeover_one", "takeover_fifty"])
def findings(request: pytest.FixtureRequest, run_scenario: RunScenario) -> Findings:
    return run_scenario(request.param, timeout_s=240)


@pytest.mark.parametrize("failover", ["first", "second"])
def test_every_client_of_the_dead_gateway_moves(findings: Findings, failover: str) -> None:
    moves = findings[failover]["moves"]
    assert moves
    assert findings[failover]["all_moved"]
    assert [move["client"] for move in moves if move["taker"] is None] == []
    assert [move["client"] for move in moves if move["first_packet_s"] is None] == []
    assert "a" not in findings[failover]["serving"].values()


def test_second_failover_goes_to_the_gateway_that_is_left(findings: Findings) -> None:
    (left,) = {"b", "c"} - {findings["second"]["taker_that_died"]}
    assert {move["taker"] for move in findings["second"]["moves"]} == {left}


def test_no_client_connects_anew(findings: Findings) -> None:
    assert findings["new_connections"] == 0


def test_no_sequence_number_is_used_twice(findings: Findings) -> None:
    assert findings["esp_packets"] > 100
    assert findings["repeated_sequence_numbers"] == []


def test_bystanders_lose_no_ping_and_are_asked_nothing(findings: Findings) -> None:
    assert len(findings["first"]["bystander_pings_lost"]) == 4
    assert set(findings["first"]["bystander_pings_lost"].values()) == {0}
    assert findings["first"]["bystander_exchanges"] == {}


def test_clients_can_rekey_with_the_taker(findings: Findings) -> None:
    assert findings["rekeys_wanted"]
    assert findings["rekeyed_children"] == findings["rekeyed_ike"] == findings["rekeys_wanted"]


def test_every_client_is_rekeyed_after_a_takeover(findings: Findings) -> None:
    assert findings["rekeyed_by_taker"] == findings["clients"]


def test_pings_and_a_tcp_connection_go_on(findings: Findings) -> None:
    assert [name for name, lost in findings["pings_lost_by_end"].items() if lost] == []
    assert findings["stream"]["error"] is None
    assert findings["stream"]["echoed"] == findings["stream"]["sent"] > 100
