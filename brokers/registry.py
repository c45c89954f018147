"""The brokers there are: a new one is a file beside this and a row in each table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from brokers import oanda
from brokers.adapter import Adapter, AdapterSettings
from domain.accounts import Environment

BROKERS: dict[str, Callable[[AdapterSettings], Adapter]] = {"oanda": oanda.OandaAdapter}
"""Makes the adapter of a broker."""

HOSTS: dict[str, Mapping[Environment, tuple[str, str]]] = {"oanda": oanda.HOSTS}
"""The broker's own REST and stream host; settings may point elsewhere (a simulator)."""

AUTH_HEADERS: dict[str, Callable[[str], dict[str, str]]] = {"oanda": oanda.auth_headers}
"""The secret headers that log in with a token: for the transport alone."""

assert BROKERS.keys() == HOSTS.keys() == AUTH_HEADERS.keys()
