"""Links: framed, greeted, in order; one owner a path; back at once after either end dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from actors import link as link_module
from actors.link import Hello, Link, LinkOwner, PathLock, Ping, Pong, dial, listen, take_lock


class Word(Struct, frozen=True, tag="word"):
    """Something to say."""

    text: str


INBOX = msgspec.msgpack.Decoder(Word | Hello | Ping | Pong)


class Ear(LinkOwner[Any]):
    """Remembers what a link told."""

    def __init__(self) -> None:
        self.links: list[Link[Any]] = []
        self.ups = 0
        self.downs = 0
        self.words: list[str] = []
        self.batches: list[int] = []
        self.heard = asyncio.Event()

    def link_up(self, link: Link[Any]) -> None:
        self.links.append(link)
        self.ups += 1
        self.heard.set()

    def link_down(self, link: Link[Any]) -> None:
        self.downs += 1
        self.heard.set()

    def received(self, link: Link[Any], message: Any) -> None:
        self.words.append(message.text)
        self.heard.set()

    def batch_ended(self) -> None:
        self.batches.append(len(self.words))

    async def until(self, is_true: Any) -> None:
        async with asyncio.timeout(10):
            while not is_true():
                self.heard.clear()
                await self.heard.wait()


def hello(role: str = "a", deployment: str = "test") -> Hello:
    return Hello(role=role, deployment=deployment, incarnation="i", pid=os.getpid())


def frame(message: object) -> bytes:
    body = msgspec.msgpack.encode(message)
    return struct.pack("<I", len(body)) + body


class Pipe:
    """A link's end fed by hand, without a socket."""

    def __init__(self, owner: Ear, deployment: str = "test") -> None:
        self.link: Link[Any] = Link(hello("me", deployment), INBOX, owner)
        self.written = b""
        self.unsent = 0
        self.is_aborted = False
        self._pair = socket.socketpair(socket.AF_UNIX)
        self.link.connection_made(self)  # type: ignore[arg-type]

    # What a transport offers.

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._pair[0]

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def said(self) -> list[Any]:
        """What the link wrote, decoded."""
        found, rest = [], self.written
        while rest:
            (size,) = struct.unpack_from("<I", rest)
            found.append(INBOX.decode(rest[4 : 4 + size]))
            rest = rest[4 + size :]
        return found

    def close(self) -> None:
        self.link.connection_lost(None)
        for one in self._pair:
            one.close()


@asynccontextmanager
async def piped(deployment: str = "test", *, greet: bool = True) -> AsyncIterator[tuple[Ear, Pipe]]:
    ear = Ear()
    pipe = Pipe(ear, deployment)
    if greet:
        pipe.link.data_received(frame(hello("peer")))
    try:
        yield ear, pipe
    finally:
        pipe.close()


@asynccontextmanager
async def listening(path: Path, me: Hello | None = None) -> AsyncIterator[tuple[Ear, Any]]:
    ear = Ear()
    server, lock = await listen(path, lambda: Link(me or hello("listener"), INBOX, ear))
    try:
        yield ear, server
    finally:
        server.close()
        for one in ear.links:
            one.close()
        lock.release()


@asynccontextmanager
async def dialing(path: Path, me: Hello | None = None) -> AsyncIterator[Ear]:
    ear = Ear()
    task = asyncio.create_task(dial(path, lambda: Link(me or hello("dialer"), INBOX, ear)))
    try:
        yield ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)


# -- frames


@pytest.mark.asyncio
async def test_each_side_says_hello_first_and_nothing_is_heard_before_it() -> None:
    async with piped(greet=False) as (ear, pipe):
        pipe.link.data_received(frame(Word("too early")))
        assert (ear.words, ear.ups, pipe.link.is_up) == ([], 0, False)
        pipe.link.data_received(frame(hello("peer")) + frame(Word("now")))
        assert (ear.words, ear.ups, pipe.link.is_up) == (["now"], 1, True)
        assert [type(m) for m in pipe.said()] == [Hello]
        assert pipe.link.peer is not None
        assert pipe.link.peer.role == "peer"


