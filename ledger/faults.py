"""What can be wrong with a journal, each with what to do about it."""

from __future__ import annotations


class JournalError(Exception):
    """Trouble with the journal; the message names the fix."""


class JournalMissing(JournalError):
    """There is no journal where one must be. Only `fillgate init` makes one."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no journal in {where}; to start a new deployment run: fillgate init")


class JournalExists(JournalError):
    """`init` found a journal already there and left it alone."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} already holds a journal; choose another place")


class JournalLocked(JournalError):
    """Another process owns the journal; `holder` is its pid where it could be read."""

    def __init__(self, where: str, holder: int | None, host: str = "") -> None:
        who = f"process {holder}" if holder else "another process"
        who = f"{who} on {host}" if host else who
        super().__init__(f"the journal in {where} is held by {who}; stop it first")
        self.holder = holder


class JournalForeign(JournalError):
    """The journal belongs to another deployment."""

    def __init__(self, file: str, found: str, wanted: str) -> None:
        super().__init__(
            f"{file} belongs to deployment {found!r}, not {wanted!r}; "
            "point [journal] at this deployment's own"
        )


class JournalCorrupt(JournalError):
    """A durable record cannot be read, or is not there."""

    def __init__(self, file: str, offset: int, number: int, what: str) -> None:
        super().__init__(
            f"{file}, offset {offset}, record {number}: {what}; restore it from the "
            "archive or the standby, then run: fillgate journal verify"
        )
        self.file = file
        self.offset = offset
        self.number = number
        self.what = what


class JournalTooNew(JournalError):
    """A record was written by a release this one cannot read."""

    def __init__(self, file: str, number: int, schema: int, known: int) -> None:
        super().__init__(
            f"{file}, record {number}: schema {schema}, this release reads {known - 1} and "
            f"{known}; install a release that knows schema {schema}"
        )


class JournalFull(JournalError):
    """No room for a record; nothing of it was written."""


class JournalFailed(JournalError):
    """A write or sync failed or may have: what it wrote is in doubt until it is settled."""


class JournalLost(JournalFailed):
    """The journal is not this process's to write any more: nothing here can settle that."""


class JournalUnreachable(JournalError):
    """The server that keeps the journal does not answer; nothing is known to be wrong with it."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"the journal in {where} cannot be reached: {why}; start its server")


class JournalUnsafe(JournalError):
    """The server would lose what it acknowledged."""

    def __init__(self, where: str, setting: str, value: str) -> None:
        super().__init__(
            f"the journal in {where} is not safe: {setting} is {value}; "
            f"set {setting} = on for its role or server"
        )


class RecordTooLarge(JournalError):
    """The record does not fit into a segment; nothing was written."""
