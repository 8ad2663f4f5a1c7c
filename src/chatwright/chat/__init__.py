"""Messages to token ids: templates, loss masks, the context's limit. Knows nothing of weights, engines or HTTP."""

from chatwright.chat.context import Fitted, Policy, fit_context
from chatwright.chat.default import CHATML
from chatwright.chat.messages import Message, parse_messages
from chatwright.chat.template import ChatTemplate, Rendered

__all__ = ["CHATML", "ChatTemplate", "Fitted", "Message", "Policy", "Rendered", "fit_context", "parse_messages"]
