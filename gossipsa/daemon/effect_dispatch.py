"""Hands each effect to whoever carries it out. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gossipsa.daemon.counters import CounterReader
from gossipsa.daemon.ike_messages import IkeMessages
from gossipsa.daemon.ike_probe import IkeProber
from gossipsa.daemon.installer import CLIENT_EFFECTS, Installer
from gossipsa.daemon.single_frames import SingleFrames
from gossipsa.daemon.state_keeper import StateKeeper
from gossipsa.daemon.stream_sender import StreamSender
from gossipsa.daemon.udp import MeshSocket
from gossipsa.effects import (
    ActivateClient,
    AdoptClients,
    CloseStream,
    Effect,
    OpenStream,
    ProbeIke,
    RememberMembers,
    RememberTrust,
    RemoveClient,
    Report,
    SendDatagram,
    SendFrame,
    SendIke,
)
from gossipsa.inputs import Input


class EffectDispatch:
    """Everything that can be done, behind one call."""

    def __init__(
        self,
        *,
        mesh: MeshSocket,
        streams: StreamSender,
        single_frames: SingleFrames,
        prober: IkeProber,
        ike_messages: IkeMessages,
        installer: Installer,
        counters: CounterReader,
        state: StateKeeper,
        report: Callable[[Report], None],
    ) -> None:
        self._mesh = mesh
        self._streams = streams
        self._single_frames = single_frames
        self._prober = prober
        self._ike_messages = ike_messages
        self._installer = installer
        self._counters = counters
        self._state = state
        self._report = report

    def carry_out(self, effects: Sequence[Effect]) -> list[Input]:
        """Begins all effects in their order. Returns inputs about those that cannot begin."""
        refused: list[Input] = []
        for effect in effects:
            match effect:
                case SendDatagram(destination=destination, data=data):
                    self._mesh.send(destination, data)
                case SendFrame(to=None, destination=destination, data=data):
                    self._single_frames.send(destination, data)
                case SendFrame(to=str(to), destination=destination, data=data):
                    self._streams.send(to, destination, data)
                case OpenStream(to=to, destination=destination):
                    self._streams.open(to, destination)
                case CloseStream(to=to):
                    self._streams.close(to)
                case RememberTrust() | RememberMembers():
                    self._state.keep(effect)
                case SendIke():
                    self._ike_messages.send(effect)
                case ProbeIke(gateway=gateway, address=address):
                    self._prober.ask(gateway, address)
                case Report():
                    self._report(effect)
                case _:
                    assert isinstance(effect, (*CLIENT_EFFECTS, AdoptClients)), type(effect).__name__
                    self._follow(effect)
                    refusal = self._installer.submit(effect)
                    if refusal is not None:
                        refused.append(refusal)
        return refused

    def _follow(self, effect: Effect) -> None:
        """Keep track of whose numbers count here."""
        match effect:
            case ActivateClient(client=client, state=state):
                self._counters.follow(client, state)
            case RemoveClient(client=client):
                self._counters.forget(client)
            case AdoptClients(clients=clients):
                for client, state in clients:
                    self._counters.follow(client, state)
