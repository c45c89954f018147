"""A strategy's signal, in its own words, and the order it stands for.

A signal is a flat JSON object of texts. A rule of the settings says which signals it takes,
what their fields and words mean, and how large the order is. Two steps, both pure: `read` needs
the rule alone, `order_of` also what the router knows at that moment. Whatever does not fit is
refused, naming the signal's field and the fix. signal_orders.py holds the second step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from domain.errors import Retry
from domain.orders import NUMBER_MAX, OrderType, Symbol, Tag, TimeInForce

NS_PER_MS = 1_000_000
FIELDS_MAX = 64
NAME_CHARS_MAX = 64
TEXT_CHARS_MAX = 200
SIGNAL_SHAPE = Meta(
    min_length=1,
    max_length=FIELDS_MAX,
    extra_json_schema={
        "propertyNames": {"minLength": 1, "maxLength": NAME_CHARS_MAX},
        "additionalProperties": {"type": "string", "maxLength": TEXT_CHARS_MAX},
    },
)
"""A signal's bounds, for who decodes one and for who describes it."""

Word = Annotated[str, Meta(min_length=1, max_length=64)]


class Action(Enum):
    """What a signal asks for."""

    BUY = "buy"
    SELL = "sell"
    REDUCE = "reduce"
    CLOSE = "close"
    REVERSE = "reverse"


class Sizing(Enum):
    """Where the quantity comes from."""

    FIXED = "fixed"
    SIGNAL = "signal"
    EQUITY_PERCENT = "equity_percent"
    RISK_PERCENT = "risk_percent"


class Measure(Enum):
    """How a protective price is given."""

    SIGNAL = "signal"
    PIPS = "pips"
    PERCENT = "percent"


class SignalFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in the signal each thing stands. A reading takes no other field."""

    id: Word = "id"
    symbol: Word = "symbol"
    action: Word = "action"
    quantity: Word = "quantity"
    price: Word = "price"
    stop_loss: Word = "stop_loss"
    take_profit: Word = "take_profit"
    sent_at: Word = "sent_at"


class SizingRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large: `value` units, or percent of equity; `max` caps what was computed or sent."""

    by: Sizing
    value: Decimal | None = None
    max: Decimal | None = None


class ProtectionRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A protective price: the signal's own, or `value` pips or percent from the entry."""

    by: Measure
    value: Decimal | None = None


class SignalRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the signals of one strategy mean. The first rule whose `match` holds is taken.

    `instruments` and `actions` translate the signal's words; an instrument's own symbol needs no
    entry, and without any entry the actions are ours. `ignored` fields may be there and mean
    nothing; any other unknown field is refused.
    """

    name: Tag
    account: str
    match: dict[Word, str]
    sizing: SizingRule
    fields: SignalFields = SignalFields()
    instruments: dict[Word, Symbol] = {}
    actions: dict[Word, Action] = {}
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce | None = None
    stop_loss: ProtectionRule | None = None
    take_profit: ProtectionRule | None = None
    trailing: ProtectionRule | None = None
    tag: Tag | None = None
    valid_for_ms: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    age_ms_max: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    ignored: tuple[Word, ...] = ()


class Refusal(Struct, frozen=True):
    """Why a signal becomes no order; `field` is the signal's."""

    code: str
    field: str | None
    message: str
    retry: Retry = Retry.NEW_ID


class Reading(Struct, frozen=True, kw_only=True):
    """A signal as its rule reads it."""

    rule: SignalRule
    signal_id: str
    symbol: str
    action: Action
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    sent_ns: int | None = None


def find_rule(rules: Iterable[SignalRule], signal: Mapping[str, str]) -> SignalRule | Refusal:
    """The first rule that takes the signal."""
    rules = tuple(rules)
    for rule in rules:
        if all(signal.get(name) == text for name, text in rule.match.items()):
            return rule
    names = sorted({name for rule in rules for name in rule.match})
    field = names[0] if names else None
    message = "no [[signals]] of your accounts matches; it is chosen by " + ", ".join(names)
    return Refusal("unknown_signal", field, message if names else "no [[signals]] are set up")


# -- reading

_OWN_WORDS = {action.value: action for action in Action}
_NUMBERS = ("quantity", "price", "stop_loss", "take_profit")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}")
"""As `orders.ClientOrderId`: the id of a signal is the id of its order."""


def read(
    rule: SignalRule, signal: Mapping[str, str], signal_id: str | None, now_ns: int
) -> Reading | Refusal:
    """The signal in our words; a `signal_id` given beside it stands for one within."""
    fields = rule.fields
    known = {getattr(fields, name) for name in fields.__struct_fields__}
    for name in signal:
        if name not in known and name not in rule.match and name not in rule.ignored:
            hint = f"add it to `ignored` of [[signals]] {rule.name}, or leave it out"
            return Refusal("signal_field_unknown", name, hint)
    signal_id = signal_id or signal.get(fields.id)
    if not signal_id:
        return Refusal(
            "signal_incomplete", fields.id, "name the signal: it is taken once by its id"
        )
    if not _ID.fullmatch(signal_id):
        return Refusal(
            "signal_malformed", fields.id, "at most 64 letters, digits and the signs . _ : -"
        )
    word, symbol = signal.get(fields.action), signal.get(fields.symbol)
    actions = rule.actions or _OWN_WORDS
    if word not in actions:
        known_words = ", ".join(sorted(actions))
        return Refusal("signal_word_unknown", fields.action, f"must be one of {known_words}")
    if not symbol:
        return Refusal("signal_incomplete", fields.symbol, "name the instrument")
    numbers = _read_numbers(rule, signal)
    if isinstance(numbers, Refusal):
        return numbers
    sent_ns = _read_time(rule, signal, now_ns)
    if isinstance(sent_ns, Refusal):
        return sent_ns
    return Reading(
        rule=rule,
        signal_id=signal_id,
        symbol=rule.instruments.get(symbol, symbol),
        action=actions[word],
        sent_ns=sent_ns,
        **numbers,
    )


