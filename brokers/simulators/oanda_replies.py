"""What a request to the simulated OANDA is, and how its answers are made."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from brokers.simulators import facts as f
from brokers.simulators import oanda_bodies as bodies
from brokers.simulators.book import Account
from brokers.simulators.oanda_views import Stamp, transaction

ENCODER = msgspec.json.Encoder()


class Call(Struct):
    """One request, authorized."""

    account: Account
    spec: str
    body: bytes
    query: str
    stamp: Stamp

    def parameters(self) -> dict[str, str]:
        """The query, last value wins."""
        return dict(parse_qsl(self.query, max_num_fields=20))


class Reply(Struct):
    """An answer."""

    status: int
    body: bytes


class Refused(Exception):
    """An answer that is an error; raised inside the dialect only."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def error_reply(status: int, message: str, code: str | None = None) -> Reply:
    """The broker's error body."""
    body = {"errorMessage": message}
    return Reply(status, ENCODER.encode(body if code is None else {**body, "errorCode": code}))


def listed(call: Call, word: str, view: Any) -> Reply:
    """One thing, or a list of them, and the newest transaction."""
    last = str(call.account.last_id)
    return Reply(200, ENCODER.encode({word: view, "lastTransactionID": last}))


def raw_of(account: Account, fact: f.AnyFact, stamp: Stamp) -> msgspec.Raw:
    """A transaction, encoded."""
    return msgspec.Raw(ENCODER.encode(transaction(account, fact, stamp)))


def number_of(spec: str) -> int:
    """The id; 0, which names nothing, for anything else."""
    return int(spec) if spec.isascii() and spec.isdigit() and len(spec) < 19 else 0


def bounded(asked: str | None, default: int, limit: int, name: str) -> int:
    """The number asked for, or the default. Raises BadRequest outside its bounds."""
    if asked is None:
        return default
    number = number_of(asked)
    if not 0 < number <= limit:
        raise bodies.BadRequest(f"Invalid value specified for '{name}'")
    return number