@pytest.mark.asyncio
async def test_frames_may_be_split_at_every_byte() -> None:
    data = frame(Word("one")) + frame(Word("two" * 100))
    for cut in range(1, len(data)):
        async with piped() as (ear, pipe):
            pipe.link.data_received(data[:cut])
            pipe.link.data_received(data[cut:])
            assert ear.words == ["one", "two" * 100]


@pytest.mark.asyncio
async def test_frames_may_come_byte_by_byte() -> None:
    async with piped() as (ear, pipe):
        for byte in frame(Word("one")) + frame(Word("two")):
            pipe.link.data_received(bytes([byte]))
        assert ear.words == ["one", "two"]


@pytest.mark.asyncio
async def test_several_messages_in_one_read_are_one_batch() -> None:
    async with piped() as (ear, pipe):
        before = len(ear.batches)
        pipe.link.data_received(b"".join(frame(Word(str(n))) for n in range(5)))
        assert ear.words == ["0", "1", "2", "3", "4"]
        assert ear.batches[before:] == [5]


@pytest.mark.asyncio
async def test_a_frame_beyond_the_limit_closes_the_link() -> None:
    async with piped() as (ear, pipe):
        pipe.link.data_received(struct.pack("<I", link_module.FRAME_BYTES_MAX + 1))
        assert pipe.is_aborted
        assert ear.words == []


@pytest.mark.asyncio
async def test_another_deployment_is_cut_off_unheard() -> None:
    async with piped(deployment="ours", greet=False) as (ear, pipe):
        pipe.link.data_received(frame(hello("peer", "theirs")) + frame(Word("psst")))
        assert pipe.is_aborted
        assert (ear.ups, ear.words) == (0, [])


@pytest.mark.asyncio
async def test_another_user_is_cut_off_before_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module.os, "getuid", lambda: 4_000_000)
    async with piped(greet=False) as (_ear, pipe):
        assert pipe.is_aborted
        assert pipe.written == b""


@pytest.mark.asyncio
async def test_a_reader_that_stops_reading_is_cut_off() -> None:
    async with piped() as (_ear, pipe):
        pipe.link.send(Word("fine"))
        assert not pipe.is_aborted
        pipe.unsent = link_module.UNSENT_BYTES_MAX + 1
        pipe.link.send(Word("too much"))
        assert pipe.is_aborted
        before = pipe.written
        pipe.link.send(Word("dropped"))
        assert pipe.written == before


@pytest.mark.asyncio
async def test_a_closed_link_drops_what_is_sent_and_tells_its_owner_once() -> None:
    ear = Ear()
    pipe = Pipe(ear)
    pipe.link.data_received(frame(hello("peer")))
    pipe.close()
    pipe.link.send(Word("nobody"))
    pipe.link.close()
    assert (ear.downs, pipe.link.is_up) == (1, False)
    assert pipe.link.closed.done()


@pytest.mark.asyncio
async def test_a_link_that_never_was_up_goes_unnoticed() -> None:
    ear = Ear()
    Pipe(ear).close()
    assert ear.downs == 0


# -- signs of life


@pytest.mark.asyncio
async def test_a_ping_is_answered_with_how_the_owner_stands() -> None:
    async with piped() as (ear, pipe):
        pipe.link.data_received(frame(Ping(number=7)))
        ear.is_ready = lambda: False  # type: ignore[method-assign]
        pipe.link.data_received(frame(Ping(number=8)))
        assert pipe.said()[1:] == [Pong(number=7, is_ready=True), Pong(number=8, is_ready=False)]


@pytest.mark.asyncio
async def test_a_pong_is_for_the_watchdog_and_no_message() -> None:
    async with piped() as (ear, pipe):
        pipe.link.data_received(frame(Pong(number=1, is_ready=True)))
        assert ear.words == []


