"""The second half of the settings file that `init` writes: what may be done, and how much of it."""

LIMITS = """\
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

# How many times a leveraged fund moves with its index, by symbol: so many times the maintenance.
[compliance.leveraged_funds]
#TQQQ = "3"

# What is known of an account that its trading here does not tell, a section for each.
[compliance.account_facts]
#[compliance.account_facts.alpaca-paper]
# What the broker has it as; absent, it is found by counting.
#is_pattern_day_trader = false
# direction, opening or closing: how the broker counts day trades; absent, as is known of it.
#count_method = "direction"
# Whether an unmet intraday deficit counts as a practice of failing, which freezes the account.
#assumes_practice = true
# The last day of a freeze or restriction the broker announced.
#frozen_until = 2026-12-31
# Days of good-faith and liquidation violations in the last year.
#missteps = [2026-11-02]

# Symbols nobody may trade. Repeat the section for each.
#[[compliance.restricted]]
#symbol = "USD/TRY"
#reason = "not traded by this desk"
# Whether orders that only reduce a position in it pass.
#exits_pass = true

# Halts in force from the start. Halts at run time are journal records (`halt` in the protocol).
#[[compliance.halts]]
#type = "halted"
# all, owner, account, connection, broker, instrument or tag.
#scope = "instrument"
# The member of the scope; "*" for all.
#subject = "USD/MXN"
#by = "operations"
#reason = "thin market"

# Limits over a while and over many accounts. A limit that is commented out is not asked.
[compliance.market]
# New orders, amends and cancels of an account in a second; cancels are never refused. 0: no limit.
messages_per_s_max = 2000
# What may pass in one instrument and direction within a window.
window_ms = 60000
#window_quantity_max = "1000000"
#window_notional_max = "1000000"
# So many orders of one strategy (tag) filled whole within the window halt it. 0: no limit.
repeats_max = 0
repeats_window_ms = 60000
# Whether an order that would meet the owner's own resting order is refused.
prevents_self_trades = true
# What may be held and under way, by owner and over all, in one currency.
#customer_credit_max = "1000000"
#firm_credit_max = "5000000"
credit_currency = "USD"
# An account's loss of a day, in its currency, and its fall from its highest equity: no new risk.
#daily_loss_max = "1000"
#drawdown_percent_max = "20"
# Accounts with the market maker's exception to locates (Reg SHO).
market_makers = []

# Accounts of other than retail clients: professional or accredited.
[compliance.market.clients]
#oanda-paper = "professional"

# CIRO's group of a currency, 1 to 4; one that is not known counts as 4.
[compliance.market.currency_groups]
#EUR = 1

# Who may trade, and what. While there is no such section every owner may. Repeat it for each.
#[[compliance.market.authorized]]
#owner = "desk"
#asset_classes = ["equity", "etf"]
#instruments = ["AAPL"]

# What is known of a US stock; without it nothing can be sold short. Repeat it for each.
#[[compliance.market.securities]]
#symbol = "AAPL"
# Its tier in the LULD plan, and the multiple of a leveraged product.
#tier = 1
#leverage = 1
#prior_close = "230.00"
# The LULD reference price and band, where they are published; else they are computed.
#reference = "231.00"
#band_low = "219.45"
#band_high = "242.55"
# When they were published (UTC, ns): they hold for that day's session, without it for any time.
#band_ns = 1795194000000000000
# The last sale in regular hours, and when (UTC, ns).
#last_sale = "231.10"
#at_ns = 1795194000000000000
#is_paused = false
# The day a fall of 10 % restricted short sales (Rule 201).
#restricted_from = 2026-11-20
#easy_to_borrow = true
# How much was located to borrow, and for which day.
#located = "1000"
#located_on = 2026-11-20
# A fail that is not closed out yet: no short sale without borrowing first (Rule 204).
#must_preborrow = false

# What people are told of after the trade, and nobody is refused for. Shares are parts of one.
[compliance.suspicion]
# Spoofing: so many orders of the other side, and such a share of all of them, taken back within so
# long of their placing and so near a fill. They must add up to so many times the fill.
cancels_min = 5
cancel_share = "0.9"
cancel_life_ms = 5000
window_ms = 60000
size_times = "10"
# Layering: orders of the other side at so many prices, taken back within so long of a fill.
layers = 3
layer_life_ms = 5000
# Wash trades: so many within so long that left the position as it was, in the same sizes there and
# back, and the money but for this percent of what was traded.
wash_trades = 10
wash_window_ms = 60000
wash_net_percent = "0.0005"
wash_same_sizes = true
# Marking the close: more than such a share of the day's volume within so long of the close.
close_share = "0.1"
close_window_ms = 3600000
# Words for a cancel that excuse it.
allowed_reasons = []

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
# How long an edge that is told to end waits for the answers under way.
drain_ms_max = 2000
# WebSocket pings to a silent client, and when it counts as gone: it answered none, or it takes
# none of the bytes that wait for it (it is then closed with 4008).
ping_ms = 1000
silence_ms_max = 3000
stopped_ms_max = 15000

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
# to another machine. Choose before `fillgate init`: docs/operating/postgres.md.
backend = "local"
# One file of it. 1 MiB to 1 GiB.
segment_bytes = 67108864
# For a full disk: the end of the last file, kept for cancels and for what brokers tell. Some 1000
# bytes a record, two or three records a cancel. At most half of segment_bytes.
reserve_bytes = 16777216
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
batch_records = 2000
# How long it waits for more of them; a read that needs one does not wait. 0 to 1000.
gather_ms = 1000

# ------------------------------------------------------------------ audit
# The audit log (audit/ in the home) is made from the journal; audit-heads.jsonl proves it.
[audit]
# A second place for the heads, best on another disk or machine: a copy nobody here can change.
#heads_file = "/mnt/elsewhere/audit-heads.jsonl"
# Syslog too: a socket's path, or HOST:PORT for UDP.
#syslog = "/dev/log"
# A head is made after so many records at the latest. 1 to 100000.
head_records = 1000
# And so long after a record at the latest. 10 to 60000.
head_ms = 1000

# ------------------------------------------------------------------ alarms
# Who is told when something is wrong: `fillgate alarms list` shows the catalogue.
[alarms]
# The file, or the environment variable, that holds addresses, one a line; they are secrets.
# A webhook is json://host/path, an e-mail mailtos://user@host; docs/operating/alarms.md has more.
#urls_file = "notices.urls"
#urls_env = "FILLGATE_NOTICES"
# Told again while it stands, in seconds; 0: told once. Critical ones, and warnings.
repeat_critical_s = 900
repeat_warning_s = 14400

# ------------------------------------------------------------------ traces
# OpenTelemetry spans of every so-many-th order, by OTLP over HTTP; no endpoint: no traces.
[traces]
#endpoint = "http://127.0.0.1:4318/v1/traces"
one_in = 100

# ------------------------------------------------------------------ ray
# Ray places, watches and restarts the actors; no order passes through it.
[ray]
# Memory for its object store, which we do not use. At least 75.
object_store_mib = 80
# How many CPUs it may count with; our actors ask for none.
cpus = 16
# All of its ports are this one and the next 199, where several machines share it; with 0 they are
# any free ones, on loopback.
first_port = 0
# An existing cluster to use instead of one of our own, such as "127.0.0.1:6379".
#address = "127.0.0.1:6379"

# ------------------------------------------------------------------ several machines
# Each machine has a home with these settings, of which only [cluster] differs. The first one of
# [[nodes]] is Ray's head. All run every role; what trades is on one of them (docs/operating.md).
#[cluster]
# Which of [[nodes]] this home is for.
#node = "n1"
# The certificate authority of the nodes alone; and this node's certificate, which names its id.
#ca_file = "nodes-ca.crt"
#cert_file = "n1.crt"
#key_file = "n1.key"
# Ray's token, the same on all of them: 64 hexadecimal digits, mode 0600.
#ray_token_file = "ray.token"

#[[nodes]]
# Its name, also in its certificate.
#id = "n1"
# Where the others reach it.
#host = "10.0.0.1"
# Its bridge's port, for the other nodes alone.
#port = 8770
"""
