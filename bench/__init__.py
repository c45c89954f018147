"""Benches: each states its question in its first line, checks its work, then reports."""
