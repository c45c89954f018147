"""What the gateway may be told at start, and every limit a client can meet."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

SUBPROTOCOL_JSON = "fillgate.v1.json"
SUBPROTOCOL_MSGPACK = "fillgate.v1.msgpack"
PATHS = frozenset({"/", "/ws"})

Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Announced in `hello`. Rates are per session, counted in orders; bursts in the same unit."""

    message_bytes_in_max: Positive = 65_536
    message_bytes_out_max: Positive = 1_048_576
    unsent_bytes_max: Positive = 4_194_304
    commands_per_s: Positive = 1_000
    commands_burst: Positive = 2_000
    cancels_per_s: Positive = 500
    cancels_burst: Positive = 1_000
    requests_per_s: Positive = 200
    requests_burst: Positive = 400
    in_flight_max: Positive = 2_000
    streams_max: Positive = 64
    quotes_max: Positive = 500
    bad_messages_max: Positive = 100


class GatewaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the WebSocket server behaves; `origins` are exact, such as `https://desk.example`."""

    origins: tuple[str, ...] = ()
    connections_max: Positive = 1_000
    connections_per_token_max: Positive = 16
    heartbeat_ms: Positive = 1_000
    open_timeout_ms: Positive = 3_000
    login_timeout_ms: Positive = 10_000
    answer_timeout_ms: Positive = 30_000
    close_timeout_ms: Positive = 2_000
    drain_ms_max: Positive = 2_000
    ping_ms: Positive = 1_000
    silence_ms_max: Positive = 3_000
    stopped_ms_max: Positive = 15_000
    limits: Limits = Limits()
