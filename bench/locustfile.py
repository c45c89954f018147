"""How does it bear many users: strategies, signals, dashboards, or all of them mixed?

    make locust                                   # its own deployment, 20 s, a table
    make locust LOCUST="--users 60 --run-time 5m"
    make locust LOCUST="Strategy"                 # one kind alone: Strategy, Signals, Dashboard
    make locust LOCUST="--web"                    # the web UI, on a port of its own
    locust -f bench/locustfile.py --url ws://... --rest-url http://... --token-file FILE

The time of a strategy's order is until the broker's outcome has come back; of a watched quote its
age when it arrives. An order that was not filled, a refusal or a lost line is a failure, and Locust
ends with exit code 1.
"""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

# First: it replaces blocking calls by gevent's before anything else takes hold of them.
from locust import FastHttpUser, User, between, constant_pacing, events, task

from bench.gevent_line import Line, age_ms
from bench.workload import Ticket, tickets
from bench.world import INSTRUMENTS
from domain.events import Fill
from domain.orders import NewOrder, Side, TimeInForce
from gateway import wire

RULE = "bench"
"""The strategy that the deployment's rule for signals names (bench/under_locust.py)."""

_numbers = itertools.count(1)
SEED = 1


class NotFilled(Exception):
    """The broker did something else with a market order."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_arguments(parser: ArgumentParser) -> None:
    """Where the gateway is, and who we are."""
    parser.add_argument("--url", help="where WebSocket clients connect", required=True)
    parser.add_argument("--rest-url", help="where REST answers", required=True)
    parser.add_argument("--token-file", help="holds a token that may trade and read", required=True)


def _token(options: Any) -> str:
    return Path(options.token_file).read_text().strip()


def _supply() -> Iterator[Ticket]:
    """Bought, then sold: a user of its own seed leaves no position."""
    return tickets(INSTRUMENTS, SEED + next(_numbers))


class Strategy(User):
    """Places a market order a while after the last one's outcome; hears its owner's events."""

    weight = 6
    wait_time = between(0.05, 0.25)

    def on_start(self) -> None:
        """Logs in."""
        options = self.environment.parsed_options
        self._name = f"l-{uuid4().hex[:12]}"
        self._supply = _supply()
        self._line = Line(options.url, _token(options), self._name)
        self._line.follow(f"orders/{self._line.owner}")

    def on_stop(self) -> None:
        """Hangs up."""
        self._line.close()

    @task
    def place(self) -> None:
        """One order, until the broker's outcome is here."""
        ticket = next(self._supply)
        order = NewOrder(
            client_order_id=f"{self._name}-{ticket.number}",
            instrument=ticket.instrument,
            side=Side.BUY if ticket.units > 0 else Side.SELL,
            quantity=Decimal(abs(ticket.units)),
            time_in_force=TimeInForce.FOK,
        )
        with self.environment.events.request.measure("WS", "order → broker's outcome"):
            outcome = self._line.place(order)
            if not isinstance(outcome.event, Fill):
                raise NotFilled(f"{type(outcome.event).__name__} of {order.client_order_id}")


class Signals(FastHttpUser):
    """Sends signals by REST; the answer means that the order is durable."""

    weight = 2
    wait_time = between(0.2, 0.6)
    host = "of --rest-url"

    def on_start(self) -> None:
        """Knows where and as whom."""
        options = self.environment.parsed_options
        self.client.base_url = options.rest_url
        self._headers = {"Authorization": f"Bearer {_token(options)}"}
        self._name = f"s-{uuid4().hex[:12]}"
        self._supply = _supply()

    @task
    def send(self) -> None:
        """One signal."""
        ticket = next(self._supply)
        signal = {
            "strategy": RULE,
            "id": f"{self._name}-{ticket.number}",
            "symbol": ticket.instrument,
            "action": "buy" if ticket.units > 0 else "sell",
            "quantity": str(abs(ticket.units)),
        }
        self.client.post("/api/v1/signals", json=signal, headers=self._headers)


class Dashboard(FastHttpUser):
    """Reads the lists of a page once a second, and watches every instrument's quotes."""

    weight = 2
    wait_time = constant_pacing(1.0)
    host = "of --rest-url"

    def on_start(self) -> None:
        """Watches quotes beside reading."""
        options = self.environment.parsed_options
        self.client.base_url = options.rest_url
        self._headers = {"Authorization": f"Bearer {_token(options)}"}
        self._line = Line(options.url, _token(options), f"d-{uuid4().hex[:12]}", self._quoted)
        self._line.follow(*(f"quotes/{name}" for name in INSTRUMENTS))

    def on_stop(self) -> None:
        """Hangs up."""
        self._line.close()

    def _quoted(self, message: wire.QuoteUpdate) -> None:
        if not message.quote.unchanged:
            self.environment.events.request.fire(
                request_type="WS", name="quote: its age on arrival", exception=None,
                response_time=age_ms(message), response_length=0, context={},
            )  # fmt: skip

    @task
    def read(self) -> None:
        """One refresh of the page."""
        get = partial(self.client.get, headers=self._headers)
        for path in ("orders?status=all&limit=50", "positions", "accounts", "connections"):
            get(f"/api/v1/{path}", name=f"/api/v1/{path.partition('?')[0]}")
        get(f"/api/v1/quotes?instruments={','.join(INSTRUMENTS)}", name="/api/v1/quotes")
