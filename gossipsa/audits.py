"""Audits as messages: owners compare fingerprints with their replicas, and both find out what differs."""

from __future__ import annotations

from gossipsa.identifiers import Holder
from gossipsa.outbox import Outbox, StateMessage
from gossipsa.replication.audit import Audited, Auditor
from gossipsa.replication.messages import AskCells, AskVersions, AuditShards, ShardDifference, TellVersions

AuditMessage = AuditShards | ShardDifference | AskCells | AskVersions | TellVersions


class Audits:
    """Both sides of an audit: of our own clients' copies elsewhere, and of the copies here."""

    def __init__(self, *, auditor: Auditor, audited: Audited, outbox: Outbox) -> None:
        self._auditor = auditor
        self._audited = audited
        self._outbox = outbox

    def tick(self, *, now_ns: int) -> None:
        """Asks, if it is time."""
        for to, question in self._auditor.tick(now_ns=now_ns):
            self._outbox.send(to, question)

    def gateway_alive(self, holder: Holder, *, now_ns: int) -> None:
        """A gateway is back that may keep copies."""
        self._auditor.compare_soon(holder, now_ns=now_ns)

    def next_deadline_ns(self) -> int | None:
        return self._auditor.next_deadline_ns()

    def hear(self, sender: Holder, message: AuditMessage) -> None:
        """The next step of an audit."""
        match message:
            case AuditShards():
                self._answer(sender, self._audited.hear_audit(sender.gateway, message))
            case AskCells():
                self._answer(sender, self._audited.hear_ask_cells(sender.gateway, message))
            case AskVersions():
                for answer in self._audited.hear_ask_versions(sender.gateway, message):
                    self._answer(sender, answer)
            case ShardDifference():
                self._answer(sender, self._auditor.hear_difference(sender, message))
                self._report_differing(sender)
            case TellVersions():
                self._auditor.hear_versions(sender, message)
                self._report_differing(sender)

    def _answer(self, sender: Holder, answer: StateMessage | None) -> None:
        if answer is not None:
            self._outbox.send(sender.gateway, answer)

    def _report_differing(self, sender: Holder) -> None:
        found = self._auditor.take_differing()
        if found:
            self._outbox.report("copies-differ", gateway=sender.gateway, count=found)
