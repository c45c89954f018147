"""The settings file as `init` writes it: every key, its default, and what it is for.

`deploy/fillgate.example.toml` is this very text, printed by `python -m cli.template`.
A line with `#` and a space is prose; one with `#` and no space is a setting to switch on.
"""

from __future__ import annotations

from msgspec import Struct

EXAMPLE_DEPLOYMENT = "d-example"
EXAMPLE_OWNER = "o-example"


class Names(Struct, frozen=True, kw_only=True):
    """What differs from one deployment to the next."""

    deployment: str
    owner: str


def render(names: Names) -> str:
    """The whole file."""
    return TEMPLATE.replace("@DEPLOYMENT@", names.deployment).replace("@OWNER@", names.owner)


TEMPLATE = """\
# Fillgate's settings. Every key stands here with its default; what is switched off starts with
# a `#` and no space. Decimals are strings, so that nothing is rounded. Secrets never stand here:
# a connection names the environment variable or the file that holds its token.
# Check this file with `fillgate doctor`. Changes take effect at the next `fillgate up`.

# ------------------------------------------------------------------ deployment
[deployment]
# Ties journal, sockets and processes together. Never change it: the journal belongs to it.
id = "@DEPLOYMENT@"
# Where clients connect. Without TLS only loopback (127.0.0.1 or ::1) is served.
host = "127.0.0.1"
# The port clients connect to; 0 takes a free one.
port = 8765
# Where /healthz, /readyz and /metrics answer, on loopback; 0 takes a free one.
health_port = 8766
# Where REST answers, on the same host; 0 takes a free one.
rest_port = 8767
# Processes that hold client connections; one carries hundreds of clients. 1 to 16.
edges = 1
# debug, info, warning or error; into logs/, one file a process.
log_level = "info"

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
# individual, joint, ira, roth, margin, cash or corporate; some rules depend on it.
account_type = "margin"
# Whose rules the account is under: us, eu, uk, au, jp, sg, ca or other.
region = "us"
# The set of compliance rules: us_forex holds FIFO, no hedging and the NFA deposits.
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

# ------------------------------------------------------------------ compliance
# Limits per order. An order beyond one is denied with the largest that would pass.
[compliance]
# Units of the instrument.
max_quantity = "100000"
# Value in the account's currency.
max_notional = "150000"
# How far a limit price may be worse than the middle of the market, in percent. At most 50.
collar_percent = "2"
# The same for trigger prices of stops, which are meant to be away from it.
stop_collar_percent = "20"
# true refuses prices that far on the harmless side too.
collar_both_sides = false
# The same order again within this time is a mistake; 0 turns the guard off.
duplicate_window_ms = 500
# How old a price may be for the order's own instrument. At most 60000.
quote_age_ms_max = 5000
# How old a price may be that values other holdings. At most 3600000.
valuation_age_ms_max = 60000
# A legal rule whose source nobody has read for so many days refuses opening orders.
confirmation_days_max = 400
# Whether orders that only reduce a position pass a halt.
exits_pass_halts = false
# Whether an order with an unknown outcome stops new risk in its instrument and account.
blocks_on_unknown = true
# NFA 2-43(b): whether naming a lot to close counts as the customer's instruction.
lot_close_is_instructed = true

# Raises the NFA security deposit of a currency, in percent (never below the rule's own).
[compliance.security_deposits]
#MXN = "12"

# Another set of rules for an account than its connection says, by account.
[compliance.regimes]
#oanda-paper = "us_forex"

# Symbols nobody may trade. Repeat the section for each.
#[[compliance.restricted]]
#symbol = "USD/TRY"
#reason = "not traded by this desk"
# Whether orders that only reduce a position in it pass.
#exits_pass = true

# Halts in force from the start. Halts at run time are journal records (`halt` in the protocol).
#[[compliance.halts]]
#type = "halted"
# all, owner, account, connection, instrument or tag.
#scope = "instrument"
# The member of the scope; "*" for all.
#subject = "USD/MXN"
#by = "operations"
#reason = "thin market"

# ------------------------------------------------------------------ gateway
# How clients are served. Times in milliseconds.
[gateway]
# Browser origins that may connect, exactly as sent, such as "https://desk.example".
origins = []
# Open sockets at once, over all and by token.
connections_max = 1000
connections_per_token_max = 16
# An idle connection gets a heartbeat with the heads of its streams this often.
heartbeat_ms = 1000
# How long the upgrade, the login, an answer and a close may take.
open_timeout_ms = 3000
login_timeout_ms = 10000
answer_timeout_ms = 30000
close_timeout_ms = 2000
# WebSocket pings to a silent client, and when it counts as gone.
ping_ms = 5000
silence_ms_max = 15000

# Announced to clients in `hello`. Rates are per session.
[gateway.limits]
# One message, in bytes.
message_bytes_in_max = 65536
message_bytes_out_max = 1048576
# What may wait for a slow reader before it is closed with 4008; nothing is lost.
unsent_bytes_max = 4194304
# New orders and amends.
commands_per_s = 1000
commands_burst = 2000
# Cancels have their own.
cancels_per_s = 500
cancels_burst = 1000
# Everything else.
requests_per_s = 200
requests_burst = 400
# Requests without an answer yet.
in_flight_max = 2000
# Streams and instruments followed.
streams_max = 64
quotes_max = 500
# Bad messages before the connection is closed.
bad_messages_max = 100

# ------------------------------------------------------------------ journal
# The append-only log that holds the truth. Sizes in bytes.
[journal]
# local keeps files in this home; postgres keeps tables in a database, so that a router may move
# to another machine. Choose before `fillgate init`: docs/operating.md, "PostgreSQL journal".
backend = "local"
# One file of it. 1 MiB to 1 GiB.
segment_bytes = 67108864
# The end of a file that only cancels may use, for a full disk.
reserve_bytes = 1048576
# Old snapshots kept, for a quicker start.
snapshots_kept = 2
# Whether the next file is made ready ahead of time, by a thread.
prepare_in_background = true
# For postgres: the environment variable, or the file, that holds the database's URL.
#url_env = "FILLGATE_JOURNAL_URL"
#url_file = "/run/secrets/journal_url"
# For postgres: the schema that holds the journal's tables and nothing else.
schema = "fillgate_journal"
# For postgres: a router not heard of for so long may be replaced. 1000 to 60000.
lease_ms = 3000
# For postgres: how long a commit waits for a server that went away. 100 to 20000.
patience_ms = 10000

# ------------------------------------------------------------------ store
# The relational store that lists, reports and long replays are read from. The journal makes it.
[store]
# Another database than a SQLite file in the home; one with a password goes into the environment.
#url = "postgresql://fillgate@127.0.0.1/fillgate"
# The environment variable that holds the URL instead.
#url_env = "FILLGATE_STORE_URL"
# Records a transaction takes at most. 1 to 10000.
batch_records = 500
# How long it waits for more of them; a read that needs one does not wait. 0 to 1000.
gather_ms = 1000

# ------------------------------------------------------------------ ray
# Ray places, watches and restarts the actors; no order passes through it.
[ray]
# Memory for its object store, which we do not use. At least 75.
object_store_mib = 80
# How many CPUs it may count with; our actors ask for none.
cpus = 16
# An existing cluster to use instead of one of our own, such as "127.0.0.1:6379".
#address = "127.0.0.1:6379"
"""

if __name__ == "__main__":
    print(render(Names(deployment=EXAMPLE_DEPLOYMENT, owner=EXAMPLE_OWNER)), end="")
