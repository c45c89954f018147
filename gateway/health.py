"""Is it alive, may it be traded through, and its figures: for people and for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.backend import Status

BODY_BYTES_MAX = 1_024


def health_app(status: Callable[[], Status], metrics_page: Callable[[], bytes]) -> web.Application:
    """`/healthz` answers while the loop runs, `/readyz` while the router does, `/metrics`."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        now = status()
        body = {
            "status": "ready" if now.is_router_up else "router_unavailable",
            "epoch": now.epoch,
            "deployment": now.deployment,
            "venues": list(now.venues),
        }
        return web.json_response(body, status=200 if now.is_router_up else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics_page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app
