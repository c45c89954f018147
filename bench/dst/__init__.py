"""Deterministic simulation: a whole deployment in one thread, in virtual time, from one seed.

Every process is the real code (edge, router, compliance, broker connection, the client library)
and so is the broker's book; only what a machine gives is simulated: the loop, the clocks, the
network, the disk. `python -m bench.dst SEED --trace` tells one story line by line.
"""
