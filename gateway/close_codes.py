"""How a connection may end."""

from __future__ import annotations


class CloseCode:
    """Close codes beyond RFC 6455's, and those of it we use."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY = 1008
    SLOW_CONSUMER = 4008
    MALFORMED = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    LOGIN_TIMEOUT = 4408
    REPLACED = 4409
    TRY_AGAIN_LATER = 1013
