"""From files and hubs to packed batches of token ids, resumable to the exact token.

Knows text, chats and tokenizers; knows nothing of models' weights or of training.
"""
