"""Movements of money and holdings, as brokers book them."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct


class TransactionType(Enum):
    """What kind of movement."""

    BUY = "buy"
    SELL = "sell"
    DIVIDEND = "dividend"
    SPLIT = "split"
    TRANSFER = "transfer"
    FEE = "fee"
    INTEREST = "interest"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    FINANCING = "financing"
    TAX = "tax"
    MERGER = "merger"
    SPIN_OFF = "spin_off"
    ASSIGNMENT = "assignment"
    EXERCISE = "exercise"
    EXPIRY = "expiry"
    CONVERSION = "conversion"


class Transaction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One booked movement; `broker_transaction_id` is unique per connection only.

    `amount` is what it did to the cash, signed as booked, commission and financing included.
    """

    connection: str
    account: str
    broker_transaction_id: str
    type: TransactionType
    currency: str
    amount: Decimal
    traded_ns: int
    instrument: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    commission: Decimal | None = None
    fees: Decimal | None = None
    financing: Decimal | None = None
    settled_on: str | None = None
    order_id: str | None = None
    signal_id: str | None = None
    balance_after: Decimal | None = None
    reconciled: bool = False
