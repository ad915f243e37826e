"""Everything the core wants done. An effect never implies success: its result comes back as an input."""

from __future__ import annotations

import msgspec

from gossipsa.identifiers import ClientId, Endpoint, Epoch, GatewayName, IpAddress
from gossipsa.ipsec.security_association import ClientState, SaCounters


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all effects."""


class SendDatagram(Effect, frozen=True):
    """Send sealed bytes to a mesh UDP port."""

    destination: Endpoint
    data: bytes


class SendFrame(Effect, frozen=True):
    """Send one frame over the stream to a gateway. A broken stream may lose it."""

    to: GatewayName | None
    """None: to whoever is there, over a connection of its own, and once."""
    destination: Endpoint
    data: bytes


class OpenStream(Effect, frozen=True):
    """Connect to a gateway to which frames will go, so that the first one need not wait."""

    to: GatewayName
    destination: Endpoint


class CloseStream(Effect, frozen=True):
    """This gateway is none of ours any more: end the stream to it, and what waits for it."""

    to: GatewayName


class RememberTrust(Effect, frozen=True):
    """Keep the trust list over restarts, in place of the one kept before."""

    trust_list: bytes


class RememberMembers(Effect, frozen=True):
    """Keep where members are reached over restarts, in place of those kept before."""

    endpoints: tuple[Endpoint, ...]


class ProbeIke(Effect, frozen=True):
    """Ask a gateway's IKE port for a sign of life; an answer becomes IkeProbeAnswered."""

    gateway: GatewayName
    address: IpAddress


class SendIke(Effect, frozen=True):
    """Send an IKE message from the gateway's own IKE port."""

    source: Endpoint
    destination: Endpoint
    data: bytes


class OutboundNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the numbers of one CHILD_SA go on after it is installed."""

    outbound_spi: int
    inbound_spi: int
    sent: int
    """The last number to count as sent (oseq): the next packet has this plus one."""
    packet_limit: int
    """Highest number that may be sent: a hard limit of the kernel."""
    received: int
    window_bitmap: tuple[int, ...]


class InstallClient(Effect, frozen=True):
    """Block outbound, put the client into IKE daemon and kernel, set numbers and limits; leave it blocked.

    Answered by ClientInstalled or ClientFailed.
    """

    client: ClientId
    epoch: Epoch
    state: ClientState
    """With this gateway's own address as `local`."""
    numbers: tuple[OutboundNumbers, ...]


class ActivateClient(Effect, frozen=True):
    """Let the IKE daemon answer, unblock outbound, add the route.

    Answered by ClientActivated or ClientFailed.
    """

    client: ClientId
    epoch: Epoch
    state: ClientState
    message_id_initiator: int


class RemoveClient(Effect, frozen=True):
    """Delete the kernel's SAs first, then the IKE daemon's state without a DELETE to the client, then route
    and block. Answered by ClientRemoved (a client that is not there counts as removed).
    """

    client: ClientId
    epoch: Epoch
    state: ClientState


class RestoreClient(Effect, frozen=True):
    """Put an own client back into the IKE daemon after that restarted, with the kernel's own numbers.

    Answered by ClientRestored or ClientFailed.
    """

    client: ClientId
    epoch: Epoch
    state: ClientState


class AdoptClients(Effect, frozen=True):
    """After our own start: find out which of these the IKE daemon and the kernel still hold.

    Comes exactly once, often with no clients at all. Only then may the driver begin to follow the IKE daemon:
    what that says about clients of an earlier boot makes no sense before. Answered by ClientsAdopted.
    """

    clients: tuple[tuple[ClientId, ClientState], ...]


class FenceCreator(Effect, frozen=True):
    """Set the packet limits of a key that our IKE daemon negotiated: soft at 2^29, hard at 2^30."""

    client: ClientId
    state: ClientState
    outbound_spis: tuple[int, ...]


class MoveNumbers(Effect, frozen=True):
    """Let an outbound SA go on at `numbers`: raised limit, or a jump to the next lane."""

    client: ClientId
    state: ClientState
    numbers: OutboundNumbers


class CloseWindow(Effect, frozen=True):
    """Count what a former owner received on inbound SAs as received: the replay windows go on from there."""

    client: ClientId
    state: ClientState
    counters: tuple[SaCounters, ...]


class RouteClient(Effect, frozen=True):
    """Add (or, if `present` is false, delete) the routes of a client's virtual addresses."""

    client: ClientId
    state: ClientState
    present: bool


class RekeyChild(Effect, frozen=True):
    """Ask the IKE daemon to rekey a CHILD_SA. Best effort; its success shows as ClientChanged."""

    client: ClientId
    state: ClientState
    outbound_spi: int


class Report(Effect, frozen=True):
    """Something an operator wants to know: one log line, one count. No key material."""

    event: str
    """Name of the event, a fixed word such as `gateway-failed`."""
    gateway: GatewayName | None = None
    client: ClientId | None = None
    detail: str = ""
    count: int = 1
