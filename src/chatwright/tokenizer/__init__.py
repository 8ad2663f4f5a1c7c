"""Text to token ids and back: load, train, save, stream. Knows nothing of messages, templates' meaning, or models."""

from chatwright.tokenizer.decoding import Detokenizer
from chatwright.tokenizer.settings import TokenizerSettings
from chatwright.tokenizer.text_encoder import TextEncoder
from chatwright.tokenizer.tokenizer import Tokenizer
from chatwright.tokenizer.training import CHATML_TOKENS, train_bpe

__all__ = ["CHATML_TOKENS", "Detokenizer", "TextEncoder", "Tokenizer", "TokenizerSettings", "train_bpe"]
