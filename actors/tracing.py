"""Traces: one order's way through all processes as OpenTelemetry spans. Off by default.

An edge picks every so-many-th order and begins its trace; the trace's name (a W3C traceparent)
then rides in the order's own messages, and each process tells its part after the fact, from
times it took anyway. Where traces are off there is no tracer, the messages have no such field,
and OpenTelemetry is not even imported. Spans leave from a thread; where the collector is away,
or slow, they are dropped, never waited for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from actors.beacon import boot_ns

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

HELD_MAX = 10_000
"""Traces begun and not ended; the oldest goes unended."""
SERVICE = "fillgate"


class TraceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where spans go by OTLP over HTTP (http://127.0.0.1:4318/v1/traces); empty: no traces.

    Every `one_in`-th order is traced. Headers for the collector come from the environment
    (OTEL_EXPORTER_OTLP_HEADERS), as OpenTelemetry has it.
    """

    endpoint: str = ""
    one_in: Annotated[int, Meta(ge=1, le=1_000_000)] = 100


def find_trace_fault(settings: TraceSettings) -> str | None:
    """Why the settings cannot be used."""
    if settings.endpoint and not settings.endpoint.startswith(("http://", "https://")):
        return "endpoint must be http://host:port/v1/traces or https://..."
    return None


def make_tracer(settings: TraceSettings, role: str) -> Tracer | None:
    """This process's tracer, or None where traces are off."""
    if not settings.endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Tracer(OTLPSpanExporter(endpoint=settings.endpoint), role, settings.one_in)


def utc_less_boot_ns() -> int:
    """What makes a time of the boot clock one of UTC, now."""
    return time.time_ns() - boot_ns()


class Tracer:
    """Tells spans of one process."""

    def __init__(self, exporter: SpanExporter, role: str, one_in: int = 1) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        words = {"service.name": SERVICE, "service.instance.id": role}
        self._provider = TracerProvider(resource=Resource.create(words), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._one_in = one_in
        self._seen = 0
        self._begun: dict[int, Any] = {}

    def begin(self, ref: int, start_ns: int) -> str | None:
        """Begins the trace of a request, if it is its turn; returns its name."""
        self._seen += 1
        if self._seen % self._one_in:
            return None
        span = self._tracer.start_span("order", start_time=start_ns)
        self._begun[ref] = span
        if len(self._begun) > HELD_MAX:
            del self._begun[next(iter(self._begun))]
        made = span.get_span_context()
        return f"00-{made.trace_id:032x}-{made.span_id:016x}-01"

    def end(self, ref: int, end_ns: int) -> None:
        """The request was answered."""
        span = self._begun.pop(ref, None)
        if span is not None:
            span.end(end_ns)

    def span(
        self, name: str, trace: str, start_ns: int, end_ns: int, **words: str | int | bool
    ) -> None:
        """One part of a trace, from `start_ns` to `end_ns` (UTC)."""
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            TraceFlags,
            set_span_in_context,
        )

        _, trace_id, span_id, _ = trace.split("-")
        parent = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1)
        )
        context = set_span_in_context(NonRecordingSpan(parent))
        made = self._tracer.start_span(
            name, context=context, start_time=start_ns, attributes=dict(words)
        )
        made.end(max(start_ns, end_ns))

    def flush(self) -> None:
        """Sends what waits; for tests and the end."""
        self._provider.force_flush()
