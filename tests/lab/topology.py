"""The lab's network: a router, three gateways at three sites, clients, and one server behind all gateways.

::

    client 10.0.1.2 ---------- router ==20 ms== a  10.0.2.2 -- 192.168.7.1 --- server 192.168.7.10
    bystander 10.0.5.2 -------        ==20 ms== b  10.0.3.2 -- 192.168.7.2 ---
                                      ==20 ms== c  10.0.4.2 -- 192.168.7.3 ---

Each box is a network namespace. The double lines are the site links: netem delays them by 20 ms in
each direction, so a client is 40 ms of round trip from a gateway and two gateways are 80 ms apart.
The server has a point-to-point leg to each gateway, so the gateways cannot reach one another over
the inner network.
"""

import dataclasses
import subprocess

SITE_LINK_DELAY_MS = 20
SERVER = "server"
SERVER_ADDRESS = "192.168.7.10"
INNER_NETWORK = "192.168.7.0/24"
ROUTER = "router"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One gateway.

    Attributes:
        name: its namespace, and its name in the mesh.
        address: its address towards clients and mesh.
        router_address: the router's end of its site link.
        inner_address: its address on the leg to the server.
        pool: the network from which its charon leases virtual addresses.
        wan, lan: names of its two interfaces.
    """

    name: str
    address: str
    router_address: str
    inner_address: str
    pool: str
    wan: str = "wan"
    lan: str = "lan"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientHost:
    """One host from which clients connect; all its clients share its address and its charon."""

    name: str
    address: str
    router_address: str
    wan: str = "wan"


GATEWAYS = tuple(
    Gateway(
        name=name,
        address=f"10.0.{number + 1}.2",
        router_address=f"10.0.{number + 1}.1",
        inner_address=f"192.168.7.{number}",
        pool=f"10.99.{number}.0/24",
    )
    for number, name in enumerate("abc", start=1)
)
GATEWAY = {gateway.name: gateway for gateway in GATEWAYS}
CLIENT = ClientHost(name="client", address="10.0.1.2", router_address="10.0.1.1")
BYSTANDER = ClientHost(name="bystander", address="10.0.5.2", router_address="10.0.5.1")
CLIENT_HOSTS = (CLIENT, BYSTANDER)


def build() -> None:
    """Make every namespace, link, address, route and delay. The namespaces must not exist yet."""
    names = [ROUTER, SERVER, *(host.name for host in CLIENT_HOSTS), *(gateway.name for gateway in GATEWAYS)]
    _ip("", [f"netns add {name}" for name in names])
    for name in names:
        _prepare_namespace(name)
    _ip(SERVER, [f"address add {SERVER_ADDRESS}/32 dev lo"])
    for host in CLIENT_HOSTS:
        _join_router(host.name, host.wan, host.address, host.router_address)
    for gateway in GATEWAYS:
        _join_router(gateway.name, gateway.wan, gateway.address, gateway.router_address)
        _delay(ROUTER, towards(gateway.name))
        _delay(gateway.name, gateway.wan)
        _join_server(gateway)


def cut(gateway: Gateway) -> None:
    """Take all links of a gateway down, as a power cut does."""
    _ip(gateway.name, [f"link set {gateway.wan} down", f"link set {gateway.lan} down"])


def mend(gateway: Gateway) -> None:
    """Undo a cut. The route that went with the link is added again."""
    _ip(
        gateway.name,
        [
            f"link set {gateway.wan} up",
            f"link set {gateway.lan} up",
            f"route replace default via {gateway.router_address}",
        ],
    )


def towards(name: str) -> str:
    """Name the interface of the router or the server that leads to a box.

    Not the bare name: `ip` takes a one-letter interface for an abbreviated keyword.
    """
    return f"to-{name}"


def _prepare_namespace(name: str) -> None:
    settings = {
        "ipv4/ip_forward": 1,
        "ipv4/conf/all/rp_filter": 0,
        "ipv4/conf/default/rp_filter": 0,
        "ipv4/conf/all/send_redirects": 0,
        "ipv4/conf/all/accept_redirects": 0,
    }
    script = "".join(f"echo {value} > /proc/sys/net/{key}\n" for key, value in settings.items())
    in_namespace(name, ["sh", "-c", script])
    _ip(name, ["link set lo up"])


def _join_router(name: str, interface: str, address: str, router_address: str) -> None:
    _ip("", [f"link add {interface} netns {name} type veth peer name {towards(name)} netns {ROUTER}"])
    _ip(ROUTER, [f"address add {router_address}/24 dev {towards(name)}", f"link set {towards(name)} up"])
    _ip(
        name,
        [
            f"address add {address}/24 dev {interface}",
            f"link set {interface} up",
            f"route add default via {router_address}",
        ],
    )


def _join_server(gateway: Gateway) -> None:
    """Give the server a leg to a gateway.

    The kernel answers all pings of a namespace from one socket. Replies that queue for the link address of a
    dead gateway would fill its send buffer and silence the replies to everyone else: so the queue is short.
    """
    leg = towards(gateway.name)
    _ip("", [f"link add {gateway.lan} netns {gateway.name} type veth peer name {leg} netns {SERVER}"])
    _ip(
        gateway.name,
        [f"address add {gateway.inner_address}/24 dev {gateway.lan}", f"link set {gateway.lan} up"],
    )
    _ip(
        SERVER,
        [
            f"link set {leg} up",
            f"route add {gateway.inner_address}/32 dev {leg} src {SERVER_ADDRESS}",
            f"route add {gateway.pool} via {gateway.inner_address} dev {leg} src {SERVER_ADDRESS}",
        ],
    )
    in_namespace(SERVER, ["sh", "-c", f"echo 2048 > /proc/sys/net/ipv4/neigh/{leg}/unres_qlen_bytes"])


def _delay(namespace: str, interface: str) -> None:
    command = f"qdisc add dev {interface} root netem delay {SITE_LINK_DELAY_MS}ms limit 100000"
    subprocess.run(["tc", "-n", namespace, *command.split()], check=True)


def _ip(namespace: str, commands: list[str]) -> None:
    where = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(commands) + "\n", text=True, check=True)


def in_namespace(name: str, argv: list[str]) -> str:
    """Run a command in a namespace, return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(["ip", "netns", "exec", name, *argv], text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout
