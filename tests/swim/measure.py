"""Prints what the membership protocol achieves on the virtual clock: `python -m tests.swim.measure [seeds]`.

Bytes are those of the encoded packets, before sealing and headers.
"""

from __future__ import annotations

import sys
from statistics import median

from gossipsa.swim.outputs import MemberFailed, MemberSuspected
from gossipsa.swim.settings import MILLISECOND_NS, SECOND_NS
from sim.mesh.network import Network, uniform_latency


def settled(
    count: int, *, seed: int, one_way_ms: float = 0.3, watched: int = 0, loss: float = 0.0
) -> Network:
    network = Network(count, seed=seed, latency=uniform_latency(one_way_ms), watched=watched, loss=loss)
    # Long enough for everybody to have measured everybody's round trip.
    network.start_all(settle_ns=(2 if watched else 20) * SECOND_NS)
    network.run(network.random.randrange(SECOND_NS))
    network.told.clear()
    return network


def spread(measured_ns: list[int]) -> str:
    seconds = [value / SECOND_NS for value in measured_ns]
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def detection(count: int, *, one_way_ms: float, watched: int, loss: float, seeds: int) -> str:
    measured = []
    for seed in range(seeds):
        network = settled(count, seed=seed, one_way_ms=one_way_ms, watched=watched, loss=loss)
        network.kill(network.names[seed % count])
        measured.append(network.run(20 * SECOND_NS, until=network.agreed))
    return spread(measured)


def idle(count: int, *, watched: int) -> str:
    network = settled(count, seed=1, watched=watched)
    before = [(host.sent.packets, host.sent.payload_bytes) for host in network.hosts.values()]
    network.run(30 * SECOND_NS)
    after = [(host.sent.packets, host.sent.payload_bytes) for host in network.hosts.values()]
    packets = sum(now[0] - then[0] for now, then in zip(after, before, strict=True)) / count / 30
    payload_bytes = sum(now[1] - then[1] for now, then in zip(after, before, strict=True)) / count / 30
    return f"{packets:.1f} packets/s, {payload_bytes:.0f} B/s"


def losses(count: int, *, watched: int, loss: float, duration_s: int, seeds: int) -> str:
    failures = refutations = suspicions = 0
    for seed in range(seeds):
        network = settled(count, seed=seed, watched=watched, loss=loss)
        network.run(duration_s * SECOND_NS)
        failures += network.count(MemberFailed)
        suspicions += network.count(MemberSuspected)
        refutations += sum(network.swim(name).incarnation for name in network.names)
    return f"{failures} failures, {refutations} members suspected (told {suspicions} times) in {seeds} runs"


def healing(count: int, *, loss: float, seeds: int) -> str:
    measured = []
    for seed in range(seeds):
        network = settled(count, seed=seed, loss=loss)
        network.partition(network.names[: count // 2], network.names[count // 2 :])
        network.run(20 * SECOND_NS)
        network.heal()
        measured.append(network.run(20 * SECOND_NS, until=network.agreed))
    return spread(measured)


def restarting(count: int, *, loss: float, seeds: int) -> str:
    measured = []
    for seed in range(seeds):
        network = settled(count, seed=seed, loss=loss)
        name = network.names[seed % count]
        network.kill(name)
        network.run(200 * MILLISECOND_NS)
        network.start(name)
        measured.append(network.run(20 * SECOND_NS, until=network.agreed))
    return spread(measured)


def joining(count: int, *, loss: float, seeds: int) -> str:
    measured = []
    for seed in range(seeds):
        network = Network(count, seed=seed, loss=loss)
        for name in network.names:
            network.start(name)
        measured.append(network.run(20 * SECOND_NS, until=network.agreed))
    return spread(measured)


def main(seeds: int) -> None:
    for count, one_way_ms in ((2, 0.3), (3, 40), (8, 0.3), (16, 0.3), (32, 0.3)):
        for watched in (0, min(6, count - 1)):
            for loss in (0.0, 0.25):
                took = detection(count, one_way_ms=one_way_ms, watched=watched, loss=loss, seeds=seeds)
                path = f"RTT {2 * one_way_ms:g} ms, loss {loss:.0%}"
                print(f"SIGKILL to all failed, N={count}, {watched} watched, {path}: {took}", flush=True)
    for count, watched in ((3, 2), (8, 0), (16, 0), (32, 0), (16, 6), (32, 6)):
        print(f"idle, each of N={count}, {watched} watched: {idle(count, watched=watched)}", flush=True)
    for watched in (0, 6):
        suspected = losses(16, watched=watched, loss=0.25, duration_s=120, seeds=max(1, seeds // 10))
        print(f"N=16, {watched} watched, loss 25%, 120 s: {suspected}", flush=True)
    for count, loss in ((2, 0.0), (16, 0.0), (16, 0.25), (32, 0.0)):
        conditions = f"N={count}, loss {loss:.0%}"
        print(
            f"half and half, healed, {conditions}: {healing(count, loss=loss, seeds=seeds // 2)}", flush=True
        )
        print(
            f"restart, all see it, {conditions}: {restarting(count, loss=loss, seeds=seeds // 2)}", flush=True
        )
        print(f"all started at once, {conditions}: {joining(count, loss=loss, seeds=seeds // 2)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
