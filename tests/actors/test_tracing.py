"""Traces: one order's spans from every process at a real collector; nothing at all when off."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import deployment_in_process
import pytest
import pytest_asyncio
from aiohttp import web
from deployment_in_process import OWNER, SETTINGS, WAIT_S, deployment
from msgspec import msgpack
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_whole_in_process import an_order

from actors import tracing
from actors.edge import Edge, Sockets
from actors.tracing import Tracer, TraceSettings, find_trace_fault, make_tracer
from domain.commands import Logout, Place, Submit
from gateway.client import Client
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope

SPANS = {
    "order", "edge to router", "screen", "rules", "write down and send", "connection", "broker",
    "to the outcome",
}  # fmt: skip


class Collector:
    """Takes spans by OTLP over HTTP, as any collector does."""

    def __init__(self) -> None:
        self.spans: dict[str, tuple[str, int, int, str]] = {}
        self.roles: set[str] = set()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            words = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.roles.add(words["service.instance.id"])
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                times = (span.start_time_unix_nano, span.end_time_unix_nano)
                self.spans[span.name] = (span.trace_id.hex(), *times, span.parent_span_id.hex())
        return web.Response(body=b"", content_type="application/x-protobuf")


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    yield made
    await runner.cleanup()


@pytest.mark.asyncio
async def test_an_order_is_traced_through_every_process_and_back(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    traces = f'\n[traces]\nendpoint = "{collector.url}"\none_in = 1\n'
    monkeypatch.setattr(deployment_in_process, "SETTINGS", SETTINGS + traces)
    async with deployment(short_folder, monkeypatch) as running:
        terms = TokenTerms(owner=OWNER, scopes=(Scope.READ, Scope.TRADE))
        token = TokenStore(running.paths.tokens).create(
            terms, time.time_ns(), lambda size: b"x" * size
        )
        sockets = Sockets(*(socket.create_server(("127.0.0.1", 0)) for _ in range(3)))
        running.keep(Edge(running.stage("edge-0")).run(sockets))
        url = f"ws://127.0.0.1:{sockets.clients.getsockname()[1]}"
        began_ns = time.time_ns()
        async with asyncio.timeout(WAIT_S), Client.connect(url, token, "s-1") as client:
            await client.place_and_wait(an_order("o-1", "market", 0))
        ended_ns = time.time_ns()
        async with asyncio.timeout(WAIT_S):
            while collector.spans.keys() != SPANS:
                await asyncio.sleep(0.02)
    root = collector.spans["order"]
    assert len({trace for trace, *_ in collector.spans.values()}) == 1
    assert root[3] == ""
    assert all(parent for name, (*_, parent) in collector.spans.items() if name != "order")
    for name, (_, start_ns, end_ns, _) in collector.spans.items():
        assert began_ns - 1_000_000 <= start_ns <= end_ns <= ended_ns + 5_000_000, name
    starts = [collector.spans[name][1] for name in ("screen", "rules", "connection", "broker")]
    assert starts == sorted(starts)
    assert {"edge-0", "router", "compliance"} <= collector.roles
    assert len(collector.roles) == 4


def test_every_so_many_th_request_is_traced() -> None:
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter, "edge-0", one_in=3)
    names = [tracer.begin(ref, 1_000) for ref in range(1, 8)]
    assert [name is not None for name in names] == [False, False, True, False, False, True, False]
    tracer.end(3, 2_000)
    tracer.end(4, 2_000)
    tracer.flush()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.start_time, span.end_time) == ("order", 1_000, 2_000)


def test_traces_that_nobody_ends_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "HELD_MAX", 2)
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter, "edge-0")
    for ref in range(1, 5):
        tracer.begin(ref, ref)
    for ref in range(1, 5):
        tracer.end(ref, 10)
    tracer.flush()
    assert [span.start_time for span in exporter.get_finished_spans()] == [3, 4]


def test_off_there_is_no_tracer_no_import_and_no_field() -> None:
    assert make_tracer(TraceSettings(), "edge-0") is None
    submit = Submit(
        ref=1, owner="o", session="s", cseq=1, request_id="r", received_ns=1,
        command=Place(order=an_order("o-1", "market", 0)),
    )  # fmt: skip
    assert b"trace" not in msgpack.encode(submit)
    assert b"trace" not in msgpack.encode(Logout(owner="o", session="s", generation=1))
    code = "import sys, actors.roles, actors.edge; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4318/v1/traces", "https://c/v1/traces"])
def test_an_endpoint_is_http_or_nothing(endpoint: str) -> None:
    assert find_trace_fault(TraceSettings(endpoint=endpoint)) is None
    assert find_trace_fault(TraceSettings(endpoint="grpc://c:4317")) is not None
