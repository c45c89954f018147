"""The settings file as `init` writes it: every key, its default, and what it is for.

`deploy/fillgate.example.toml` is this very text, printed by `python -m cli.template`.
A line with `#` and a space is prose; one with `#` and no space is a setting to switch on.
"""

from __future__ import annotations

from msgspec import Struct

from cli.template_limits import LIMITS

EXAMPLE_DEPLOYMENT = "d-example"
EXAMPLE_OWNER = "o-example"


class Names(Struct, frozen=True, kw_only=True):
    """What differs from one deployment to the next."""

    deployment: str
    owner: str


def render(names: Names) -> str:
    """The whole file."""
    return TEMPLATE.replace("@DEPLOYMENT@", names.deployment).replace("@OWNER@", names.owner)


TEMPLATE = (
    """\
# Fillgate's settings. Every key stands here with its default; what is switched off starts with
# a `#` and no space. Decimals are strings, so that nothing is rounded. Secrets never stand here:
# a connection names the environment variable or the file that holds its token.
# Check this file with `fillgate doctor`. Changes take effect at the next `fillgate up`, or `roll`.

# ------------------------------------------------------------------ deployment
[deployment]
# Ties journal, sockets and processes together. Never change it: the journal belongs to it.
id = "@DEPLOYMENT@"
# Where clients connect. Without TLS only loopback (127.0.0.1 or ::1) is served, unless
# plaintext says otherwise: everybody on the way can then read tokens and orders.
host = "127.0.0.1"
plaintext = false
# The port clients connect to; 0 takes a free one.
port = 8765
# Where /healthz, /readyz and /metrics answer, on loopback; 0 takes a free one.
health_port = 8766
# Where REST answers, on the same host; 0 takes a free one.
rest_port = 8767
# Processes that hold client connections; one carries hundreds of clients. 1 to 16.
edges = 1
# Processes that wait for each role, ready to go on when the one that has it dies: 1 makes of the
# second or two of a restart a tenth, for some 150 MB a role. 0 to 3.
standbys = 0
# A role restarted more often than this within a minute may only cancel, until a person resumes it.
restarts_max = 5
# debug, info, warning or error; into logs/, one file a process.
log_level = "info"

# TLS 1.2 or newer for WebSocket and REST. PEM files; new ones are served as soon as they are
# there, and sessions go on. `name` and `ca` are for the tools on this machine: whom the
# certificate is for, and who signed it where the system does not know.
#[deployment.tls]
#certificate = "/etc/fillgate/tls.crt"
#key = "/etc/fillgate/tls.key"
#name = "gateway.example"
#ca = "/etc/fillgate/ca.crt"

# ------------------------------------------------------------------ owners
# Whom orders and accounts belong to, by pseudonym: the journal knows no names.
[[owners]]
id = "@OWNER@"

# ------------------------------------------------------------------ connections
# One login at one broker for one account. Repeat the section for each.
[[connections]]
# Our name for it, in the journal and on the streams. Keep it.
id = "oanda-paper"
# One of [[owners]].
owner = "@OWNER@"
# The broker's dialect. Known: oanda, alpaca.
broker = "oanda"
# The account's id at the broker.
broker_account_id = "101-001-1000001-001"
# Our name for the account, in orders and on the streams. Keep it.
account = "oanda-paper"
# paper or live. With live real money moves: read docs/operating.md first.
environment = "paper"
# individual, joint, ira, roth, margin, portfolio_margin, cash or corporate. Rules for stocks are
# for margin, portfolio_margin, cash, ira and roth: another type may only reduce positions.
account_type = "margin"
# Whose rules the account is under: us, eu, uk, au, jp, sg, ca or other.
region = "us"
# The set of compliance rules: us_forex holds FIFO, no hedging and the NFA deposits; us_stocks day
# trading, intraday margin or settled cash, by account type, broker and date.
regime = "us_forex"
# The account's currency.
currency = "USD"
# A name for people.
label = "Paper trading on this machine"
# The paper broker to use instead of a real one: an id of [[simulators]]. With a simulator no
# token is needed; remove this line for a real broker and set one of the two below.
simulator = "paper"
# The environment variable that holds the broker's token (Alpaca: KEY_ID:SECRET).
#token_env = "OANDA_TOKEN"
# Or the file that holds it; readable by this user alone.
#token_file = "oanda.token"
# Other hosts than the broker's own, for a proxy or a simulator run elsewhere.
#api_url = "http://127.0.0.1:8081"
#stream_url = "http://127.0.0.1:8081"
# Which of the broker's data feeds to follow; empty means its first. Alpaca: iex or sip.
feed = ""
# What to stream prices of always. Beside these: what clients watch, what is ordered or held, and
# the pairs that value it. Empty means all that the broker lists, where those are 500 at most.
instruments = []
# Orders that may be under way at once; more wait as READY and can still be canceled. 1 to 1000.
credits = 64
# HTTP connections kept to the broker. 1 to 64.
sessions = 64
# How long an answer may take before the outcome counts as unknown. 50 to 60000.
answer_timeout_ms = 2000
# How long the broker may take to show an order in lookups. 0 to 60000.
visibility_horizon_ms = 2000
# Orders, amends or cancels in a row without an answer (or with a 5xx) after which no new order is
# taken; cancels pass. 1 to 1000000.
breaker_failures = 5
# How long that lasts; then the account is read, and orders are taken again if that goes well, or
# when an operator says `fillgate breaker reset`. 100 to 3600000.
breaker_open_ms = 60000
# Requests a minute to keep below, in place of the broker's published limit: at least 10, or 0 for
# no limit. A paper broker counts only where its section says `limits = true`.
#requests_per_minute = 6000

# Shares and coins, in another dialect.
[[connections]]
id = "alpaca-paper"
owner = "@OWNER@"
broker = "alpaca"
broker_account_id = "PA0000000001"
account = "alpaca-paper"
regime = "house"
label = "Paper trading of shares and coins on this machine"
simulator = "paper-alpaca"

# ------------------------------------------------------------------ simulators
# A paper broker that runs beside the gateway and keeps its book in paper/.
[[simulators]]
# Named by a connection's `simulator`.
id = "paper"
# The dialect it speaks: oanda or alpaca. Its connections' broker must be the same.
broker = "oanda"
# Where it listens, on loopback; 0 takes a free one.
port = 0
# What its generated prices grow from: equal seeds, equal prices.
seed = 7
# A CSV file of ticks, or a folder of them, to replay instead (ts_utc_ns,instrument,bid,ask).
#ticks = "ticks"
# How fast the market runs: 1.0 as recorded, 10.0 ten times as fast, 0 as fast as it can.
speed = 1.0
# The money a new paper account starts with, in its currency.
balance = 100000
# Broker account ids to open beside those of the connections, for other programs to trade.
accounts = []
# always: the market never closes. market: the broker's own hours, on its own clock.
hours = "always"
# true: too many requests are answered with 429, as the broker would.
limits = false

# ------------------------------------------------------------------ signals
# What a strategy's signals mean (`POST /api/v1/signals`, `signal.new`). Repeat the section for
# each strategy; a signal goes to the first whose `match` holds.
[[signals]]
# Names the rule in refusals.
name = "example"
# The account that trades: a connection's `account`.
account = "oanda-paper"
# Fields of the signal that must hold exactly these texts.
match = { strategy = "example" }
# The signal's words, and ours. An instrument's own symbol needs no entry.
instruments = { EURUSD = "EUR/USD", USDJPY = "USD/JPY" }
# Ours: buy, sell, reduce, close, reverse. Without an entry the signal says ours.
actions = {}
# market, limit or stop; the last two take the signal's price.
order_type = "market"
# Default: the soonest the broker takes for market orders, else gtc.
#time_in_force = "fok"
# A name for its orders, to list or cancel them by.
#tag = "example"
# An order that was not sent after so many milliseconds dies unsent.
#valid_for_ms = 2000
# A signal older than so many milliseconds, by its field `sent_at`, is refused.
#age_ms_max = 30000
# Fields that may be there and mean nothing; any other unknown field is refused.
ignored = []

# How large. fixed: `value` units. signal: its own quantity. equity_percent: worth `value` percent
# of equity. risk_percent: so large that the stop_loss would lose `value` percent of equity.
[signals.sizing]
by = "fixed"
value = "1000"
# Never more units than this.
#max = "10000"

# What guards the position. signal: the signal's own price. pips, percent: `value` from the entry.
#[signals.stop_loss]
#by = "pips"
#value = "20"
#[signals.take_profit]
#by = "pips"
#value = "40"
# Follows the price; in pips or percent.
#[signals.trailing]
#by = "pips"
#value = "30"

# What the signal calls its fields.
[signals.fields]
id = "id"
symbol = "symbol"
action = "action"
quantity = "quantity"
price = "price"
stop_loss = "stop_loss"
take_profit = "take_profit"
sent_at = "sent_at"

[[simulators]]
id = "paper-alpaca"
broker = "alpaca"

"""
    + LIMITS
)

if __name__ == "__main__":
    print(render(Names(deployment=EXAMPLE_DEPLOYMENT, owner=EXAMPLE_OWNER)), end="")
