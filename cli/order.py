"""`fillgate order`: place, cancel and amend one order. `explain` has a file of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from actors.paths import Paths
from cli.app import HomeOption, JsonOption, State, order_app, state_of
from cli.dial import ANSWER_S, dialed, run
from cli.output import console, number, print_json, say, status_text
from cli.quotes import symbol_of
from cli.trouble import FAILED
from domain.commands import Decided
from domain.lifecycle import TERMINAL, Status
from domain.orders import (
    NUMBER_MAX,
    AmendOrder,
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client import Client

SIDES = {side.value: side for side in Side}
AT_ONCE = frozenset({TimeInForce.FOK, TimeInForce.IOC})
REFUSED = frozenset({Status.DENIED, Status.REJECTED, Status.NOT_PLACED})


def to_decimal(text: str | None) -> Decimal | None:
    """The exact number, or None for none. Raises BadParameter."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a number") from None
    if not value.is_finite() or not 0 < value < NUMBER_MAX:
        raise typer.BadParameter(f"{text!r} must be greater than zero and below {NUMBER_MAX:.0e}")
    return value


def _check_number(text: str | None) -> str | None:
    to_decimal(text)
    return text


Number = Annotated[str | None, typer.Option(callback=_check_number, metavar="NUMBER")]


@order_app.command("place")
def place(
    ctx: typer.Context,
    instrument: Annotated[str, typer.Argument(help="Such as EUR/USD.")],
    side: Annotated[str, typer.Argument(help="buy or sell.")],
    quantity: Annotated[str, typer.Argument(help="Units of the instrument.")],
    kind: Annotated[
        OrderType | None, typer.Option("--type", help="Default: what the prices say.")
    ] = None,
    limit: Number = None,
    stop: Number = None,
    trail: Number = None,
    tif: Annotated[TimeInForce | None, typer.Option(help="Default: fok or gtc.")] = None,
    take_profit: Number = None,
    stop_loss: Number = None,
    account: Annotated[str | None, typer.Option(help="Pin it to an account.")] = None,
    lot: Annotated[str | None, typer.Option(help="The lot it closes or guards.")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Open nothing.")] = False,
    tag: Annotated[str | None, typer.Option(help="A strategy's name.")] = None,
    client_order_id: Annotated[str | None, typer.Option("--id", help="Your own id.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the broker's outcome.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask compliance alone.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Place an order: fillgate order place EUR/USD buy 1000."""
    state = state_of(ctx, home, json)
    symbol, word, units = sort_words(instrument, side, quantity)
    order = make_order(
        client_order_id=client_order_id or f"cli-{secrets.token_hex(6)}",
        instrument=symbol,
        side=SIDES[word],
        quantity=units,
        type=kind,
        limit_price=to_decimal(limit),
        stop_price=to_decimal(stop),
        trailing=Trailing(amount=to_decimal(trail)) if trail else None,
        time_in_force=tif,
        bracket=_bracket(to_decimal(take_profit), to_decimal(stop_loss)),
        account=account,
        closes_lot=lot,
        reduce_only=reduce_only,
        tag=tag,
    )
    if dry_run:
        _tell_preview(state, run(_preview(state.paths, order)))
    else:
        _tell_placed(state, *run(_place(state.paths, order, wait)))


def sort_words(*words: str) -> tuple[str, str, Decimal]:
    """Instrument, side, quantity in any order: one is a side, one a number. Raises BadParameter."""
    sides = [word.lower() for word in words if word.lower() in SIDES]
    rest = [word for word in words if word.lower() not in SIDES]
    numbers = [word for word in rest if word[:1].isdigit()]
    names = [word for word in rest if not word[:1].isdigit()]
    if len(sides) != 1 or len(numbers) != 1 or len(names) != 1:
        raise typer.BadParameter("say INSTRUMENT SIDE QUANTITY, such as: EUR/USD buy 1000")
    quantity = to_decimal(numbers[0])
    assert quantity is not None
    return symbol_of(names[0]), sides[0], quantity


def make_order(**terms: Any) -> NewOrder:
    """The order; type and time in force follow from the prices where they were not said."""
    if terms["type"] is None:
        terms["type"] = _guess_type(terms)
    if terms["time_in_force"] is None:
        is_market = terms["type"] is OrderType.MARKET
        terms["time_in_force"] = TimeInForce.FOK if is_market else TimeInForce.GTC
    return NewOrder(**terms)


def _guess_type(terms: dict[str, Any]) -> OrderType:
    if terms["trailing"] is not None:
        return OrderType.TRAILING_STOP
    if terms["stop_price"] is not None:
        return OrderType.STOP_LIMIT if terms["limit_price"] is not None else OrderType.STOP
    return OrderType.MARKET if terms["limit_price"] is None else OrderType.LIMIT


def _bracket(take_profit: Decimal | None, stop_loss: Decimal | None) -> Bracket | None:
    if take_profit is None and stop_loss is None:
        return None
    return Bracket(
        take_profit=None if take_profit is None else TakeProfit(limit_price=take_profit),
        stop_loss=None if stop_loss is None else StopLoss(stop_price=stop_loss),
    )


async def _preview(paths: Paths, order: NewOrder) -> Any:
    async with dialed(paths) as client:
        return (await client.query(wire.OrderPreview, order=order)).body


async def _place(paths: Paths, order: NewOrder, wait: bool) -> tuple[Decided, OrderUpdate | None]:
    async with dialed(paths) as client:
        if not wait:
            return await client.place(order), None
        async with asyncio.timeout(ANSWER_S):
            update = await _until_outcome(client, order)
        decided = Decided(client_order_id=order.client_order_id, order_id=update.order_id)
        return decided, update


async def _until_outcome(client: Client, order: NewOrder) -> OrderUpdate:
    """The broker's outcome; of an order that cannot rest, its end. Raises Refused."""
    assert client.welcome is not None
    updates = client.updates()
    await client.follow(f"orders/{client.welcome.owner}")
    update = await client.place_and_wait(order)
    if order.type is not OrderType.MARKET and order.time_in_force not in AT_ONCE:
        return update
    while (known := client.orders.get(order.client_order_id) or update).status not in TERMINAL:
        await anext(updates)
    return known


def _tell_preview(state: State, body: Any) -> None:
    violations = list((body or {}).get("all_violations") or ())
    if state.is_json:
        print_json({"passes": not violations, "answer": body})
    else:
        _tell_rulings((body or {}).get("rulings") or ())
        _tell_violations(violations)
    if violations:
        raise typer.Exit(FAILED)


def _tell_violations(violations: list[Any]) -> None:
    if not violations:
        say("compliance would let it pass; nothing was placed", "green")
        return
    say("compliance would deny it:", "red")
    for violation in violations:
        say(f"  {violation['message']} ({violation['rule']}: {violation['citation']})")
        if violation.get("would_pass"):
            say(f"    would pass: {violation['would_pass']}", "dim")


def _tell_rulings(rulings: Iterable[Any]) -> None:
    """What each rule said, and by which numbers."""
    for ruling in rulings:
        numbers = ", ".join(f"{name} {value}" for name, value in ruling.get("numbers", {}).items())
        style = {"deny": "red", "warn": "yellow"}.get(ruling["outcome"], "dim")
        say(f"  {ruling['outcome']:5}{ruling['account']}  {ruling['rule']}  {numbers}", style)


def _tell_placed(state: State, decided: Decided, update: OrderUpdate | None) -> None:
    if state.is_json:
        print_json({"decided": decided, "update": update})
    elif update is None:
        say(f"{decided.client_order_id}: written down as {decided.status}")
    else:
        _tell_update(update)
    if update is not None and update.status in REFUSED:
        raise typer.Exit(FAILED)


def _tell_update(update: OrderUpdate) -> None:
    line = status_text(update.status.value)
    if update.filled:
        line.append(f" {number(update.filled)} at {number(update.average_price)}", style="")
    error = getattr(update.event, "error", None)
    if error is not None:
        line.append(f": {error.message}", style="")
    console().print(line)
    say(f"  id {update.client_order_id or update.order_id}", "dim")
    if update.status not in TERMINAL:
        say(f"  cancel it: fillgate order cancel {update.client_order_id}", "dim")


@order_app.command("cancel")
def cancel(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[ID]", help="Client order id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All open orders.")] = False,
    tag: Annotated[str | None, typer.Option(help="All with this tag.")] = None,
    instrument: Annotated[str | None, typer.Option(help="All of this instrument.")] = None,
    external: Annotated[bool, typer.Option("--external", help="Also those made outside.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Cancel one order, or all that match."""
    state = state_of(ctx, home, json)
    if sum((name is not None, every, tag is not None, instrument is not None)) != 1:
        raise typer.BadParameter("say one of: ID, --all, --tag, --instrument")
    wanted = CancelOrder(
        client_order_id=name,
        tag=tag,
        instrument=symbol_of(instrument) if instrument else None,
        all=every,
        include_external=external,
    )
    _tell_decided(state, run(_cancel(state.paths, wanted)), "cancel asked for")


async def _cancel(paths: Paths, wanted: CancelOrder) -> tuple[Decided, ...]:
    async with dialed(paths) as client:
        return await client.cancel(wanted)


@order_app.command("amend")
def amend(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="Client order id.")],
    quantity: Number = None,
    limit: Number = None,
    stop: Number = None,
    trail: Number = None,
    if_version: Annotated[int | None, typer.Option(help="Only if unchanged since.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Change a working order; what is not said stays."""
    state = state_of(ctx, home, json)
    if not any((quantity, limit, stop, trail)):
        raise typer.BadParameter("say what to change: --quantity, --limit, --stop, --trail")
    wanted = AmendOrder(
        client_order_id=name,
        quantity=to_decimal(quantity),
        limit_price=to_decimal(limit),
        stop_price=to_decimal(stop),
        trailing=Trailing(amount=to_decimal(trail)) if trail else None,
        if_version=if_version,
    )
    _tell_decided(state, (run(_amend(state.paths, wanted)),), "amend asked for")


async def _amend(paths: Paths, wanted: AmendOrder) -> Decided:
    async with dialed(paths) as client:
        return await client.amend(wanted)


def _tell_decided(state: State, decided: tuple[Decided, ...], what: str) -> None:
    if state.is_json:
        print_json({"decided": decided})
        return
    if not decided:
        say("nothing to cancel")
    for one in decided:
        say(f"{one.client_order_id or one.order_id}: {what}, it is {one.status}")
