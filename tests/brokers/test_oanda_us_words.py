"""OANDA US says more than the published spec: its FIFO safeguard has words of its own."""

from __future__ import annotations

import pytest

from brokers import oanda_words as words
from brokers.oanda_messages import decode_transaction
from brokers.oanda_transactions import TransactionReader
from domain.events import Canceled, Rejected

TIME = "2026-11-20T00:00:00.000000000Z"


def read(text: str):
    reader = TransactionReader("101-001-1000001-001", "USD")
    return reader.read(decode_transaction(text.encode()))


@pytest.mark.parametrize("word", sorted(words.BEYOND_SPEC))
def test_a_word_beyond_the_spec_is_in_no_table_of_the_spec(word: str) -> None:
    assert word not in words.REJECTS
    assert word not in words.CANCEL_ERRORS


def test_an_order_canceled_by_the_safeguard_at_its_trigger_is_canceled() -> None:
    (event,) = read(
        f'{{"id":"9","batchID":"9","time":"{TIME}","type":"ORDER_CANCEL","orderID":"5",'
        '"reason":"FIFO_VIOLATION_SAFEGUARD_VIOLATION"}'
    )
    assert isinstance(event, Canceled)
    assert event.error is not None


def test_a_guard_refused_by_the_safeguard_is_rejected() -> None:
    (event,) = read(
        f'{{"id":"9","batchID":"9","time":"{TIME}","type":"STOP_LOSS_ORDER_REJECT",'
        '"rejectReason":"STOP_LOSS_ORDER_WOULD_VIOLATE_FIFO_VIOLATION_SAFEGUARD",'
        '"clientExtensions":{"id":"v-1"}}'
    )
    assert isinstance(event, Rejected)
