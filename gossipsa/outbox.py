"""What the parts of the core want done, collected until the composition hands it to the driver."""

from __future__ import annotations

import msgspec

from gossipsa.effects import Effect, Report
from gossipsa.identifiers import ClientId, GatewayName
from gossipsa.replication import messages as replication
from gossipsa.takeover import messages as takeover

StateMessage = (
    replication.PutRecords
    | replication.MoveReplicas
    | replication.AcknowledgeRecords
    | replication.DropRecords
    | replication.AcknowledgeDrops
    | replication.UpdateCounters
    | replication.RecallRecords
    | replication.ReturnRecords
    | replication.ReleaseRecords
    | replication.AuditShards
    | replication.ShardDifference
    | replication.AskCells
    | replication.AskVersions
    | replication.TellVersions
    | takeover.Claim
    | takeover.AnswerClaims
    | takeover.EndClaims
    | takeover.AnnounceOwnership
    | takeover.AcknowledgeOwnership
    | takeover.OfferClients
    | takeover.AnswerOffers
    | takeover.CloseWindows
    | takeover.HoldAddresses
)
"""Messages about clients; they travel over streams."""


class Outbox(msgspec.Struct):
    """Effects for the driver, and messages for other gateways, each in order."""

    effects: list[Effect] = msgspec.field(default_factory=list)
    messages: list[tuple[GatewayName, StateMessage]] = msgspec.field(default_factory=list)

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def send(self, to: GatewayName, message: StateMessage) -> None:
        self.messages.append((to, message))

    def report(
        self,
        event: str,
        *,
        gateway: GatewayName | None = None,
        client: ClientId | None = None,
        detail: str = "",
        count: int = 1,
    ) -> None:
        """Tells the operator. `event` is a fixed word."""
        self.effects.append(Report(event=event, gateway=gateway, client=client, detail=detail, count=count))
