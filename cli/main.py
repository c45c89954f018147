"""`fillgate`: the command line. Importing a command's file adds it to the app."""

from __future__ import annotations

import sys

try:
    from cli import (
        api,
        audit,
        demo,
        doctor,
        explain,
        init,
        journal,
        order,
        orders,
        quotes,
        rules,
        store,
        token,
        up,
    )
    from cli.app import app
except ModuleNotFoundError as missing:
    # Not even the doctor can run without it.
    sys.exit(f"error: the package {missing.name} is not installed\nfix:   run `make install`")

COMMANDS = (
    init,
    up,
    demo,
    doctor,
    token,
    orders,
    order,
    explain,
    quotes,
    journal,
    store,
    audit,
    rules,
    api,
)

if __name__ == "__main__":
    app()
