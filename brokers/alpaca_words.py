"""Alpaca's words and what they mean to us: complete tables, proved against the published spec.

Spec: Trading API v2 (alpacahq), and the documented events of the `trade_updates` stream.
"""

from __future__ import annotations

from enum import Enum

from domain.accounts import AccountStatus
from domain.instruments import AssetClass
from domain.orders import OrderType, PositionEffect, Side, TimeInForce
from domain.transactions import TransactionType

T = TimeInForce
K = OrderType


class News(Enum):
    """What a word says of an order, beside that the order exists."""

    WORKS = "works"
    """It is known, and nothing has ended."""
    WAITS = "waits"
    """It is known and does not work yet: the child of an entry that has not filled."""
    COMES = "comes"
    """Taken, but maybe not at the exchange: a replacement in this state has replaced nothing."""
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    CANCEL_REFUSED = "cancel_refused"
    AMEND_REFUSED = "amend_refused"


N = News
EVENT: dict[str, News] = {
    "accepted": N.COMES,
    "pending_new": N.COMES,
    "new": N.WORKS,
    "partial_fill": N.FILLED,
    "fill": N.FILLED,
    "canceled": N.CANCELED,
    "expired": N.EXPIRED,
    "rejected": N.REJECTED,
    "replaced": N.REPLACED,
    "pending_cancel": N.WORKS,
    "pending_replace": N.WORKS,
    "order_cancel_rejected": N.CANCEL_REFUSED,
    "order_replace_rejected": N.AMEND_REFUSED,
    "done_for_day": N.WORKS,
    "stopped": N.WORKS,
    "suspended": N.WORKS,
    "calculated": N.WORKS,
}
"""`event` of a trade update."""

FOR_PEOPLE = frozenset({"restated", "trade_bust", "trade_correct"})
"""Events that take back or change what was told: a break each, and the account read again."""
assert not FOR_PEOPLE & EVENT.keys()

STATUS: dict[str, News] = {
    "accepted": N.COMES,
    "pending_new": N.COMES,
    "accepted_for_bidding": N.COMES,
    "held": N.WAITS,
    "new": N.WORKS,
    "partially_filled": N.WORKS,
    "filled": N.WORKS,  # Its fills are told by the activities, each with its own price.
    "done_for_day": N.WORKS,
    "calculated": N.WORKS,
    "stopped": N.WORKS,
    "suspended": N.WORKS,
    "pending_cancel": N.WORKS,
    "pending_replace": N.WORKS,
    "canceled": N.CANCELED,
    "expired": N.EXPIRED,
    "rejected": N.REJECTED,
    "replaced": N.REPLACED,
}
"""OrderStatus of the spec."""

ENDED = frozenset({N.CANCELED, N.EXPIRED, N.REJECTED})

ORDER_TYPE: dict[str, OrderType] = {
    "market": K.MARKET,
    "limit": K.LIMIT,
    "stop": K.STOP,
    "stop_limit": K.STOP_LIMIT,
    "trailing_stop": K.TRAILING_STOP,
}
TYPE = {ours: theirs for theirs, ours in ORDER_TYPE.items()}
assert TYPE.keys() == set(OrderType) - {K.MARKET_IF_TOUCHED}

TIME_IN_FORCE: dict[str, TimeInForce] = {
    "day": T.DAY,
    "gtc": T.GTC,
    "opg": T.OPG,
    "cls": T.CLS,
    "ioc": T.IOC,
    "fok": T.FOK,
}
TIME = {ours: theirs for theirs, ours in TIME_IN_FORCE.items()}
assert TIME.keys() == set(TimeInForce) - {T.GTD}

SIDE: dict[str, Side] = {
    "buy": Side.BUY,
    "sell": Side.SELL,
    "sell_short": Side.SELL_SHORT,
}
"""Orders know buy and sell; activities may say sell_short of a fill that opens a short."""

SIDE_WORD = {
    Side.BUY: "buy",
    Side.SELL: "sell",
    Side.SELL_SHORT: "sell",
    Side.BUY_TO_COVER: "buy",
}
assert SIDE_WORD.keys() == set(Side)

OPENS = {True: "buy_to_open", False: "sell_to_open"}
CLOSES = {True: "buy_to_close", False: "sell_to_close"}
"""`position_intent` by whether the order buys. Alpaca refuses an order that is not what it says."""
EFFECT: dict[PositionEffect, dict[bool, str] | None] = {
    PositionEffect.NET: None,
    PositionEffect.OPEN_ONLY: OPENS,
    PositionEffect.REDUCE_ONLY: CLOSES,
    PositionEffect.REDUCE_FIRST: None,
}
assert EFFECT.keys() == set(PositionEffect)

