"""`fillgate`: the command line. Importing a command's file adds it to the app."""

from __future__ import annotations

import sys

try:
    from cli import (
        alarms,
        api,
        audit,
        backup,
        demo,
        doctor,
        explain,
        init,
        journal,
        limits,
        order,
        orders,
        quotes,
        resolve,
        roll,
        rules,
        store,
        token,
        top,
        up,
    )
    from cli.app import app
except ModuleNotFoundError as missing:
    # Not even the doctor can run without it.
    sys.exit(f"error: the package {missing.name} is not installed\nfix:   run `make install`")

COMMANDS = (
    init, up, roll, demo, doctor, top, alarms, token, limits, orders, order, explain, resolve,
    quotes, journal, store, audit, rules, backup, api,
)  # fmt: skip

if __name__ == "__main__":
    app()