def test_an_owner_that_cares_for_nothing_hears_everything_and_does_nothing() -> None:
    owner: LinkOwner[Any] = LinkOwner()
    for tell in (owner.link_up, owner.link_down):
        tell(None)  # type: ignore[arg-type]
    owner.received(None, None)  # type: ignore[arg-type]
    owner.batch_ended()
    assert owner.is_ready()


# -- real sockets


@pytest.mark.asyncio
async def test_two_ends_meet_and_talk_in_order(short_folder: Path) -> None:
    path = short_folder / "a.sock"
    async with listening(path) as (server_ear, _), dialing(path) as ear:
        await ear.until(lambda: ear.ups)
        await server_ear.until(lambda: server_ear.ups)
        for number in range(1000):
            ear.links[0].send(Word(str(number)))
        server_ear.links[0].send(Word("back"))
        await server_ear.until(lambda: len(server_ear.words) == 1000)
        await ear.until(lambda: ear.words)
        assert server_ear.words == [str(n) for n in range(1000)]
        assert ear.words == ["back"]
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.asyncio
async def test_a_dialer_waits_for_the_listener_and_comes_back_when_it_dies(
    short_folder: Path,
) -> None:
    path = short_folder / "a.sock"
    async with dialing(path) as ear:
        async with listening(path):
            await ear.until(lambda: ear.ups == 1)
        await ear.until(lambda: ear.downs == 1)
        async with listening(path):
            await ear.until(lambda: ear.ups == 2)


@pytest.mark.asyncio
async def test_a_listener_that_accepts_and_says_nothing_is_not_alive(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "HELLO_TIMEOUT_S", 0.02)
    path = short_folder / "a.sock"
    accepted = []
    stopped = socket.socket(socket.AF_UNIX)
    stopped.bind(str(path))
    stopped.listen()
    stopped.setblocking(False)
    async with dialing(path) as ear, asyncio.timeout(5):
        loop = asyncio.get_running_loop()
        accepted += [(await loop.sock_accept(stopped))[0] for _ in range(2)]
        assert ear.ups == 0
    for one in (*accepted, stopped):
        one.close()


@pytest.mark.asyncio
async def test_a_dialer_of_another_deployment_does_not_hammer_the_listener(
    short_folder: Path,
) -> None:
    path = short_folder / "a.sock"
    made: list[int] = []

    def make() -> Link[Any]:
        made.append(1)
        return Link(hello("listener", "ours"), INBOX, Ear())

    server, lock = await listen(path, make)
    async with dialing(path, hello("dialer", "theirs")) as ear:
        await asyncio.sleep(0.1)
        assert ear.ups == 0
        assert 1 <= len(made) <= 10
    server.close()
    lock.release()


@pytest.mark.asyncio
async def test_a_dialer_can_be_stopped_while_it_waits_for_a_hello(short_folder: Path) -> None:
    path = short_folder / "a.sock"
    stopped = socket.socket(socket.AF_UNIX)
    stopped.bind(str(path))
    stopped.listen()
    task = asyncio.create_task(dial(path, lambda: Link(hello(), INBOX, Ear())))
    await asyncio.sleep(0.05)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.5)
    assert done == {task}
    assert task.cancelled()
    stopped.close()


@pytest.mark.asyncio
async def test_a_dialer_that_is_stopped_leaves_no_link_behind(short_folder: Path) -> None:
    path = short_folder / "a.sock"
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _l, context: troubles.append(context))
    async with listening(path) as (server_ear, _):
        async with dialing(path) as ear:
            await ear.until(lambda: ear.ups)
        await server_ear.until(lambda: server_ear.downs)
    assert ear.downs == 1
    assert troubles == []


@pytest.mark.asyncio
async def test_a_second_listener_waits_for_the_first_and_never_steals_its_path(
    short_folder: Path,
) -> None:
    path = short_folder / "a.sock"
    async with listening(path) as (first, _):
        waiting = asyncio.create_task(
            listen(path, lambda: Link(hello("second"), INBOX, LinkOwner()))
        )
        await asyncio.sleep(0.06)
        assert not waiting.done()
        async with dialing(path) as ear:
            await ear.until(lambda: ear.ups)
            assert ear.links[0].peer is not None
            assert ear.links[0].peer.role == "listener"
        await first.until(lambda: first.downs)
    server, lock = await asyncio.wait_for(waiting, 5)
    server.close()
    lock.release()


