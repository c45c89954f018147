"""The client's side of Fillgate: wire protocol, sessions, server, health, client library."""
