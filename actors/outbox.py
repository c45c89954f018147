"""What a connection has told and the router has yet to make durable; and what it told before."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from actors import messages as m
from domain import events as ev

ITEMS_MAX = 10_000
SEEN_MAX = 50_000


class Outbox:
    """Items told and not yet durable; numbered 1, 2, 3 ... in this incarnation."""

    def __init__(self, connection: str, incarnation: str) -> None:
        self.connection = connection
        self.incarnation = incarnation
        self.next = 1
        self.held: deque[tuple[int, m.Item, str | None]] = deque()

    def add(self, item: m.Item, cursor: str | None) -> m.Items:
        """Holds the item and returns the message that tells it."""
        number = self.next
        self.next += 1
        self.held.append((number, item, cursor))
        return self._message(number, item, cursor)

    def _message(self, number: int, item: m.Item, cursor: str | None) -> m.Items:
        return m.Items(
            connection=self.connection,
            incarnation=self.incarnation,
            first=number,
            items=(item,),
            cursor=cursor,
        )

    def free(self, incarnation: str, last: int) -> None:
        """Forgets what is durable."""
        if incarnation == self.incarnation:
            while self.held and self.held[0][0] <= last:
                self.held.popleft()

    def again(self) -> list[m.Items]:
        """Everything held, to be told again."""
        return [self._message(*entry) for entry in self.held]

    def speaks_of(self, intent: int) -> bool:
        """True where an outcome of the intent is held."""
        return any(getattr(item, "intent", None) == intent for _, item, _ in self.held)

    @property
    def is_full(self) -> bool:
        """At the bound the stream is no longer read; it is re-read from the cursor later."""
        return len(self.held) >= ITEMS_MAX


class Waiting:
    """Stream events of orders whose answer is under way: told together with it.

    An account's events are told in the broker's order: whatever comes after takes what is held
    along, or a fill told out of turn would show a position that never was. What is held is not
    yet told, so the cursor given out stays before it: after a crash it is read again.
    """

    def __init__(self) -> None:
        self._expected: set[str | None] = set()
        self._held: list[tuple[str | None, ev.VenueEvent]] = []

    @property
    def is_expecting(self) -> bool:
        """True where any answer is under way."""
        return bool(self._expected)

    def expect(self, venue_client_id: str) -> None:
        """An answer is under way for this order."""
        self._expected.add(venue_client_id)

    def hold(
        self, events: tuple[ev.VenueEvent, ...], cursor: str | None
    ) -> tuple[ev.VenueEvent, ...]:
        """Keeps what waits for an answer; returns what is to be told now.

        `cursor` is from before the events.
        """
        if all(event.venue_client_id in self._expected for event in events):
            self._held += [(cursor, event) for event in events]
            return ()
        return (*self.release(), *events)

    def answered(self, venue_client_id: str) -> tuple[ev.VenueEvent, ...]:
        """The wait is over, one way or the other: what was held of it, and all before that."""
        self._expected.discard(venue_client_id)
        places = [n for n, (_, e) in enumerate(self._held) if e.venue_client_id == venue_client_id]
        end = places[-1] + 1 if places else 0
        due, self._held = self._held[:end], self._held[end:]
        return tuple(event for _, event in due)

    def release(self) -> tuple[ev.VenueEvent, ...]:
        """All that is held, though the answers are still awaited."""
        held, self._held = self._held, []
        return tuple(event for _, event in held)

    def cursor(self, cursor: str | None) -> str | None:
        """The broker's cursor before anything held; `cursor` where nothing is."""
        return self._held[0][0] if self._held else cursor


class SeenEvents:
    """Which broker events were told before: stream, query and answer overlap."""

    def __init__(self) -> None:
        # Not a dict: taking its first key costs a walk over all those taken before.
        self._keys: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def new_of(self, events: Iterable[ev.VenueEvent]) -> tuple[ev.VenueEvent, ...]:
        """Those not seen before, now seen."""
        fresh = []
        for event in events:
            key = _key(event)
            if key in self._keys:
                continue
            self._keys[key] = None
            if len(self._keys) > SEEN_MAX:
                self._keys.popitem(last=False)
            fresh.append(event)
        return tuple(fresh)

    def is_new_word(self, what: str) -> bool:
        """Whether an unknown word was not told before; what is read twice is one break."""
        key = ("unread", what)
        is_new = key not in self._keys
        self._keys[key] = None
        return is_new


def _key(event: ev.VenueEvent) -> tuple[str, ...]:
    if isinstance(event, ev.Fill):
        return ("fill", event.execution_id)
    # An acceptance seen as a creation on the stream is the same fact.
    kind = "accepted" if isinstance(event, ev.External) else type(event).__name__.lower()
    if isinstance(event, ev.CancelRefused | ev.AmendRefused):
        return (kind, str(event.broker_order_id), str(event.at_ns))
    return (kind, str(event.broker_order_id), str(event.venue_client_id))
