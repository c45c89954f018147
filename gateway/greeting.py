"""The first words of a connection, and the first of a session."""

from __future__ import annotations

import msgspec

from gateway import wire
from gateway.authority import Subject
from gateway.backend import Surroundings
from gateway.follows import Follows


def hello(around: Surroundings) -> wire.Hello:
    """Where the client is, and what is allowed here."""
    status, settings = around.status(), around.settings
    return wire.Hello(
        epoch=status.epoch,
        deployment=status.deployment,
        server_ns=around.clocks.utc_ns(),
        heartbeat_ms=settings.heartbeat_ms,
        limits=msgspec.structs.asdict(settings.limits),
        venues=status.venues,
    )


def welcome(login: wire.Login, subject: Subject, follows: Follows, last_cseq: int) -> wire.Welcome:
    """What the session may do, and where its commands and streams go on."""
    return wire.Welcome(
        owner=subject.owner,
        session=login.session,
        generation=login.generation,
        scopes=tuple(sorted(subject.scopes, key=lambda scope: scope.value)),
        last_cseq=last_cseq,
        resume=follows.resume(),
        heads=follows.heads(),
        accounts=tuple(sorted(subject.accounts)),
    )
