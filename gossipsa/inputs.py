"""Everything that can happen to a gateway's core."""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import ClientId, Endpoint, Epoch, GatewayName, IpAddress
from gossipsa.ipsec.security_association import ClientState, SaCounters


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all inputs."""


class Started(Input, frozen=True):
    """The driver is ready: join the mesh. Comes once, first."""


class TimerDue(Input, frozen=True):
    """`next_deadline_ns` is reached (or passed: the core sees by how much)."""


class DatagramReceived(Input, frozen=True):
    """Bytes from the mesh's UDP port."""

    source: Endpoint
    data: bytes


class FrameReceived(Input, frozen=True):
    """One frame from a mesh stream."""

    data: bytes


class ClientChanged(Input, frozen=True):
    """A client connected, rekeyed, moved, or its message IDs went on: `state` is all of it, anew."""

    client: ClientId
    state: ClientState


class ClientDeleted(Input, frozen=True):
    """The IKE_SA of a client was deleted by either side."""

    client: ClientId


class IkeDaemonStarted(Input, frozen=True):
    """The IKE daemon is up: first seen, or again."""

    resumed: bool
    """True if it is the same process as before and still holds its clients."""


class IkeDaemonStopped(Input, frozen=True):
    """The IKE daemon died; the kernel may still forward ESP."""


class CountersRead(Input, frozen=True):
    """The kernel's sequence numbers of the CHILD_SAs that the core has told of."""

    counters: tuple[SaCounters, ...]


class PacketLimitReached(Input, frozen=True):
    """The kernel's soft (`hard=False`) or hard packet limit of an outbound SA was reached."""

    outbound_spi: int
    destination: IpAddress
    hard: bool


class ClientInstalled(Input, frozen=True):
    """`InstallClient` is done: SAs fenced, outbound still blocked."""

    client: ClientId
    epoch: Epoch


class ClientActivated(Input, frozen=True):
    """`ActivateClient` is done: traffic flows, the IKE daemon answers."""

    client: ClientId
    epoch: Epoch


class ClientRemoved(Input, frozen=True):
    """`RemoveClient` is done."""

    client: ClientId
    epoch: Epoch
    counters: tuple[SaCounters, ...] = ()
    """The kernel's last numbers of the CHILD_SAs that were deleted, as far as they could be read."""


class ClientRestored(Input, frozen=True):
    """`RestoreClient` is done: the restarted IKE daemon serves the client again."""

    client: ClientId
    epoch: Epoch


class ClientFailed(Input, frozen=True):
    """An effect for this client failed. The driver has undone what it had begun."""

    client: ClientId
    epoch: Epoch
    reason: str
    """Fit for a log: no key material."""


class ClientsAdopted(Input, frozen=True):
    """Answer to `AdoptClients`: those that IKE daemon and kernel really hold, with their counters."""

    clients: tuple[ClientId, ...]
    absent: tuple[ClientId, ...]
    counters: tuple[SaCounters, ...]


class IkeReceived(Input, frozen=True):
    """A copy of an IKE message that reached the gateway's IKE port, without non-ESP marker."""

    source: Endpoint
    destination: Endpoint
    data: bytes


class IkeProbeAnswered(Input, frozen=True):
    """An IKE daemon gave a sign of life."""

    gateway: GatewayName


class TrustListGiven(Input, frozen=True):
    """The operator hands over a trust list."""

    trust_list: bytes


class DrainRequested(Input, frozen=True):
    """The operator has this gateway emptied, or (`draining` false) used again."""

    draining: bool


class LeaveRequested(Input, frozen=True):
    """The operator stops this daemon for good: say so to the mesh."""