@pytest.mark.asyncio
async def test_a_lock_names_its_holder_and_is_free_when_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = await take_lock(path)
    assert path.read_text() == str(os.getpid())
    second = PathLock(path)
    assert not second.try_take()
    first.release()
    assert second.try_take()
    second.release()


@pytest.mark.asyncio
async def test_a_path_left_by_the_dead_is_taken_over(short_folder: Path) -> None:
    path = short_folder / "a.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with listening(path), dialing(path) as ear:
        await ear.until(lambda: ear.ups)


# -- what cannot be read


class Lenient(Ear):
    """Passes over what it cannot read."""

    def __init__(self) -> None:
        super().__init__()
        self.unreads: list[bytes] = []

    def unread(self, link: Link[Any], frame: bytes, trouble: msgspec.MsgspecError) -> None:
        self.unreads.append(frame)


def raw(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"\xc1", msgspec.msgpack.encode({"type": "from the future"})])
async def test_an_unread_message_ends_the_link_where_its_owner_says_nothing_else(
    body: bytes,
) -> None:
    async with piped() as (ear, pipe):
        pipe.link.data_received(frame(Word("before")) + raw(body) + frame(Word("after")))
        assert pipe.is_aborted
        assert ear.words == ["before"]


@pytest.mark.asyncio
async def test_an_owner_may_pass_over_an_unread_message_and_hear_the_next() -> None:
    ear = Lenient()
    pipe = Pipe(ear)
    pipe.link.data_received(frame(hello("peer")) + raw(b"\xc1") + frame(Word("after")))
    assert (ear.unreads, ear.words, pipe.is_aborted) == ([b"\xc1"], ["after"], False)
    pipe.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(("schema", "is_welcome"), [(6, False), (7, True), (8, True), (9, True)])
async def test_releases_beside_one_another_talk_and_others_are_told_why_not(
    schema: int, *, is_welcome: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_told", set())
    me = msgspec.structs.replace(hello("me"), schema=8)
    peer = msgspec.structs.replace(hello("peer"), schema=schema)
    fault = link_module.find_hello_fault(me, peer)
    assert (fault is None) == is_welcome
    if fault is not None:
        assert "schema 6, ours 8" in fault
    async with piped(greet=False) as (ear, pipe):
        pipe.link._me = me
        pipe.link.data_received(frame(peer) + frame(Word("hear me")))
        assert pipe.is_aborted != is_welcome
        assert ear.words == (["hear me"] if is_welcome else [])


@pytest.mark.asyncio
async def test_a_refused_peer_is_told_of_once_however_often_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "_told", set())
    lines: list[str] = []
    monkeypatch.setattr(link_module.log, "error", lambda *_, **words: lines.append(words["why"]))
    for _ in range(3):
        async with piped(deployment="ours", greet=False) as (_ear, pipe):
            pipe.link.data_received(frame(hello("peer", "theirs")))
    assert lines == ["it belongs to deployment theirs, we to ours"]


@pytest.mark.asyncio
async def test_the_process_at_the_other_end_can_be_killed() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)"
    )
    try:
        async with piped(greet=False) as (_, pipe):
            other = msgspec.structs.replace(hello("peer"), pid=child.pid)
            pipe.link.data_received(frame(other))
            pipe.link.end_peer()
            assert await asyncio.wait_for(child.wait(), 10) == -signal.SIGKILL
            assert pipe.is_aborted
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.asyncio
async def test_a_peer_in_our_own_process_or_long_gone_is_only_cut_off() -> None:
    for pid in (os.getpid(), 2**22 + 1):
        async with piped(greet=False) as (_, pipe):
            pipe.link.data_received(frame(msgspec.structs.replace(hello("peer"), pid=pid)))
            pipe.link.end_peer()
            assert pipe.is_aborted
