"""The goals of reliability, one a file: what it says, and a run of trials against it.

`python -m bench.soak` finds every module here by its `GOAL`.
"""
