"""Origins that look like one that is allowed (`https://desk.example`), and are not."""

from __future__ import annotations

ALLOWED = "https://desk.example"

HOSTS = (
    "desk.example.evil.example", "evildesk.example", "sub.desk.example", "desk.example.",
    "desk.example:443", "desk.example:8443", "desk.example:", "desk.exampl", "desk-example",
    "xn--desk-example", "DESK.example", "Desk.Example", "desk.EXAMPLE", "desk.example%00",
    "desk.example%2eevil", "desk.example@evil.example", "evil.example@desk.example",
    "evil.example#desk.example", "evil.example?desk.example", "evil.example/desk.example",
    "desk.example/", "desk.example//", "desk.example/path", "desk.example?x", "desk.example#x",
    "desk.example,evil.example", "desk.example;evil", "[desk.example]", "127.0.0.1", "localhost",
    "localhost:5174", "localhost:05173", "localhost", "0.0.0.0", "[::1]", "desk.example\\evil",  # noqa: S104
    "desk。example", "desk․example", "desk.example﹒", "d\u0435sk.example",
)  # fmt: skip
SCHEMES = ("https://{}", "http://{}", "HTTPS://{}", "wss://{}", "{}")
WORDS = (
    "null", "Null", "NULL", "undefined", "*", "https://*", "https://", "https:", "//desk.example",
    "file:" + "//", "about:blank", "data:", "javascript:alert(1)", "chrome-extension://abc",
    "https:/desk.example", "https:desk.example", "https://desk.example https://desk.example",
    "https://desk.example, https://desk.example", "https://desk.example\thttps://evil.example",
    "ftp://desk.example", "https://desk.example:0443", "https://user@desk.example",
)  # fmt: skip
TRICKS = sorted({scheme.format(host) for scheme in SCHEMES for host in HOSTS} | set(WORDS))
