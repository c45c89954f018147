"""The vocabulary every other folder speaks: no I/O, no clock, no luck."""
