"""Every checker can fail: a bug planted for it trips it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gossipsa import effects
from gossipsa.effects import Effect, OutboundNumbers
from gossipsa.identifiers import IpAddress
from gossipsa.ikev2.message import seal_message
from gossipsa.ipsec.lanes import LaneBook
from gossipsa.ipsec.security_association import ClientState
from gossipsa.kernel.backend import UNLIMITED_PACKETS, Answer, SaId, SetPacketLimit
from gossipsa.replication.store import RecordStore
from gossipsa.takeover import redirect
from sim.__main__ import main
from sim.checkers import CHECKERS
from sim.client import Client
from sim.driver import Driver
from sim.scenarios import SCENARIOS, Scenario
from sim.scenarios.scenario import run
from sim.virtual_clock import MILLISECOND_NS


def _found_by(scenario: str | Scenario, *, first_seed: int = 0, **planted: Any) -> str | None:
    """Name of the first checker that trips in one of a few runs."""
    script = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
    for seed in range(first_seed, first_seed + 8):
        violation = run(script, seed, **planted).violation
        if violation is not None:
            return violation.checker
    return None


class FromZero(Driver):
    """Installs a taken client with its sequence numbers at zero."""

    def set_numbers(self, state: ClientState, numbers: OutboundNumbers) -> list[Answer]:
        return super().set_numbers(state, msgspec.structs.replace(numbers, sent=0))


class NoFence(Driver):
    """Sets no packet limit."""

    def limit(self, outbound: SaId, numbers: OutboundNumbers) -> SetPacketLimit:
        return SetPacketLimit(id=outbound, soft=super().limit(outbound, numbers).soft, hard=UNLIMITED_PACKETS)


class NoBlock(Driver):
    """Lets ESP out as soon as the numbers of an SA are set."""

    def set_numbers(self, state: ClientState, numbers: OutboundNumbers) -> list[Answer]:
        answers = super().set_numbers(state, numbers)
        self.unblock(state)
        return answers


class NoQuestions(Driver):
    """Claims that no IKE daemon ever answered: nothing vetoes."""

    def probe_ike(self, effect: effects.ProbeIke) -> None:
        pass


class Silent(Driver):
    """Drops some effects: here, everything that goes over streams."""

    dropped: type[Effect] = effects.SendFrame

    def carry_out(self, effect: Effect) -> None:
        if not isinstance(effect, self.dropped):
            super().carry_out(effect)


class Speechless(Silent):
    """Sends no redirect."""

    dropped = effects.SendIke


class Greedy(Driver):
    """Says that a client is removed, and keeps it."""

    def take_out(self, effect: effects.RemoveClient) -> None:
        pass


class Rude(Driver):
    """Deletes the IKE_SA of the client that it has just taken over."""

    def activate(self, effect: effects.ActivateClient) -> None:
        super().activate(effect)
        daemon = self.host.ike_daemon
        known = daemon.find(effect.client) if daemon is not None else None
        assert known is not None
        known.session.dismiss()


class WithoutWindow(Client):
    """Takes a packet as often as it comes."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._accepted: dict[bytes, int] = {}

    def receive_esp(self, packet: bytes, source: IpAddress) -> None:
        if packet in self._accepted:
            self._world.client_received(self, source, self._accepted[packet])
            return
        received_before = self.payloads_received
        super().receive_esp(packet, source)
        if self.payloads_received > received_before:
            self._accepted[packet] = self.newest_serial


def test_numbers_from_zero_are_found() -> None:
    assert _found_by("kill", make_driver=FromZero) == "NumbersAreUsedOnce"


def test_missing_fence_is_found() -> None:
    assert _found_by("busy_kill", first_seed=4, make_driver=NoFence) == "NumbersAreUsedOnce"


def test_lanes_granted_twice_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    give = LaneBook.give
    monkeypatch.setattr(LaneBook, "give", lambda book, *, keep=0: (book, give(book, keep=keep)[1]))
    assert _found_by("torn") == "NumbersAreUsedOnce"


def test_repeated_iv_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        redirect, "seal_message", lambda message, keys, *, iv: seal_message(message, keys, iv=bytes(len(iv)))
    )
    assert _found_by("partition_and_heal") == "VectorsAreUsedOnce"


def test_missing_block_is_found() -> None:
    kill = SCENARIOS["kill"]
    busy = replace(kill, cluster=replace(kill.cluster, packet_interval_ns=10 * MILLISECOND_NS))
    assert _found_by(busy, make_driver=NoBlock) == "NoSendingBeforeAnswer"


def test_client_without_a_replay_window_is_found() -> None:
    assert _found_by("lossy_kill", make_client=WithoutWindow) == "NoDoubleDelivery"


@pytest.mark.parametrize("name", ["gossipsa_killed", "gossipsa_stalled", "mesh_filtered"])
def test_ignored_veto_is_found(name: str) -> None:
    assert _found_by(name, make_driver=NoQuestions) == "BystandersStay"


def test_deletion_of_a_client_is_found() -> None:
    assert _found_by("kill", make_driver=Rude) == "NoDismissal"


def test_missing_redirects_are_found() -> None:
    assert _found_by("kill", make_driver=Speechless) == "ClientsAreServed"


def test_former_owner_that_keeps_its_sas_is_found() -> None:
    assert _found_by("cut_off", make_driver=Greedy) == "SingleOwner"


def test_copies_that_are_never_dropped_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordStore, "drop", lambda *_: False)
    assert _found_by("gossipsa_stalled") == "KeyHoldersAreFew"


def test_missing_replication_is_found() -> None:
    assert _found_by("mesh_filtered", make_driver=Silent) == "Convergence"


def test_exception_out_of_the_core_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordStore, "of_owner", lambda *_: 1 // 0)
    assert _found_by("kill") == "NothingRaises"


def test_every_checker_has_a_bug_above() -> None:
    source = Path(__file__).read_text()
    assert [checker.__name__ for checker in CHECKERS if f'== "{checker.__name__}"' not in source] == []


def test_violation_ends_the_command_with_an_error_and_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordStore, "of_owner", lambda *_: 1 // 0)
    assert main(["kill", "--seed", "2"]) == 1
    assert "python -m sim kill --seed 2 --gateways 4 --clients 6" in capsys.readouterr().out
