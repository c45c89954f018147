"""The brokers there are: a new one is a file beside this and a row in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from brokers import alpaca, alpaca_prices, oanda
from brokers.adapter import Adapter, AdapterSettings
from domain.accounts import Environment

PAPER_TOKEN = "paper"  # noqa: S105 - opens nothing but our own simulators on loopback


class Broker(Struct, frozen=True, kw_only=True):
    """What the rest must know of a broker before it speaks to it.

    `hosts` are its own REST and stream host; settings may point elsewhere (a simulator).
    `auth_headers` makes the secret headers of a token, for the transport alone;
    `find_token_fault` says what is wrong with a token, never showing it. `feeds` are its data
    feeds where it has several, the default first. `paper_token` opens an account at our own
    simulator.
    """

    adapter: Callable[[AdapterSettings], Adapter]
    hosts: Mapping[Environment, tuple[str, str]]
    auth_headers: Callable[[str], dict[str, str]]
    find_token_fault: Callable[[str], str | None]
    paper_token: Callable[[str], str]
    feeds: tuple[str, ...] = ()


BROKERS: dict[str, Broker] = {
    "oanda": Broker(
        adapter=oanda.OandaAdapter,
        hosts=oanda.HOSTS,
        auth_headers=oanda.auth_headers,
        find_token_fault=oanda.find_token_fault,
        paper_token=lambda _account: PAPER_TOKEN,
    ),
    "alpaca": Broker(
        adapter=alpaca.AlpacaAdapter,
        hosts=alpaca.HOSTS,
        auth_headers=alpaca.auth_headers,
        find_token_fault=alpaca.find_token_fault,
        paper_token=lambda account: f"{account}:{PAPER_TOKEN}",
        feeds=alpaca_prices.FEEDS,
    ),
}
"""By the name settings give it."""
