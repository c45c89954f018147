"""One compliance shard as a process of its own: hears the lessor, uses what it has, asks for more.

    python lending_child.py SOCKET_FD PAGE SHARD SLOT SEED

What it believes it has stands in its slot of the shared page: raised only after it was lent, and
lowered before it is given back. Its words go over the socket as msgpack, one a datagram.
"""

from __future__ import annotations

import mmap
import socket
import struct
import sys
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from actors import messages as m
from compliance.leases import Leaseholder, Lent, Recalled

decode = msgspec.msgpack.Decoder(Lent | Recalled).decode
encode = msgspec.msgpack.Encoder().encode
SLOT = struct.Struct("<q")
CENTS = 100


def main(fd: int, page: Path, shard: str, slot: int, seed: int) -> None:
    """Trades for ever, on credit."""
    luck = Random(seed)
    link = socket.socket(fileno=fd)
    link.settimeout(0.002)
    with page.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 0)
    holder = Leaseholder(shard, 0)
    while True:
        try:
            word = decode(link.recv(4096))
        except TimeoutError:
            word = None
        if word is not None:
            if word.epoch > holder.epoch:
                holder = Leaseholder(shard, word.epoch, holder.used)
            answer = holder.hear(word)
            # Lowered before the word that gives it back; raised once it was lent.
            SLOT.pack_into(shared, slot * SLOT.size, int(holder.amount * CENTS))
            if answer is not None:
                link.send(encode(answer))
        wants = Decimal(luck.randrange(1, 40))
        if luck.random() < 0.6 and not holder.take(wants):
            link.send(encode(m.Wanted(shard=shard, more=wants)))
        elif luck.random() < 0.6:
            holder.give(Decimal(luck.randrange(1, 60)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
