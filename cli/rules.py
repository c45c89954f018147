"""`fillgate rules`: the rule book as data, and what another table would have said of past orders.

They read the rule book and the journal; nothing has to run.
"""

from __future__ import annotations

import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from actors.calendars import build_calendars
from actors.replay import Replay, Screened, Table
from actors.settings import SettingsError, find_journal
from cli.app import HomeOption, JsonOption, rules_app, state_of
from cli.output import console, print_json, say, table, utc
from cli.trouble import Trouble
from compliance.calendar import BusinessCalendar
from compliance.regimes import as_of
from compliance.rule import ALWAYS, RuleCard
from compliance.rulebook import REGIMES
from compliance.rules import RULES
from compliance.settings import ComplianceSettings, find_faults
from domain.screening import RuleOutcome, Ruling
from ledger.places import Reader, reader_of

DAY_S = 86_400
DAY_NS = DAY_S * 1_000_000_000
NOON_S = DAY_S // 2
TableWord = Annotated[str | None, typer.Option(help="A date (2026-06-04), or a settings file.")]


class Difference(Struct, frozen=True, kw_only=True):
    """One order that the two tables see differently: `was` and `would` are the first words."""

    record: int
    at_ns: int
    client_order_id: str
    account: str
    was: Ruling
    would: Ruling


@rules_app.command("list")
def list_rules(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """List every rule with its source, whom it concerns, its dates and when it was confirmed."""
    state = state_of(ctx, home, json)
    rows = [describe(rule.card) for rule in RULES.values()]
    if state.is_json:
        print_json(rows)
        return
    columns = ("rule", "jurisdiction", "from", "to", "confirmed", "citation")
    cells = [[str(row[name] or "") for name in columns] for row in rows]
    console().print(table("", columns, cells))


@rules_app.command("show")
def show(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(help="The rule's id, see `fillgate rules list`.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show one rule whole, and the regimes that ask it."""
    state = state_of(ctx, home, json)
    known = RULES.get(rule)
    if known is None:
        raise Trouble(f"there is no rule {rule}", "see: fillgate rules list", "unknown_rule")
    told = describe(known.card) | {
        "regimes": sorted({row.name for row in REGIMES if rule in row.rules}),
        "does": (known.make.__doc__ or "").strip(),
    }
    if state.is_json:
        print_json(told)
        return
    for name, value in told.items():
        text = ", ".join(value) if isinstance(value, list) else str(value or "-")
        say(f"{name + ':':15}{text}")


def describe(card: RuleCard) -> dict[str, Any]:
    """A card in plain words."""
    return {
        "rule": card.id,
        "citation": card.citation,
        "jurisdiction": card.jurisdiction,
        "accounts": _words(card.account_types),
        "assets": _words(card.asset_classes),
        "sides": _words(card.sides),
        "from": None if card.effective_from == ALWAYS else card.effective_from.isoformat(),
        "to": card.effective_to and card.effective_to.isoformat(),
        "confirmed": card.confirmed_on and card.confirmed_on.isoformat(),
        "opens_only": card.opens_only,
        "warns_only": card.is_warning,
    }


def _words(values: frozenset[Any] | None) -> list[str]:
    return ["all"] if values is None else sorted(value.value for value in values)


@rules_app.command("diff")
def diff(
    ctx: typer.Context,
    to: TableWord = None,
    since: Annotated[str | None, typer.Option("--from", help="The same; default: as then.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Orders of so many days.")] = 7,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Say which of the last days' orders another table would have judged differently."""
    state = state_of(ctx, home, json)
    if to is None:
        raise Trouble("say which table: --to 2027-10-21, or --to other.toml", code="usage")
    tables = (read_table(since), read_table(to))
    reader = reader_of(find_journal(state.paths))
    now_ns = time.time_ns()
    found: list[Difference] = []
    counts: Counter[str] = Counter()
    today = datetime.fromtimestamp(now_ns // 10**9, UTC).date()
    with _records(reader) as records:
        replay = Replay(tables, _calendars(today))
        for screened in replay.run(records, now_ns - days * DAY_NS):
            counts["orders"] += 1
            counts["not_reproduced"] += since is None and not is_reproduced(screened)
            found += differences(screened)
    if state.is_json:
        print_json({**counts, "differences": found})
        return
    for each in found:
        _tell(each)
    say(f"{counts['orders']} orders of {days} days: {len(found)} would be judged differently")
    if counts["not_reproduced"]:
        what = "came to another word then: a margin hung on prices that only the actor saw"
        say(f"{counts['not_reproduced']} of them {what}", "yellow")


def read_table(word: str | None) -> Table:
    """The rules of a date, the settings of a file, or those of then. Raises Trouble."""
    if word is None:
        return Table()
    try:
        day = date.fromisoformat(word)
    except ValueError:
        return Table(settings=_read_settings(Path(word)))
    noon = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + NOON_S
    return Table(planner=as_of(int(noon) * 10**9))


def _read_settings(path: Path) -> ComplianceSettings:
    if not path.exists():
        raise Trouble(f"{path} is no date and no file", "say --to 2027-10-21 or --to other.toml")
    try:
        raw = tomllib.loads(path.read_text()).get("compliance", {})
        settings = msgspec.convert(raw, ComplianceSettings, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as trouble:
        raise SettingsError([f"{path}, [compliance]: {trouble}"]) from None
    if faults := find_faults(settings):
        raise SettingsError(list(faults))
    return settings


def is_reproduced(screened: Screened) -> bool:
    """True where the first table says of each candidate what was said then."""
    for verdict in screened.then:
        account = verdict.candidate.account
        word = first_word(screened.now[0], account)
        now = word.violation.code if word.outcome is RuleOutcome.DENY and word.violation else None
        if now != (verdict.violation.code if verdict.violation else None):
            return False
    return True


def differences(screened: Screened) -> Iterator[Difference]:
    """Per account: where the tables differ in who says no, or in a warning."""
    for account in dict.fromkeys(verdict.candidate.account for verdict in screened.then):
        was, would = (first_word(rulings, account) for rulings in screened.now)
        if (was.outcome, was.rule, _code(was)) != (would.outcome, would.rule, _code(would)):
            yield Difference(
                record=screened.record,
                at_ns=screened.at_ns,
                client_order_id=screened.order.client_order_id,
                account=account,
                was=was,
                would=would,
            )


def first_word(rulings: tuple[Ruling, ...], account: str) -> Ruling:
    """The first denial, else the first warning, else a pass."""
    own = [ruling for ruling in rulings if ruling.account == account]
    for outcome in (RuleOutcome.DENY, RuleOutcome.WARN):
        for ruling in own:
            if ruling.outcome is outcome:
                return ruling
    return Ruling(account=account, rule="", citation="", outcome=RuleOutcome.PASS)


def _code(ruling: Ruling) -> str:
    return ruling.violation.code if ruling.violation is not None else ""


def _tell(each: Difference) -> None:
    say(f"{utc(each.at_ns)}  record {each.record}  {each.client_order_id} in {each.account}")
    for word, ruling in (("was", each.was), ("would be", each.would)):
        what = f"{word:9}{ruling.outcome.value}"
        if ruling.violation is not None:
            what += f"  {ruling.rule}: {ruling.violation.message} ({ruling.citation})"
        say(f"    {what}")


def _calendars(today: date) -> dict[str, BusinessCalendar]:
    return build_calendars({row.name for row in REGIMES}, today)


@contextmanager
def _records(reader: Reader) -> Iterator[Iterator[Any]]:
    out = console(is_error=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("replaying", total=None)
        yield reader.replay(0, lambda done, last: progress.update(task, completed=done, total=last))
