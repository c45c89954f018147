"""What a request to the simulated Alpaca is, and how it is answered or refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from brokers.simulators.book import Account

ENCODER = msgspec.json.Encoder()
INVALID_BODY = 40010000
INVALID = 40010001
UNAUTHORIZED = 40110000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
UNPROCESSABLE = 42210000
TOO_MANY = 42910000
INTERNAL = 50010000


class Call(Struct):
    """One request, authorized; `spec` is what its path names."""

    account: Account
    spec: str = ""
    body: bytes = b""
    query: str = ""

    def parameters(self) -> dict[str, str]:
        """The query, last value wins."""
        return dict(parse_qsl(self.query, max_num_fields=30))

    def flag(self, name: str) -> bool:
        """A truth value in the query."""
        return self.parameters().get(name, "").lower() in ("true", "1")


class Reply(Struct):
    """An answer."""

    status: int
    body: bytes = b""


class Refused(Exception):
    """An answer that is an error; raised inside the dialect only. `more` goes beside the text."""

    def __init__(self, status: int, code: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more

    def body(self) -> dict[str, Any]:
        """The error as Alpaca tells it."""
        return {**self.more, "code": self.code, "message": self.message}


def ok(view: Any, status: int = 200) -> Reply:
    """One thing, or a list."""
    return Reply(status, ENCODER.encode(view))


def refusal_reply(refused: Refused) -> Reply:
    """An error body."""
    return Reply(refused.status, ENCODER.encode(refused.body()))


def invalid(message: str) -> Refused:
    """A request that says too little, or something that is no word of Alpaca's."""
    return Refused(422, INVALID, message)


def unprocessable(message: str, **more: str) -> Refused:
    """A request that is well said and cannot be."""
    return Refused(422, UNPROCESSABLE, message, **more)


def forbidden(message: str, **more: str) -> Refused:
    """What the account may not do."""
    return Refused(403, FORBIDDEN, message, **more)


def not_found(message: str) -> Refused:
    """Something that is not there."""
    return Refused(404, NOT_FOUND, message)


def bounded(asked: str | None, default: int, limit: int, name: str) -> int:
    """The number asked for, or the default. Refuses what is outside its bounds."""
    if asked is None:
        return default
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else 0
    if not 0 < number <= limit:
        raise invalid(f"{name} must be between 1 and {limit}")
    return number
