"""The observer: one process a node that reads everyone's figures, judges them and tells people.

It is in nobody's way: it only reads pages that the others lay into memory. Its death costs
notices and metrics for the second until it is started again, and no order anything.
"""
