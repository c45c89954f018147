"""What was found after a trade, written down once. It comes back with the history."""

from __future__ import annotations

from actors.router.desk import Desk
from domain.findings import SUSPICIONS, Finding, supersedes
from domain.records import Settled
from domain.streams import Notice, NoticeKind


def write_findings(desk: Desk, findings: tuple[Finding, ...]) -> None:
    """A notice for each that says more than the books know; whoever found it may tell it again."""
    for finding in findings:
        history = desk.books.histories.get(finding.account)
        known = history.findings.get(finding.id) if history is not None else None
        account = desk.books.accounts.get(finding.account)
        if account is None or not supersedes(finding, known):
            continue
        draft = desk.draft(Settled(why="found after the trade"), account.owner)
        kind = NoticeKind.SUSPICION if finding.kind in SUSPICIONS else NoticeKind.FINDING
        notice = Notice(
            kind=kind,
            scope=f"account/{finding.account}",
            message=f"{finding.kind.value}: {finding.message}",
            finding=finding,
        )
        desk.tally.notices[kind.value] += 1
        draft.add("admin", notice)
        draft.close()
