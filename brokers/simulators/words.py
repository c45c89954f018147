"""The engine's own words. No broker's: each dialect translates them by a complete table."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """What kind of order it is. The guards hang on an open lot and can only close it."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    IF_TOUCHED = "if_touched"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    STOP_LIMIT = "stop_limit"
    TRAIL = "trail"


GUARDS = (Kind.TAKE_PROFIT, Kind.STOP_LOSS, Kind.TRAILING_STOP)
NET_KINDS = frozenset({Kind.STOP_LIMIT, Kind.TRAIL})
"""Kinds of netting books alone: orders by themselves, which no lot carries."""


class Life(Enum):
    """How long an order works."""

    GTC = "gtc"
    GTD = "gtd"
    DAY = "day"
    FOK = "fok"
    IOC = "ioc"
    OPENING = "opening"
    CLOSING = "closing"


NET_LIVES = frozenset({Life.OPENING, Life.CLOSING})
"""Lives of netting books alone: until one auction is over."""


class Netting(Enum):
    """What a fill does to the lots already open."""

    DEFAULT = "default"
    REDUCE_FIRST = "reduce_first"
    REDUCE_ONLY = "reduce_only"
    OPEN_ONLY = "open_only"


class Watch(Enum):
    """Which price triggers. DEFAULT is ask for a buy and bid for a sale, INVERSE the other."""

    DEFAULT = "default"
    INVERSE = "inverse"
    BID = "bid"
    ASK = "ask"
    MID = "mid"


class State(Enum):
    """Where an order is in its life."""

    WORKING = "working"
    FILLED = "filled"
    CANCELED = "canceled"


class Stage(Enum):
    """How far a working order of a netting book has come; the others are always ROUTED.

    QUEUED waits for the market to open, HELD for another order to fill. ARMED is watched, and
    told to be held: it is sent once its stop is reached. PENDING is booked and not yet sent.
    """

    ROUTED = "routed"
    QUEUED = "queued"
    HELD = "held"
    ARMED = "armed"
    PENDING = "pending"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    DONE_FOR_DAY = "done_for_day"


class Role(Enum):
    """What an order is in its group: by itself, the entry, or one of its two exits."""

    SINGLE = "single"
    ENTRY = "entry"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


EXITS = (Role.TAKE_PROFIT, Role.STOP_LOSS)


class Cause(Enum):
    """Why an order was made."""

    CLIENT = "client"
    REPLACEMENT = "replacement"
    ON_FILL = "on_fill"
    LOT_CLOSE = "lot_close"
    POSITION_CLOSE = "position_close"
    MARGIN_CLOSEOUT = "margin_closeout"


class Part(Enum):
    """Which part of an order a refusal is about."""

    ORDER = "order"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"


class Why(Enum):
    """Why an order was refused, or ended without filling whole."""

    ACCOUNT_LOCKED = "account_locked"
    INSTRUMENT_UNKNOWN = "instrument_unknown"
    INSTRUMENT_CLOSED = "instrument_closed"
    PRICE_UNKNOWN = "price_unknown"
    UNITS_INVALID = "units_invalid"
    UNITS_PRECISION = "units_precision"
    UNITS_MAXIMUM = "units_maximum"
    UNITS_MINIMUM = "units_minimum"
    PRICE_MISSING = "price_missing"
    PRICE_INVALID = "price_invalid"
    PRICE_PRECISION = "price_precision"
    BOUND_INVALID = "bound_invalid"
    BOUND_PRECISION = "bound_precision"
    DISTANCE_MISSING = "distance_missing"
    DISTANCE_INVALID = "distance_invalid"
    DISTANCE_PRECISION = "distance_precision"
    DISTANCE_MINIMUM = "distance_minimum"
    DISTANCE_MAXIMUM = "distance_maximum"
    PRICE_AND_DISTANCE = "price_and_distance"
    PRICE_OR_DISTANCE = "price_or_distance"
    LIFE_INVALID = "life_invalid"
    EXPIRY_MISSING = "expiry_missing"
    EXPIRY_PAST = "expiry_past"
    CLIENT_ID_INVALID = "client_id_invalid"
    CLIENT_ID_TAKEN = "client_id_taken"
    CLIENT_LOT_ID_TAKEN = "client_lot_id_taken"
    ORDERS_MAXIMUM = "orders_maximum"
    ORDER_UNKNOWN = "order_unknown"
    REPLACEMENT_INVALID = "replacement_invalid"
    LOT_UNKNOWN = "lot_unknown"
    LOT_UNITS_EXCEEDED = "lot_units_exceeded"
    GUARD_EXISTS = "guard_exists"
    GUARD_BREAKS_FIFO = "guard_breaks_fifo"
    POSITION_UNKNOWN = "position_unknown"
    POSITION_UNITS_EXCEEDED = "position_units_exceeded"
    CLOSE_INCOMPLETE = "close_incomplete"
    LABEL_MISSING = "label_missing"
    MARGIN_RATE_INVALID = "margin_rate_invalid"
    CONFIGURATION_MISSING = "configuration_missing"
    REQUESTED = "requested"
    REPLACED = "replaced"
    MARKET_CLOSED = "market_closed"
    LOT_CLOSED = "lot_closed"
    EXPIRED = "expired"
    MARGIN = "margin"
    FIFO = "fifo"
    FIFO_TWIN = "fifo_twin"
    FIFO_TWIN_AFTER_CUT = "fifo_twin_after_cut"
    BOUND = "bound"
    LIQUIDITY = "liquidity"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    LOSS_AT_ONCE = "loss_at_once"
    GROUP_ENDED = "group_ended"
    AUCTION_OVER = "auction_over"
    REPLACE_REJECTED = "replace_rejected"


NET_WHYS = frozenset({Why.GROUP_ENDED, Why.AUCTION_OVER, Why.REPLACE_REJECTED})
"""Reasons of netting books alone."""
