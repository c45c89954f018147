"""OANDA v20 messages as the broker sends and takes them; only the fields we read or write.

One flat `Transaction` stands for all 33 types: absent is None. Decimal strings become `Decimal`
at decoding; times stay text until `parse_time`, which keeps their nanoseconds.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct, json

ACRONYMS = {"id": "ID", "pl": "PL", "vwap": "VWAP"}


def wire_name(name: str) -> str:
    """`replaced_by_order_id` as OANDA writes it: replacedByOrderID."""
    if name == "nav":
        return "NAV"
    first, *rest = name.split("_")
    return first + "".join(ACRONYMS.get(part) or part.capitalize() for part in rest)


class Wire(Struct, frozen=True, kw_only=True, rename=wire_name):
    """A message of the broker."""


class Extensions(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """ClientExtensions: our id and the strategy's tag."""

    id: str | None = None
    tag: str | None = None


class Details(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """StopLossDetails, TakeProfitDetails and TrailingStopLossDetails in one."""

    price: str | None = None
    distance: str | None = None
    time_in_force: str | None = None
    client_extensions: Extensions | None = None


class OrderBody(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Any OrderRequest of the spec."""

    type: str
    instrument: str | None = None
    units: str | None = None
    trade_id: str | None = None
    price: str | None = None
    distance: str | None = None
    price_bound: str | None = None
    time_in_force: str | None = None
    gtd_time: str | None = None
    position_fill: str | None = None
    client_extensions: Extensions | None = None
    stop_loss_on_fill: Details | None = None
    take_profit_on_fill: Details | None = None
    trailing_stop_loss_on_fill: Details | None = None


class OrderCall(Wire, frozen=True, kw_only=True):
    """The body of POST /orders and PUT /orders/{id}."""

    order: OrderBody


class TradeOpen(Wire, frozen=True, kw_only=True):
    """A trade a fill opened."""

    trade_id: str
    units: Decimal
    price: Decimal | None = None


class TradeReduce(Wire, frozen=True, kw_only=True):
    """A trade a fill reduced or closed."""

    trade_id: str
    units: Decimal
    price: Decimal | None = None
    realized_pl: Decimal | None = None


class OnFill(Wire, frozen=True, kw_only=True):
    """That a child is made on fill; what it says comes with its own transaction."""


class Transaction(Wire, frozen=True, kw_only=True):
    """Any transaction, and the stream's HEARTBEAT (which alone has no id)."""

    type: str
    time: str
    id: str = ""
    batch_id: str | None = None
    instrument: str | None = None
    units: Decimal | None = None
    price: Decimal | None = None
    distance: Decimal | None = None
    time_in_force: str | None = None
    gtd_time: str | None = None
    reason: str | None = None
    reject_reason: str | None = None
    client_extensions: Extensions | None = None
    stop_loss_on_fill: OnFill | None = None
    take_profit_on_fill: OnFill | None = None
    trailing_stop_loss_on_fill: OnFill | None = None
    replaces_order_id: str | None = None
    intended_replaces_order_id: str | None = None
    order_fill_transaction_id: str | None = None
    trade_id: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    replaced_by_order_id: str | None = None
    full_vwap: Decimal | None = None
    pl: Decimal | None = None
    financing: Decimal | None = None
    commission: Decimal | None = None
    guaranteed_execution_fee: Decimal | None = None
    account_balance: Decimal | None = None
    trade_opened: TradeOpen | None = None
    trades_closed: tuple[TradeReduce, ...] = ()
    trade_reduced: TradeReduce | None = None
    last_transaction_id: str | None = None


class Head(Wire, frozen=True, kw_only=True):
    """Which transaction it is."""

    id: str = ""


class OrderAnswer(Wire, frozen=True, kw_only=True):
    """Every answer to creating, replacing or cancelling an order, good or bad."""

    order_create_transaction: Transaction | None = None
    order_fill_transaction: Transaction | None = None
    order_cancel_transaction: Transaction | None = None
    order_reissue_transaction: Transaction | None = None
    order_reissue_reject_transaction: Transaction | None = None
    replacing_order_cancel_transaction: Transaction | None = None
    order_reject_transaction: Transaction | None = None
    order_cancel_reject_transaction: Transaction | None = None
    error_code: str | None = None
    error_message: str | None = None


class Order(Wire, frozen=True, kw_only=True):
    """An order as it stands; guards have a trade and no units."""

    id: str
    create_time: str
    state: str
    type: str
    instrument: str | None = None
    units: Decimal | None = None
    trade_id: str | None = None
    price: Decimal | None = None
    distance: Decimal | None = None
    time_in_force: str | None = None
    gtd_time: str | None = None
    client_extensions: Extensions | None = None
    stop_loss_on_fill: OnFill | None = None
    take_profit_on_fill: OnFill | None = None
    trailing_stop_loss_on_fill: OnFill | None = None


class LookUpAnswer(Wire, frozen=True, kw_only=True):
    """GET /orders/{specifier}."""

    order: Order


class SinceAnswer(Wire, frozen=True, kw_only=True):
    """GET /transactions/sinceid."""

    transactions: tuple[Transaction, ...]
    last_transaction_id: str


class Trade(Wire, frozen=True, kw_only=True):
    """TradeSummary: one open lot."""

    id: str
    instrument: str
    price: Decimal
    open_time: str
    current_units: Decimal
    take_profit_order_id: str | None = None
    stop_loss_order_id: str | None = None
    trailing_stop_loss_order_id: str | None = None


class PositionSide(Wire, frozen=True, kw_only=True):
    """The long or the short half of a position; a short's units are negative."""

    units: Decimal
    average_price: Decimal | None = None


class HeldPosition(Wire, frozen=True, kw_only=True):
    """A position; OANDA lists closed ones with zero units for their profit."""

    instrument: str
    long: PositionSide
    short: PositionSide
    pl: Decimal | None = None
    unrealized_pl: Decimal | None = None
    margin_used: Decimal | None = None
    financing: Decimal | None = None


class Account(Wire, frozen=True, kw_only=True):
    """The account with everything it holds at one moment."""

    id: str
    currency: str
    balance: Decimal
    last_transaction_id: str
    nav: Decimal
    trades: tuple[Trade, ...]
    positions: tuple[HeldPosition, ...]
    orders: tuple[Order, ...]
    alias: str = ""
    hedging_enabled: bool = False
    margin_rate: Decimal | None = None
    margin_used: Decimal | None = None
    margin_available: Decimal | None = None
    margin_closeout_percent: Decimal | None = None
    withdrawal_limit: Decimal | None = None
    position_value: Decimal | None = None
    pl: Decimal | None = None
    unrealized_pl: Decimal | None = None
    open_position_count: int | None = None
    pending_order_count: int | None = None


class AccountAnswer(Wire, frozen=True, kw_only=True):
    """GET /accounts/{id}."""

    account: Account


class Tradeable(Wire, frozen=True, kw_only=True):
    """The spec's Instrument."""

    name: str
    type: str
    pip_location: int
    display_precision: int
    trade_units_precision: int
    minimum_trade_size: Decimal
    maximum_order_units: Decimal
    minimum_trailing_stop_distance: Decimal | None = None
    margin_rate: Decimal | None = None


class InstrumentsAnswer(Wire, frozen=True, kw_only=True):
    """GET /instruments."""

    instruments: tuple[Tradeable, ...]


class Bucket(Wire, frozen=True, kw_only=True):
    """One price and how many units it is good for."""

    price: Decimal
    liquidity: Decimal | None = None


class Price(Wire, frozen=True, kw_only=True):
    """ClientPrice, and the stream's HEARTBEAT."""

    time: str
    type: str = "PRICE"
    instrument: str = ""
    status: str | None = None
    tradeable: bool | None = None
    bids: tuple[Bucket, ...] = ()
    asks: tuple[Bucket, ...] = ()
    closeout_bid: Decimal | None = None
    closeout_ask: Decimal | None = None


encode = json.Encoder().encode
decode_order_answer = json.Decoder(OrderAnswer).decode
decode_look_up = json.Decoder(LookUpAnswer).decode
decode_since = json.Decoder(SinceAnswer).decode
decode_head = json.Decoder(Head).decode
decode_transaction = json.Decoder(Transaction).decode
decode_account = json.Decoder(AccountAnswer).decode
decode_instruments = json.Decoder(InstrumentsAnswer).decode
decode_price = json.Decoder(Price).decode
