"""A client's session as a state machine: bytes in, outputs out, no I/O.

    GREETED --login--> LOGGING_IN --LoggedIn--> [ARMING --Answer--] OPEN --> CLOSED

The server feeds it what arrives (from the socket: `receive`; from the router: `answered`,
`published`; from its timer: `tick`) and carries out what comes back: payloads to send, a
close, requests for the router, streams and quotes to follow. Each method returns its outputs
in the order in which they must happen.

Requests: each id gets one `res`; while one is under way its id is taken, and a second use ends
the connection, for a second `res` would be a lie to one of the two. A request the router does
not answer in time, or that was under way when the router was lost, is answered here: a query
with outcome none, a command with outcome unknown, since it may have been written down.

Streams: one cursor each (cursors.py). Pages are read only while the client keeps up, so that a
long replay flows at the client's pace; what is published live is never held back.

A router that goes away does not end the session: at its return the session logs in again, which
tells the heads, and every cursor that is behind reads on.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from domain.commands import Answer, LoggedIn, Login, Query, QueryAnswer, StreamPage, Submit
from domain.errors import ErrorInfo, Outcome
from domain.streams import StreamUpdate
from gateway import errors, wire
from gateway.authority import TOKEN_ID_CHARS, Principal, Subject, authorize, scopes_of
from gateway.backend import Surroundings
from gateway.client_clock import ClientClock
from gateway.codec import Codec
from gateway.errors import forbidden, refusal
from gateway.faults import find_request_fault
from gateway.follows import Follows
from gateway.greeting import hello, welcome
from gateway.outputs import Close, Desk, Follow, Output, Pending, Send
from gateway.rates import NS_PER_MS, Rates
from gateway.requests import COMMANDS, OF_SESSION, Now, find_deadline, query_args, tag_of
from gateway.wire import CloseCode, Scope


class State(Enum):
    """Where a session stands."""

    GREETED = "greeted"
    LOGGING_IN = "logging_in"
    ARMING = "arming"
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """One connection's session."""

    def __init__(self, principal: Principal, codec: Codec, around: Surroundings) -> None:
        limits = around.settings.limits
        self.principal = principal
        self.codec = codec
        self.state = State.GREETED
        self.login: wire.Login | None = None
        self.subject = Subject(owner=principal.owner, scopes=frozenset())
        desk = Desk(self._ask, self._send, around.latest_quotes, around.find_quote_fault)
        self.follows = Follows(principal.owner, limits, desk)
        self._around = around
        self._limits = limits
        self._pending: dict[int, Pending] = {}
        self._ids: set[str] = set()
        self._bad = 0
        self._clock = ClientClock()
        self._greeted_ns = around.clocks.boot_ns()
        self._last_cseq = 0
        self._rates = Rates(limits)

    def _ask(self, pending: Pending) -> int:
        ref = self._around.next_ref()
        pending.asked_ns = pending.asked_ns or self._around.clocks.boot_ns()
        self._pending[ref] = pending
        if pending.id:
            self._ids.add(pending.id)
        return ref

    def _send(self, message: wire.ServerMessage) -> Send:
        return Send(self.codec.encode(message))

    def _close(self, code: int, error: ErrorInfo) -> list[Output]:
        self.state = State.CLOSED
        return [Close(code, error)]

    # -- from the client

    def greet(self) -> list[Output]:
        """The hello."""
        return [self._send(hello(self._around))]

    def receive(self, data: bytes) -> list[Output]:
        """Takes one message's bytes, whatever they are."""
        if self.state is State.CLOSED:
            return []
        try:
            message = self.codec.decode_client(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._refuse_bytes(data, error)
        if isinstance(message, wire.Request):
            if self.state is State.OPEN:
                return self._request(message)
            return self._close(CloseCode.MALFORMED, refusal("login_first", "log in first"))
        assert isinstance(message, wire.Login)
        return self._log_in(message)

    def _refuse_bytes(self, data: bytes, error: Exception) -> list[Output]:
        if isinstance(error, UnicodeDecodeError):
            return self._close(CloseCode.INVALID_DATA, refusal("malformed", "text is not UTF-8"))
        info = errors.from_decode_error(error)
        self._bad += 1
        name = self.codec.find_id(data)
        is_hopeless = self._bad > self._limits.bad_messages_max or name in self._ids
        if not name or is_hopeless or self.state is not State.OPEN:
            return self._close(CloseCode.MALFORMED, info)
        return [self._send(wire.Res(id=name, error=info))]

    # -- login

    def _log_in(self, login: wire.Login) -> list[Output]:
        if self.state is not State.GREETED:
            error = refusal("already_logged_in", "one login for each connection")
            return self._close(CloseCode.MALFORMED, error)
        scopes = scopes_of(login.role, self.principal.scopes)
        if not scopes or (login.guard is not None and Scope.TRADE not in scopes):
            return self._close(CloseCode.FORBIDDEN, forbidden("the token does not allow", "role"))
        self.login = login
        self.subject = Subject(owner=self.principal.owner, scopes=scopes)
        self.state = State.LOGGING_IN
        # Without a router the login waits for its return: no connect is refused meanwhile.
        return [self._login_request(login)] if self._around.status().is_router_up else []

    def _login_request(self, login: wire.Login) -> Login:
        return Login(
            ref=self._ask(Pending()),
            owner=self.principal.owner,
            session=login.session,
            generation=login.generation,
            token=self.principal.token_id[:TOKEN_ID_CHARS],
        )

    def _logged_in(self, told: LoggedIn) -> list[Output]:
        if told.error is not None:
            return self._close(CloseCode.REPLACED, told.error)
        self.subject = msgspec.structs.replace(self.subject, accounts=frozenset(told.accounts))
        self._last_cseq = told.last_cseq
        if self.state is State.OPEN:
            return self.follows.meet(told.heads)
        assert self.login is not None
        if (error := self.follows.start(self.login.cursors, told, self.subject)) is not None:
            return self._close(CloseCode.MALFORMED, error)
        return self._arm(self.login) if self.login.guard is not None else self._open(self.login)

    def _arm(self, login: wire.Login) -> list[Output]:
        """The guard stands before the welcome: a client that is welcome is guarded."""
        guard = login.guard
        assert guard is not None
        if guard.account is not None and guard.account not in self.subject.accounts:
            error = forbidden("not an account of yours", "guard.account")
            return self._close(CloseCode.FORBIDDEN, error)
        self.state = State.ARMING
        return [
            Submit(
                ref=self._ask(Pending()),
                owner=self.principal.owner,
                session=login.session,
                cseq=0,
                request_id=f"{login.session}:login:{login.generation}",
                command=guard,
                received_ns=self._around.clocks.utc_ns(),
            )
        ]

    def _open(self, login: wire.Login) -> list[Output]:
        self.state = State.OPEN
        told = welcome(login, self.subject, self.follows, self._last_cseq)
        streams: list[Output] = [Follow(stream) for stream in self.follows.cursors]
        return [self._send(told), *streams, *self.follows.read_on()]

    # -- requests

    def _request(self, request: wire.Request) -> list[Output]:
        if request.id in self._ids:
            error = refusal("duplicate_request_id", "this id is under way", field="id")
            return self._close(CloseCode.MALFORMED, error)
        refused = (
            self._rates.find_fault(request, self._around.clocks.boot_ns())
            or authorize(self.subject, request)
            or find_request_fault(request)
        )
        if refused is not None:
            return self._refuse(request, refused)
        if type(request) in OF_SESSION:
            return self._serve(request)
        if (refused := self._find_way_fault()) is not None:
            return self._refuse(request, refused)
        if type(request) in COMMANDS:
            return self._submit(request)
        return [self._query(request)]

    def _find_way_fault(self) -> ErrorInfo | None:
        """Why nothing can be asked of the router now, or None."""
        if not self._around.status().is_router_up:
            return errors.router_unavailable(Outcome.NONE)
        if len(self._ids) >= self._limits.in_flight_max:
            return errors.rate_limited("requests under way", 100)
        return None

    def _refuse(self, request: wire.Request, error: ErrorInfo) -> list[Output]:
        return [self._send(wire.Res(id=request.id, error=error))]

    def _submit(self, request: wire.Request) -> list[Output]:
        assert self.login is not None
        clocks = self._around.clocks
        now = Now(clocks.utc_ns(), clocks.boot_ns(), self._clock.offset_ns)
        deadline = find_deadline(request, now)
        if isinstance(deadline, ErrorInfo):
            return self._refuse(request, deadline)
        cseq = request.cseq if isinstance(request, wire.NumberedRequest) else 0
        pending = Pending(id=request.id, asked_ns=now.boot_ns, is_command=cseq > 0)
        return [
            Submit(
                ref=self._ask(pending),
                owner=self.principal.owner,
                session=self.login.session,
                cseq=cseq,
                request_id=request.id,
                command=COMMANDS[type(request)](request),
                received_ns=now.utc_ns,
                deadline_ns=deadline,
                by_admin=self.subject.is_admin,
            )
        ]

    def _query(self, request: wire.Request) -> Query:
        return Query(
            ref=self._ask(Pending(id=request.id)),
            owner=self.principal.owner,
            what=tag_of(request),
            args=query_args(request),
            by_admin=self.subject.is_admin,
        )

    def _serve(self, request: wire.Request) -> list[Output]:
        """Answers what needs no router, or only its streams."""
        if isinstance(request, wire.Sub):
            return self._sub(request)
        outputs: list[Output] = []
        error, body = None, None
        if isinstance(request, wire.Unsub):
            outputs = self.follows.unsub(request)
        elif isinstance(request, wire.Ack):
            error = self.follows.ack(request)
        elif isinstance(request, wire.Ping):
            body = self._clock.measure(request, self._around.clocks.utc_ns())
        return [self._send(wire.Res(id=request.id, error=error, body=body)), *outputs]

    def _sub(self, request: wire.Sub) -> list[Output]:
        follows = self.follows
        fault = follows.find_fault(request)
        is_asked = request.snapshot and not follows.is_of_quotes(request)
        if fault is None and is_asked:
            fault = self._find_way_fault()
        if fault is not None:
            return self._refuse(request, fault)
        if is_asked:
            return follows.snapshot(request, self.subject, self._around.clocks.boot_ns())
        outputs = follows.sub(request)
        told = follows.tell_quotes(request, self.codec)
        res = self._send(wire.Res(id=request.id, body={"resume": follows.resume()}))
        return [*told, res, *outputs] if request.snapshot else [res, *outputs, *told]

    # -- from the router

    def answered(self, message: Answer | LoggedIn | StreamPage | QueryAnswer) -> list[Output]:
        """An answer to one of this session's requests; one that was given up is nothing."""
        pending = self._pending.pop(message.ref, None)
        if pending is None or self.state is State.CLOSED:
            return []
        self._ids.discard(pending.id)
        match message:
            case Answer():
                return self._decided(pending, message)
            case QueryAnswer():
                return self._rows(pending, message)
            case StreamPage():
                return self.follows.page(message.stream, message)
            case LoggedIn():
                return self._logged_in(message)

    def _decided(self, pending: Pending, answer: Answer) -> list[Output]:
        if not pending.id:
            assert self.login is not None
            if answer.error is not None:
                return self._close(CloseCode.FORBIDDEN, answer.error)
            return self._open(self.login)
        body = self.codec.rows(answer.body)
        return [
            self._send(
                wire.Res(id=pending.id, decided=answer.decided, error=answer.error, body=body)
            )
        ]

    def _rows(self, pending: Pending, answer: QueryAnswer) -> list[Output]:
        if pending.stream is not None:
            return self.follows.snapped(pending, answer, self.codec)
        body = self.codec.rows(answer.body)
        position = answer.position if answer.error is None else None
        res = wire.Res(id=pending.id, error=answer.error, position=position, body=body)
        payload = self.codec.encode(res)
        if len(payload) > self._limits.message_bytes_out_max:
            error = refusal("answer_too_large", "ask for less: a smaller limit, or one account")
            return [self._send(wire.Res(id=pending.id, error=error))]
        return [Send(payload)]

    def refs(self) -> tuple[int, ...]:
        """What is under way, for the server to forget."""
        return tuple(self._pending)

    @property
    def is_busy(self) -> bool:
        """True while a request has no answer yet."""
        return bool(self._ids)

    def awaits(self, ref: int) -> bool:
        """True while the answer to the ref is still wanted."""
        return ref in self._pending

    def published(self, update: StreamUpdate) -> list[Output]:
        """An entry of a stream this session follows."""
        return self.follows.published(update) if self.state is State.OPEN else []

    def router_lost(self) -> list[Output]:
        """Answers all that is under way; the session itself stays."""
        given_up, self._pending = self._pending, {}
        return [
            output
            for pending in given_up.values()
            for output in self._give_up(pending, errors.router_unavailable)
        ]

    def router_found(self) -> list[Output]:
        """Logs in again: the new router learns of the session, the session of the heads."""
        if self.state in (State.GREETED, State.CLOSED) or self.login is None:
            return []
        if self.state is State.ARMING:
            self.state = State.LOGGING_IN
        return [self._login_request(self.login)]

    def _give_up(self, pending: Pending, error: Callable[[Outcome], ErrorInfo]) -> list[Output]:
        self._ids.discard(pending.id)
        if pending.stream is not None:
            self.follows.forget_read(pending.stream)
        if not pending.id:
            return []
        outcome = Outcome.UNKNOWN if pending.is_command else Outcome.NONE
        return [self._send(wire.Res(id=pending.id, error=error(outcome)))]

    # -- from the timer

    def tick(self) -> list[Output]:
        """Gives up what took too long, and reads on where a page came back empty."""
        now = self._around.clocks.boot_ns()
        settings = self._around.settings
        if self.state in (State.GREETED, State.LOGGING_IN, State.ARMING):
            if now - self._greeted_ns > settings.login_timeout_ms * NS_PER_MS:
                code = CloseCode.LOGIN_TIMEOUT
                if self.state is not State.GREETED:
                    code = CloseCode.TRY_AGAIN_LATER
                return self._close(code, refusal("login_timeout", "no login in time"))
            return []
        late_ns = now - settings.answer_timeout_ms * NS_PER_MS
        late = [ref for ref, pending in self._pending.items() if pending.asked_ns < late_ns]
        outputs = [
            output
            for ref in late
            for output in self._give_up(self._pending.pop(ref), errors.no_answer)
        ]
        if self._around.status().is_router_up:
            outputs += self.follows.read_on()
        return outputs

    def heartbeat(self) -> list[Output]:
        """The heads of all streams followed, where the session is open."""
        if self.state is not State.OPEN:
            return []
        now = self._around.clocks.utc_ns()
        return [self._send(wire.Hb(server_ns=now, heads=self.follows.heads()))]
