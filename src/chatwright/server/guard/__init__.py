"""What stands before every route: where a request may come from, how large it may be, and what answers tell browsers.

Knows nothing of accounts beyond the name of their cookie; who may do what is decided behind it.
"""

from chatwright.server.guard.guard import Guard
from chatwright.server.guard.security_headers import SecurityHeaders
from chatwright.server.guard.start import refuse_unsafe_start

__all__ = ["Guard", "SecurityHeaders", "refuse_unsafe_start"]
