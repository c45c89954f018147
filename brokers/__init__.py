"""One broker a file: what it is asked, what its answers mean. I/O only in transport.py."""
