"""One subscriber's place in one durable stream: what to deliver now, and what to ask for.

Live updates come from the fan-out, pages from the journal; either may repeat, overlap or miss
some. What comes out is each number once, in order, without holes. One page is asked for at a
time; live updates meanwhile wait in a bounded buffer, and what does not fit is read again from
the journal, which has everything.
"""

from __future__ import annotations

from msgspec import Struct

from domain.streams import StreamUpdate

WAITING_UPDATES_MAX = 1_024
PAGE_UPDATES_MAX = 500


class Ask(Struct, frozen=True):
    """Read the stream's entries after `after`, at most `limit`, and feed them as a page."""

    stream: str
    after: int
    limit: int


class Step(Struct, frozen=True):
    """What to deliver, in order, and the page to ask for, if any."""

    deliver: tuple[StreamUpdate, ...] = ()
    ask: Ask | None = None


NOTHING = Step()


class Follower:
    """The cursor of one subscriber; `cursor` is the number of the last update delivered."""

    def __init__(
        self,
        stream: str,
        cursor: int,
        *,
        waiting_max: int = WAITING_UPDATES_MAX,
        page_max: int = PAGE_UPDATES_MAX,
    ) -> None:
        self.stream = stream
        self.cursor = cursor
        self.head = cursor
        self._waiting_max = waiting_max
        self._page_max = page_max
        self._waiting: dict[int, StreamUpdate] = {}
        self._asked: Ask | None = None

    @property
    def waiting(self) -> int:
        """How many updates wait for those before them."""
        return len(self._waiting)

    @property
    def is_caught_up(self) -> bool:
        """True where everything known of was delivered."""
        return self.cursor >= self.head

    def feed(self, update: StreamUpdate) -> Step:
        """Takes a live update."""
        assert update.stream == self.stream
        seq = update.seq
        if seq != self.cursor + 1:
            self._keep(update)
            return self._step()
        self.cursor = seq
        self.head = max(self.head, seq)
        return self._step((update,)) if self._waiting else Step((update,))

    def feed_page(self, updates: tuple[StreamUpdate, ...], head: int) -> Step:
        """Takes a page and the head it was read at, asked for now or long ago."""
        before = self.cursor
        asked, self._asked = self._asked, None
        self.head = max(self.head, head)
        joined = []
        for update in updates:
            assert update.stream == self.stream
            if update.seq == self.cursor + 1:
                self.cursor = update.seq
                joined.append(self._waiting.pop(update.seq, update))
            elif update.seq > self.cursor:
                self._keep(update)
        step = self._step(tuple(joined))
        if self.cursor == before and asked is not None and step.ask == asked:
            # The same question would get the same answer: wait for the next sign of life.
            self._asked = None
            return NOTHING
        return step

    def heard(self, head: int) -> Step:
        """Takes the head a heartbeat named: so a lost last update shows within one period."""
        self.head = max(self.head, head)
        return self._step()

    def lose_page(self) -> Step:
        """The page asked for will not come (the link fell): asks again where it is needed."""
        self._asked = None
        return self._step()

    def _keep(self, update: StreamUpdate) -> None:
        """Lets it wait; dropped where seen before or full, for the journal has it."""
        self.head = max(self.head, update.seq)
        if update.seq > self.cursor and len(self._waiting) < self._waiting_max:
            self._waiting[update.seq] = update

    def _step(self, joined: tuple[StreamUpdate, ...] = ()) -> Step:
        return Step(joined + self._join(), self._ask())

    def _join(self) -> tuple[StreamUpdate, ...]:
        """Those waiting that now continue the cursor."""
        ready = []
        while (update := self._waiting.pop(self.cursor + 1, None)) is not None:
            self.cursor = update.seq
            ready.append(update)
        return tuple(ready)

    def _ask(self) -> Ask | None:
        if self.is_caught_up:
            self._asked = None
            return None
        if self._asked is not None:
            return None
        self._asked = Ask(self.stream, self.cursor, self._page_max)
        return self._asked
