"""How far a client's clock is behind ours, as far as its pings tell."""

from __future__ import annotations

from gateway import wire


class ClientClock:
    """One session's; `offset_ns` is None until a ping measured it."""

    def __init__(self) -> None:
        self.offset_ns: int | None = None

    def measure(self, ping: wire.Ping, now_ns: int) -> dict[str, int]:
        """The ping's answer; what is least among the pings has the least delay in it."""
        if ping.client_ns is None:
            return {"server_ns": now_ns}
        # The whole round trip is taken off: an order may die early by it, never late.
        offset = now_ns - ping.client_ns - (ping.rtt_ns or 0)
        self.offset_ns = offset if self.offset_ns is None else min(self.offset_ns, offset)
        return {"server_ns": now_ns, "client_ns": ping.client_ns}