def _read_numbers(rule: SignalRule, signal: Mapping[str, str]) -> dict[str, Decimal] | Refusal:
    numbers = {}
    for name in _NUMBERS:
        field = getattr(rule.fields, name)
        text = signal.get(field)
        if text is None:
            continue
        number = _number(text)
        if number is None:
            return Refusal("signal_malformed", field, 'send a decimal above zero, such as "1.0842"')
        numbers[name] = number
    return numbers


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 < number < NUMBER_MAX else None


def _read_time(rule: SignalRule, signal: Mapping[str, str], now_ns: int) -> int | Refusal | None:
    """When it was sent; refused where that is unreadable, too long ago, or not yet."""
    field, text = rule.fields.sent_at, signal.get(rule.fields.sent_at)
    if text is None:
        if rule.age_ms_max is None:
            return None
        return Refusal("signal_incomplete", field, "say when it was sent: its age is limited")
    try:
        sent = datetime.fromisoformat(text)
    except ValueError:
        sent = None
    if sent is None or sent.tzinfo is None:
        return Refusal("signal_malformed", field, 'send a time such as "2026-01-31T14:30:00Z"')
    elapsed = sent.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    sent_ns = (elapsed.days * 86_400 + elapsed.seconds) * 10**9 + elapsed.microseconds * 1_000
    age_ms = (now_ns - sent_ns) // NS_PER_MS
    if rule.age_ms_max is not None and abs(age_ms) > rule.age_ms_max:
        way = "old" if age_ms > 0 else "ahead of our clock"
        return Refusal(
            "signal_stale", field, f"{abs(age_ms)} ms {way}; at most {rule.age_ms_max} allowed"
        )
    return sent_ns


# -- faults of the rules themselves

_ORDER_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP)


def find_faults(rules: Iterable[SignalRule], accounts: Iterable[str]) -> list[str]:
    """Everything that is wrong with the rules, each with its fix."""
    accounts = frozenset(accounts)
    faults: list[str] = []
    names: set[str] = set()
    matches: list[dict[str, str]] = []
    for rule in rules:
        where = f"signals {rule.name}"
        if rule.name in names:
            faults.append(f"{where}: the name is used twice; each must be unique")
        if rule.match in matches:
            faults.append(f"{where}: an earlier rule has the same match and takes its signals")
        names.add(rule.name)
        matches.append(rule.match)
        faults += [f"{where}: {fault}" for fault in _rule_faults(rule, accounts)]
    return faults


def _rule_faults(rule: SignalRule, accounts: frozenset[str]) -> list[str]:
    faults = []
    if rule.account not in accounts:
        faults.append(f"account {rule.account} is not that of a connection")
    if not rule.match:
        faults.append('match is empty; name a field, such as match = { strategy = "trend" }')
    if rule.order_type not in _ORDER_TYPES:
        known = ", ".join(kind.value for kind in _ORDER_TYPES)
        faults.append(f"order_type {rule.order_type.value} cannot come from a signal; use {known}")
    if rule.time_in_force is TimeInForce.GTD:
        faults.append("time_in_force gtd needs a time that no signal says; use gtc or day")
    fields = [getattr(rule.fields, name) for name in rule.fields.__struct_fields__]
    twice = sorted({field for field in fields if fields.count(field) > 1})
    faults += [f"fields: {field} is read twice; give each its own" for field in twice]
    return faults + _number_faults(rule)


def _number_faults(rule: SignalRule) -> list[str]:
    sizing, value, cap = rule.sizing.by, rule.sizing.value, rule.sizing.max
    faults = []
    if (value is not None) == (sizing is Sizing.SIGNAL):
        verb = "takes no" if value is not None else "needs a"
        faults.append(f"sizing: by {sizing.value} {verb} value")
    if (value is not None and value <= 0) or (cap is not None and cap <= 0):
        faults.append("sizing: value and max must be above zero")
    if sizing is Sizing.RISK_PERCENT and rule.stop_loss is None:
        faults.append("sizing: by risk_percent needs a stop_loss to measure the risk by")
    for name in ("stop_loss", "take_profit", "trailing"):
        protection: ProtectionRule | None = getattr(rule, name)
        if protection is not None:
            faults += [f"{name}: {fault}" for fault in _protection_faults(name, protection)]
    return faults


def _protection_faults(name: str, protection: ProtectionRule) -> list[str]:
    if protection.by is Measure.SIGNAL:
        if name == "trailing":
            return ["by signal is not possible; use pips or percent"]
        return ["by signal takes no value"] if protection.value is not None else []
    if protection.value is None or protection.value <= 0:
        return [f"by {protection.by.value} needs a value above zero"]
    return []
