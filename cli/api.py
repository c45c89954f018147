"""`fillgate api`: the descriptions of both interfaces, for programs that generate clients."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

from cli.app import app
from gateway.descriptions import asyncapi, openapi
from gateway.rest_documents import spell


class Interface(Enum):
    """Which interface."""

    OPENAPI = "openapi"
    ASYNCAPI = "asyncapi"


DESCRIBE = {Interface.OPENAPI: openapi, Interface.ASYNCAPI: asyncapi}


@app.command("api")
def api(
    interface: Annotated[Interface, typer.Argument(help="openapi: REST; asyncapi: WebSocket.")],
) -> None:
    """Print the OpenAPI or AsyncAPI description, as the gateway serves it."""
    sys.stdout.buffer.write(spell(DESCRIBE[interface]()))
