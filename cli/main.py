"""`fillgate`: the command line. Importing a command's file adds it to the app."""

from __future__ import annotations

from cli import demo, doctor, explain, init, journal, order, orders, quotes, token, up
from cli.app import app

COMMANDS = (init, up, demo, doctor, token, orders, order, explain, quotes, journal)

if __name__ == "__main__":
    app()
