"""`fillgate audit`: every check and act, provably as written. Works with the gateway down."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from msgspec import Struct
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from actors.calendars import build_calendars
from actors.paths import Paths
from actors.replay import Replay, Table
from actors.settings import find_journal, load
from cli.app import HomeOption, JsonOption, audit_app, state_of
from cli.explain import follow_name, touches
from cli.output import console, print_json, say, utc
from cli.story import describe_cause, evidence_lines
from cli.trouble import FAILED, Trouble
from compliance.rulebook import REGIMES
from domain.records import Record
from domain.screening import Ruling
from ledger.audit_format import Head
from ledger.audit_heads import newest, read_heads
from ledger.audit_verification import (
    AuditReport,
    Proof,
    compare,
    prove,
    read_entries,
    verify,
)
from ledger.places import reader_of

HeadsOption = Annotated[
    list[Path] | None, typer.Option("--heads", help="A copy of the heads kept elsewhere; repeat.")
]

decode_entry = msgspec.json.Decoder(Record).decode


class Exported(Struct, frozen=True, kw_only=True):
    """One line of an export: the entry's bytes as they were hashed, and that it is in the log."""

    record: msgspec.Raw
    proof: Proof | None = None


@audit_app.command("verify")
def verify_log(
    ctx: typer.Context,
    heads: HeadsOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check every entry against chain and exported heads, the newest against the journal."""
    state = state_of(ctx, home, json)
    known, faults = _read_heads(state.paths, heads or [])
    with _progress("reading the audit log") as told:
        report = verify(state.paths.audit, known, told)
    if report.after_head and not report.faults:
        after = report.head.size if report.head is not None else 0
        faults = (*faults, *compare(state.paths.audit, reader_of(find_journal(state.paths)), after))
    report = msgspec.structs.replace(report, faults=(*faults, *report.faults))
    if state.is_json:
        print_json(report)
    else:
        _tell_report(report)
    if report.faults:
        raise typer.Exit(FAILED)


@audit_app.command("export")
def export(
    ctx: typer.Context,
    order: Annotated[str | None, typer.Option(help="Only of this order (any id).")] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="The first entry.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="The last entry.")] = None,
    proofs: Annotated[bool, typer.Option(help="With a proof for each entry.")] = True,
    out: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
    heads: HeadsOption = None,
    home: HomeOption = None,
) -> None:
    """Write entries as JSON lines: first the head, then each entry with its proof."""
    state = state_of(ctx, home, True)
    known, _ = _read_heads(state.paths, heads or [])
    head = newest(known)
    if head is None:
        raise Trouble("there is no head to prove anything against", "start `fillgate up`", "audit")
    wanted = _choose(state.paths.audit, order, first, min(last or head.size, head.size))
    proved = prove(state.paths.audit, head, wanted) if proofs else iter(())
    with _sink(out) as write:
        write({"head": head})
        for number, entry in enumerate(read_entries(state.paths.audit), 1):
            if number in wanted:
                proof = next(proved, None)
                write(Exported(record=msgspec.Raw(entry), proof=proof))


@audit_app.command("check")
def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `export` wrote.")],
    heads: HeadsOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check an export's proofs; with --heads, against heads you kept yourself."""
    state = state_of(ctx, home, json)
    with file.open("rb") as lines:
        head = _head_of(lines)
        known = [each for path in heads or [] for each in read_heads(path)[0]]
        if known and head not in known:
            raise Trouble("the export's head is not among those you kept", code="audit")
        count = 0
        for count, line in enumerate(lines, 1):
            found = msgspec.json.decode(line, type=Exported)
            if found.proof is None or not found.proof.holds(bytes(found.record), head):
                raise Trouble(f"line {count + 1}: the proof does not hold", code="audit")
    if state.is_json:
        print_json({"entries": count, "head": head})
    else:
        say(f"{count} entries, each proved to be in the log of {head.size} entries", "green")


@audit_app.command("explain")
def explain(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Client, our or the broker's id.")],
    heads: HeadsOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Tell every check of an order: all rules with their numbers, and the proof of the record."""
    state = state_of(ctx, home, json)
    known, _ = _read_heads(state.paths, heads or [])
    found = list(entries_of(state.paths.audit, order))
    if not found:
        raise Trouble(f"the audit log knows no order {order}", code="unknown_order")
    rulings = _rulings_of(state.paths, {record.number for _, _, record in found})
    head = newest(known)
    proofs = {} if head is None else {
        proof.entry: proof for proof in prove(state.paths.audit, head, [n for n, _, _ in found])
    }  # fmt: skip
    for number, entry, record in found:
        proof = proofs.get(number)
        is_proved = head is not None and proof is not None and proof.holds(entry, head)
        told = rulings.get(record.number, ())
        if state.is_json:
            raw = msgspec.Raw(entry)
            print_json({"entry": number, "proved": is_proved, "rules": told, "record": raw})
        else:
            _tell_check(number, record, told, is_proved)


def _tell_check(number: int, record: Record, rulings: tuple[Ruling, ...], is_proved: bool) -> None:
    proved = "proved by the newest head" if is_proved else "newer than any head"
    say(f"{utc(record.at_ns)}  entry {number}, {proved}", "bold")
    say(f"  {describe_cause(record)}")
    for line in evidence_lines(record):
        say(f"      {line}", "dim")
    for ruling in rulings:
        numbers = ", ".join(f"{name} {value}" for name, value in ruling.numbers.items())
        say(f"    {ruling.outcome.value:5}{ruling.rule}: {numbers or '-'}  [{ruling.citation}]")
        if ruling.violation is not None and ruling.violation.would_pass:
            say(f"         would pass: {ruling.violation.would_pass}")


def _rulings_of(paths: Paths, numbers: set[int]) -> dict[int, tuple[Ruling, ...]]:
    """What every rule said then, by record: screened again as it was, where it was screened."""
    records = reader_of(find_journal(paths)).replay()
    wanted = itertools.takewhile(lambda record: record.number <= max(numbers), records)
    today = datetime.fromtimestamp(time.time(), UTC).date()
    replay = Replay((Table(),), build_calendars({row.name for row in REGIMES}, today))
    return {s.record: s.now[0] for s in replay.run(wanted) if s.record in numbers}


def entries_of(directory: Path, order: str) -> Iterator[tuple[int, bytes, Record]]:
    """Number, bytes and record of every entry about an order, by any of its names."""
    names = follow_name((decode_entry(entry) for entry in read_entries(directory)), order)
    for number, entry in enumerate(read_entries(directory), 1):
        record = decode_entry(entry)
        if touches(record, names):
            yield number, entry, record


def _choose(directory: Path, order: str | None, first: int, last: int) -> frozenset[int]:
    if order is None:
        return frozenset(range(first, last + 1))
    found = frozenset(number for number, _, _ in entries_of(directory, order))
    if not found:
        raise Trouble(f"the audit log knows no order {order}", code="unknown_order")
    return frozenset(number for number in found if first <= number <= last)


def _head_of(lines: BinaryIO) -> Head:
    try:
        return msgspec.json.decode(lines.readline(), type=dict[str, Head])["head"]
    except (msgspec.MsgspecError, KeyError):
        raise Trouble(
            "the file does not begin with a head: it is no export", code="audit"
        ) from None


def _read_heads(paths: Paths, more: list[Path]) -> tuple[list[Head], tuple[str, ...]]:
    """The heads of every place known, and what is wrong with the files."""
    places = [paths.audit_heads] if paths.audit_heads.exists() else []
    if paths.settings.exists() and (second := load(paths.settings).audit.heads_file) is not None:
        places.append(Path(second))
    heads: list[Head] = []
    faults: list[str] = []
    for place in [*places, *more]:
        found, wrong = read_heads(place)
        heads += found
        faults += wrong
    if not heads:
        faults.append("no head anywhere: nothing tells whether entries at the end are gone")
    return heads, tuple(faults)


def _tell_report(report: AuditReport) -> None:
    say(f"{report.entries} entries in {report.segments} segments, {report.heads} heads")
    if report.head is not None:
        say(
            f"newest head: {report.head.size} entries, {utc(report.head.at_ns)}, {report.head.root}"
        )
    if report.after_head:
        say(f"{report.after_head} entries are newer than the newest head", "yellow")
    for fault in report.faults:
        say(f"fault: {fault}", "bold red")
    if not report.faults:
        say("whole: every entry up to the newest head is what it was", "green")


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    out = console(is_error=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task(what)
        yield lambda count: progress.update(task, description=f"{what}: {count} entries")


@contextlib.contextmanager
def _sink(out: Path | None) -> Iterator[Callable[[Any], object]]:
    encode = msgspec.json.Encoder(decimal_format="string").encode
    if out is None:
        yield lambda value: typer.echo(encode(value))
        return
    with out.open("wb") as file:
        yield lambda value: file.write(encode(value) + b"\n")
