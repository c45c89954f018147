"""`fillgate order resolve`, `fillgate breaker reset`: what an operator alone decides, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from actors.paths import Paths
from cli.app import HomeOption, JsonOption, breaker_app, order_app, state_of
from cli.dial import dialed, run
from cli.order import Number, to_decimal
from cli.output import print_json, say
from cli.trouble import FAILED
from domain.commands import Decided, Execution, Resolution, ResolveOrder
from gateway import wire

MARKS = ("quantity", "price", "broker_order_id", "broker_execution_id")


@order_app.command("resolve")
def resolve(
    ctx: typer.Context,
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID", help="Our id of the order.")],
    found: Annotated[Resolution, typer.Argument(help="What became of it at the broker.")],
    evidence: Annotated[str, typer.Option(help="How you know: it is written down with you.")],
    quantity: Number = None,
    price: Number = None,
    broker_order_id: Annotated[str | None, typer.Option(help="Where it filled.")] = None,
    broker_execution_id: Annotated[str | None, typer.Option(help="The fill's own id.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Say what became of an unknown order: fillgate order resolve ID canceled --evidence WHY."""
    state = state_of(ctx, home, json)
    told = (to_decimal(quantity), to_decimal(price), broker_order_id, broker_execution_id)
    wanted = ResolveOrder(
        order_id=order_id,
        resolution=found,
        evidence=_check_evidence(evidence),
        execution=_execution(found, told),
    )
    _tell(state.is_json, run(_ask(state.paths, wire.OrderResolve, resolve=wanted)), order_id)


def _check_evidence(text: str) -> str:
    if not 10 <= len(text) <= 500:
        raise typer.BadParameter("--evidence: say in 10 to 500 characters how you know")
    return text


def _execution(found: Resolution, told: tuple[object, ...]) -> Execution | None:
    """The fill, told whole; nothing of it where nothing was filled. Raises BadParameter."""
    given = [name for name, value in zip(MARKS, told, strict=True) if value is not None]
    wanted = MARKS if found is Resolution.FILLED else ()
    if set(given) != set(wanted):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in MARKS)
        raise typer.BadParameter(f"filled needs all of {options}; anything else none of them")
    return Execution(**dict(zip(MARKS, told, strict=True))) if given else None  # type: ignore[arg-type]


@breaker_app.command("reset")
def reset(
    ctx: typer.Context,
    connection: Annotated[str, typer.Argument(help="As in the settings.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let a connection take new orders again after its breaker opened."""
    state = state_of(ctx, home, json)
    _tell(
        state.is_json,
        run(_ask(state.paths, wire.BreakerReset, connection=connection)),
        connection,
    )


async def _ask(paths: Paths, kind: type[wire.Request], **fields: object) -> Decided:
    async with dialed(paths) as client:
        return (await client.query(kind, **fields)).decided[0]


def _tell(is_json: bool, decided: Decided, name: str) -> None:
    if is_json:
        print_json({"decided": decided})
    elif decided.error is not None:
        say(f"{name}: {decided.error.message}", "red")
    else:
        say(f"{name}: {decided.status or 'done'}", "green")
    if decided.error is not None:
        raise typer.Exit(FAILED)
