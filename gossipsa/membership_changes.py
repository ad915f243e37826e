"""What changes of the membership mean to replication and takeover.

All that Swim has to say passes here: its packets go out, its news go to whom they concern.
"""

from __future__ import annotations

from gossipsa.clients import Clients
from gossipsa.identifiers import GatewayName, Holder
from gossipsa.mesh_message import Gossip
from gossipsa.mesh_port import MeshPort
from gossipsa.mesh_view import MeshView
from gossipsa.outbox import Outbox
from gossipsa.partners import Partners
from gossipsa.swim import outputs as swim_events
from gossipsa.swim.outputs import Outputs
from gossipsa.swim.swim import Swim
from gossipsa.trust_keeper import TrustKeeper
from gossipsa.wire.sessions import Channel


class MembershipChanges:
    """Passes on who joined, failed, left, restarted or is half dead; ends our part if our name is lost."""

    def __init__(
        self,
        *,
        swim: Swim,
        mesh: MeshView,
        port: MeshPort,
        partners: Partners,
        trust: TrustKeeper,
        clients: Clients,
        outbox: Outbox,
    ) -> None:
        self._swim = swim
        self._mesh = mesh
        self._port = port
        self._partners = partners
        self._trust = trust
        self._clients = clients
        self._outbox = outbox

    def hear(self, sender: Holder, message: Gossip, *, now_ns: int) -> None:
        """Gossip of a gateway, which speaks for its present boot only."""
        if message.packet.boot != sender.boot:
            self._outbox.report("message-refused", gateway=sender.gateway, detail="boot is a lie")
            return
        self.take(self._swim.handle(sender.gateway, message.packet, now_ns=now_ns), now_ns=now_ns)

    def join(self, seed: GatewayName, *, now_ns: int) -> None:
        """Asks a gateway that has shown its identity for the members that it knows."""
        if self._mesh.is_live(seed):
            return
        self.take(self._swim.join((seed,), now_ns=now_ns), now_ns=now_ns)

    def expel_dropped(self, *, now_ns: int) -> None:
        """Whom the trust list, or the calendar, does not let count any more."""
        for name, refusal in self._trust.take_dropped():
            self._outbox.report("gateway-expelled", gateway=name, detail=refusal.value)
            self._port.forget(name)
            self.take(self._swim.expel(name, now_ns=now_ns), now_ns=now_ns)

    def take(self, outputs: Outputs, *, now_ns: int) -> None:
        """Does what the membership protocol wants done, in order."""
        for output in outputs:
            if isinstance(output, swim_events.Send):
                channel = Channel.STREAM if output.bulk else Channel.DATAGRAM
                self._port.seal(output.to, Gossip(packet=output.packet), channel, now_ns=now_ns)
            else:
                self._partners.members_changed()
                self._take_news(output, now_ns)
        if self._swim.name_lost and not self._port.is_silent:
            self._fall_silent(now_ns)

    def _take_news(self, news: swim_events.Event, now_ns: int) -> None:
        match news:
            case swim_events.MemberJoined(name=name):
                self._outbox.report("gateway-alive", gateway=name)
                self._gateway_alive(name, now_ns)
                self._trust.gateway_joined(name, live=self._swim.live_count)
                self._clients.gateway_joined(name, live=self._swim.live_count)
            case swim_events.MemberRefuted(name=name):
                self._outbox.report("gateway-refuted", gateway=name)
                self._gateway_alive(name, now_ns)
            case swim_events.MemberSuspected(name=name, witnesses=witnesses):
                self._outbox.report("gateway-suspected", gateway=name, detail=f"{witnesses} witnesses")
                self._clients.gateway_suspected(name, now_ns=now_ns)
            case swim_events.MemberFailed(name=name):
                self._outbox.report("gateway-failed", gateway=name)
                self._clients.gateway_lost(name, now_ns=now_ns)
                self._partners.look_at(name)
                self._clients.gateway_failed(name, now_ns=now_ns)
            case swim_events.MemberLeft(name=name):
                self._outbox.report("gateway-left", gateway=name)
                self._clients.gateway_lost(name, now_ns=now_ns)
                self._partners.look_at(name)
            case swim_events.MemberRestarted(name=name):
                self._outbox.report("gateway-restarted", gateway=name)
                self._clients.gateway_restarted(name, live=self._swim.live_count, now_ns=now_ns)
                self._partners.look_at(name)
            case swim_events.MetadataChanged(name=name):
                self._partners.look_at(name)
            case swim_events.MemberHalfDead(name=name, closed=closed):
                ways = ", ".join(way.value for way in closed)
                self._outbox.report("gateway-half-dead", gateway=name, detail=f"closed: {ways}")
                self._partners.look_at(name)
            case swim_events.MemberWhole(name=name):
                self._outbox.report("gateway-whole", gateway=name)
                self._partners.look_at(name)
            case swim_events.UpdatesRefused(sender=name, count=count):
                self._outbox.report("updates-refused", gateway=name, count=max(count, 1))
            case swim_events.CoordinateRefused(sender=name, reason=reason):
                self._outbox.report("coordinate-refused", gateway=name, detail=reason)
            case swim_events.ClaimsForged(sender=name, count=count):
                self._outbox.report("claims-forged", gateway=name, count=count)
            case swim_events.MemberFlapping(name=name):
                self._outbox.report("gateway-flapping", gateway=name)
            case swim_events.MemberSteady(name=name):
                self._outbox.report("gateway-steady", gateway=name)
            case swim_events.NameClash():
                self._outbox.report("name-clash", detail="another host speaks under our name")
            case swim_events.NameLost():
                self._outbox.report("name-lost", detail="a newer host keeps our name, we left the mesh")
            case swim_events.MemberYielded(name=name, boot=boot):
                self._port.forget_boot(name, boot)
            case swim_events.Stalled(late_ns=late_ns):
                self._outbox.report("stalled", detail=f"{late_ns / 1e6:.0f} ms late")

    def _fall_silent(self, now_ns: int) -> None:
        """A newer host has our name: from now on nothing is said in it, and others' clients are not ours to
        take. Our own stay served, by what is here."""
        self._clients.drop_kept(now_ns=now_ns)
        for name in self._swim.members:
            self._clients.gateway_lost(name, now_ns=now_ns)
        self._port.fall_silent()
        self._partners.choose()

    def _gateway_alive(self, name: GatewayName, now_ns: int) -> None:
        self._clients.gateway_alive(name, now_ns=now_ns)
        self._partners.look_at(name)
