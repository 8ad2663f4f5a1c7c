"""Privacy: what leaves the server, what is kept and for how long, what people may take with them and have deleted.

One policy object is asked by every room; nobody else decides. Knows conversations and feedback, nothing of models.
"""

from chatwright.server.privacy.policy import PrivacyPolicy, open_privacy

__all__ = ["PrivacyPolicy", "open_privacy"]
