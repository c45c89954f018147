"""What can be wrong with the relational store, each with what to do about it."""

from __future__ import annotations


class StoreError(Exception):
    """Trouble with the store; the message names the fix. The journal has everything still."""


class StoreForeign(StoreError):
    """The store was made from another deployment's journal."""

    def __init__(self, place: str, found: str, wanted: str) -> None:
        super().__init__(
            f"{place} belongs to deployment {found!r}, not {wanted!r}; "
            "point [store] at this deployment's own database"
        )


class StoreTooNew(StoreError):
    """A later release has changed the tables."""

    def __init__(self, place: str, revision: str) -> None:
        super().__init__(
            f"{place} is at revision {revision}, which this release does not know; "
            "run the release that made it, or point [store] at an empty database"
        )


class StoreOld(StoreError):
    """The tables are not made yet, or an older release's."""

    def __init__(self, place: str, found: str | None) -> None:
        at = f"is at revision {found}" if found else "has no tables yet"
        super().__init__(f"{place} {at}; run `fillgate store migrate`")


class StoreMoved(StoreError):
    """Another process wrote to the store meanwhile: nothing of ours was kept."""

    def __init__(self, place: str) -> None:
        super().__init__(f"another process writes to {place}; only one ledger may")


class StoreAstray(StoreError):
    """The store is ahead of the journal, or holds what the journal no longer says."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"the store stands at record {position}, which is not in the journal; "
            "it must be made again: `fillgate store rebuild`"
        )


class StoreFailed(StoreError):
    """The database did not do what was asked."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
