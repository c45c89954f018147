"""Who follows what: streams and instruments by name, subscribers as opaque values."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from typing import Generic, TypeVar

TOPICS_PER_SUBSCRIBER_MAX = 2_000

S = TypeVar("S", bound=Hashable)


class Joined(Enum):
    """How a subscription went."""

    FIRST = "first"
    """Nobody followed the topic before: start its source."""
    ADDED = "added"
    ALREADY = "already"
    FULL = "full"
    """Refused: the subscriber follows as many topics as it may."""


class Fanout(Generic[S]):
    """Subscriptions both ways; adding and removing cost the same however many there are.

    Iterating is safe while subscribers come and go: it runs over the followers as they were.
    """

    def __init__(self, topics_max: int = TOPICS_PER_SUBSCRIBER_MAX) -> None:
        self._topics_max = topics_max
        self._followers: dict[str, dict[S, None]] = {}
        self._topics: dict[S, dict[str, None]] = {}
        self._frozen: dict[str, tuple[S, ...]] = {}

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return sum(len(topics) for topics in self._topics.values())

    def add(self, topic: str, subscriber: S) -> Joined:
        """Subscribes, unless the subscriber does already or is full."""
        topics = self._topics.get(subscriber, {})
        if topic in topics:
            return Joined.ALREADY
        if len(topics) >= self._topics_max:
            return Joined.FULL
        followers = self._followers.setdefault(topic, {})
        followers[subscriber] = None
        self._topics.setdefault(subscriber, {})[topic] = None
        self._frozen.pop(topic, None)
        return Joined.FIRST if len(followers) == 1 else Joined.ADDED

    def remove(self, topic: str, subscriber: S) -> bool:
        """Unsubscribes; True where nobody follows the topic any more: stop its source."""
        followers = self._followers.get(topic, {})
        if subscriber not in followers:
            return False
        del followers[subscriber]
        self._frozen.pop(topic, None)
        topics = self._topics[subscriber]
        del topics[topic]
        if not topics:
            del self._topics[subscriber]
        if not followers:
            del self._followers[topic]
        return not followers

    def remove_all(self, subscriber: S) -> tuple[str, ...]:
        """Unsubscribes from everything; returns the topics nobody follows any more."""
        topics = tuple(self._topics.get(subscriber, ()))
        return tuple(topic for topic in topics if self.remove(topic, subscriber))

    def followers(self, topic: str) -> tuple[S, ...]:
        """Who follows the topic, the oldest subscription first."""
        frozen = self._frozen.get(topic)
        if frozen is None:
            followers = self._followers.get(topic)
            if followers is None:
                return ()
            frozen = self._frozen[topic] = tuple(followers)
        return frozen

    def topics_of(self, subscriber: S) -> tuple[str, ...]:
        """What the subscriber follows."""
        return tuple(self._topics.get(subscriber, ()))

    def topics(self) -> Iterator[str]:
        """Everything anybody follows."""
        return iter(tuple(self._followers))