TIMES: dict[AssetClass, dict[OrderType, frozenset[TimeInForce]]] = {
    AssetClass.EQUITY: {
        K.MARKET: frozenset({T.DAY, T.GTC, T.OPG, T.CLS, T.IOC, T.FOK}),
        K.LIMIT: frozenset({T.DAY, T.GTC, T.OPG, T.CLS, T.IOC, T.FOK}),
        K.STOP: frozenset({T.DAY, T.GTC}),
        K.STOP_LIMIT: frozenset({T.DAY, T.GTC}),
        K.TRAILING_STOP: frozenset({T.DAY, T.GTC}),
    },
    AssetClass.CRYPTO: {
        K.MARKET: frozenset({T.GTC, T.IOC}),
        K.LIMIT: frozenset({T.GTC, T.IOC}),
        K.STOP_LIMIT: frozenset({T.GTC, T.IOC}),
    },
}
"""What each class of asset takes."""

ASSET_CLASS = {"us_equity": AssetClass.EQUITY, "crypto": AssetClass.CRYPTO}
"""The classes traded here. Assets of others are passed over."""

ACCOUNT_STATUS: dict[str, AccountStatus] = {
    "ACTIVE": AccountStatus.ACTIVE,
    "PAPER_ONLY": AccountStatus.ACTIVE,
    "ACCOUNT_CLOSED": AccountStatus.CLOSED,
    **dict.fromkeys(
        (
            "INACTIVE", "ONBOARDING", "SUBMISSION_FAILED", "SUBMITTED", "ACCOUNT_UPDATED",
            "APPROVAL_PENDING", "REJECTED", "APPROVED", "ACCOUNT_CLOSED_PENDING",
            "ACTION_REQUIRED", "LIMITED",
        ),
        AccountStatus.RESTRICTED,
    ),
}  # fmt: skip
"""AccountStatus of the spec; only these two let an account trade freely."""

M = TransactionType
ACTIVITY: dict[str, TransactionType | None] = {
    "ACATC": M.TRANSFER,
    "ACATS": M.TRANSFER,
    "CFEE": M.FEE,
    "CGD": M.DIVIDEND,
    "CSD": M.DEPOSIT,
    "CSW": M.WITHDRAWAL,
    "DIV": M.DIVIDEND,
    "DIVCGL": M.DIVIDEND,
    "DIVCGS": M.DIVIDEND,
    "DIVFEE": M.FEE,
    "DIVFT": M.TAX,
    "DIVNRA": M.TAX,
    "DIVROC": M.DIVIDEND,
    "DIVTW": M.TAX,
    "DIVTXEX": M.DIVIDEND,
    "FEE": M.FEE,
    "FOPT": M.TRANSFER,
    "INT": M.INTEREST,
    "INTNRA": M.TAX,
    "INTTW": M.TAX,
    "JNL": M.TRANSFER,
    "JNLC": M.TRANSFER,
    "JNLS": M.TRANSFER,
    "MA": M.MERGER,
    "NC": None,
    "OPASN": M.ASSIGNMENT,
    "OPCA": None,
    "OPCSH": M.ASSIGNMENT,
    "OPEXC": M.EXERCISE,
    "OPEXP": M.EXPIRY,
    "OPTRD": None,
    "PTC": M.FEE,
    "PTR": M.FEE,
    "REORG": M.CONVERSION,
    "SPIN": M.SPIN_OFF,
    "SPLIT": M.SPLIT,
    # Older names, still in the account's history.
    "OPXRC": M.EXERCISE,
    "SC": None,
    "SSO": M.SPIN_OFF,
    "SSP": M.SPLIT,
}
"""ActivityType of the spec but FILL and the two groups; None moves neither money nor holdings
of its own: a name changes, or a trade that has its own entry."""

GROUPS = frozenset({"FILL", "TRANS", "MISC"})
assert not GROUPS & ACTIVITY.keys()

HALTS = {"2": True, "3": False, "H": True, "P": True, "Q": True, "T": False}
"""`sc` of a status message: whether the symbol is halted after it. CTA says 2 and 3, UTP the
letters; quotes resume (Q) before trading does (T)."""

SHORT_RESTRICTED = "E"
"""`sc` of CTA's word on Rule 201. Whether it begins, goes on or ends is not told: the careful
reading is that it holds from that date."""
