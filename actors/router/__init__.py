"""The router: the one writer of the journal, and the one place where orders are decided.

`desk` holds the state and drafts records; `orders` takes commands; `reports` takes what
connections tell; `reads` answers queries; `actor` does the I/O. All but `actor` are pure:
they get the time, give records and messages, and touch nothing.
"""
