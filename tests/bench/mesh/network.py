"""One namespace a host, and a router between them that loses, separates and counts.

Every packet between two hosts is forwarded by the namespace of this process: one netfilter table, changed at
once as a whole, is all there is to loss and partitions. Needs root, iproute2 and iptables.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

_HALVES = (IPv4Network("10.77.0.0/24"), IPv4Network("10.77.1.0/24"))
_ROUTER = IPv4Address("10.77.255.254")
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_COUNTED = re.compile(r"^\[(\d+):(\d+)\] -A COUNTED -s ([\d.]+)/32", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A network namespace with one address. Hosts belong to two halves in turn."""

    name: str
    address: IPv4Address

    def command(self, command: Sequence[str]) -> list[str]:
        """Runs in this host, under the process id of the command."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a host has sent to others, as IP packets, lost ones included."""

    packets: int
    octets: int


def why_unavailable() -> str | None:
    """What is missing on this machine, or None."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    missing = [tool for tool in ("ip", "iptables-restore", "nsenter", "unshare") if not shutil.which(tool)]
    return f"missing: {', '.join(missing)}" if missing else None


def in_own_namespaces(command: Sequence[str]) -> list[str]:
    """A command that may do as it likes to network, mounts and processes; all that it leaves behind ends.

    It and the agents of either system get the priority of gossipsa's unit file: whoever else is busy on this
    machine is no part of what is measured.
    """
    return [
        "nice",
        "--adjustment=-10",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        *command,
    ]


class Network:
    """The router. Build it with `open_network`.

    Attributes:
        hosts: in order; those with odd indices are the second half.
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self.restore()

    def half(self, which: int) -> tuple[Host, ...]:
        """The hosts of the first (0) or second (1) half."""
        return self.hosts[which::2]

    def restore(self) -> None:
        """Every packet arrives from now on."""
        self._load()

    def lose(self, share: float) -> None:
        """Every packet is lost with this probability, of whatever protocol, in either direction."""
        self._load(f"-A FORWARD -m statistic --mode random --probability {share} -j DROP")

    def separate(self) -> None:
        """No packet passes between the halves."""
        first, second = _HALVES
        self._load(f"-A FORWARD -s {first} -d {second} -j DROP", f"-A FORWARD -s {second} -d {first} -j DROP")

    def sent(self) -> dict[str, Sent]:
        """By host, since the rules last changed."""
        by_address = {
            address: Sent(packets=int(packets), octets=int(octets))
            for packets, octets, address in _COUNTED.findall(_run("iptables-save", "-c"))
        }
        return {host.name: by_address[str(host.address)] for host in self.hosts}

    def _load(self, *faults: str) -> None:
        counted = [f"-A COUNTED -s {host.address} -j RETURN" for host in self.hosts]
        lines = ["*filter", ":FORWARD ACCEPT", ":COUNTED -", "-A FORWARD -j COUNTED", *counted, *faults]
        _run("iptables-restore", given="\n".join([*lines, "COMMIT", ""]))


@contextmanager
def open_network(count: int) -> Iterator[Network]:
    """Make hosts and router; only in namespaces of one's own (`in_own_namespaces`).

    Raises:
        RuntimeError: a tool failed; what it said.
    """
    _run("mount", "-t", "tmpfs", "none", str(_empty(Path("/run/netns"))))
    _run("ip", "link", "set", "lo", "up")
    _FORWARDING.write_text("1")
    hosts = [
        Host(name=f"host-{index + 1}", address=_HALVES[index % 2][1 + index // 2]) for index in range(count)
    ]
    for host in hosts:
        _connect(host)
    try:
        yield Network(hosts)
    finally:
        for host in hosts:
            # With its namespace it would go some time later, and be in the way of the next network's.
            _run("ip", "link", "delete", host.name)
            _run("ip", "netns", "delete", host.name)
        _run("umount", "/run/netns")


def _connect(host: Host) -> None:
    _run("ip", "netns", "add", host.name)
    link = host.name
    outside = f"""
link add {link} type veth peer name eth0 netns {host.name}
address add {_ROUTER}/32 dev {link}
link set {link} up
route add {host.address}/32 dev {link}
"""
    inside = f"""
link set lo up
address add {host.address}/32 dev eth0
link set eth0 up
route add {_ROUTER} dev eth0
route add default via {_ROUTER}
"""
    _run("ip", "-batch", "-", given=outside)
    _run("ip", "-n", host.name, "-batch", "-", given=inside)


def _empty(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
