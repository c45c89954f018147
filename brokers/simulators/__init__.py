"""Brokers on loopback: one matching engine, a dialect a broker over it, faults on request."""
