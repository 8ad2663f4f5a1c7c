"""The CPU runner: prompts through PyTorch's matrix products, tokens through one compiled step over packed weights.

Bottom up: ``emit``, ``tiles``, ``attention_tiles`` and ``scalars`` are vector instructions; ``math``, ``matmul``,
``norms``, ``attention`` and ``rows`` are loops over them; ``step`` is a whole model. ``pack`` and ``weights`` bring a
model into the form they read, ``team`` has the threads, ``prefill`` the prompts; ``runner`` fulfils the protocol, and
``build`` is the way from disk. ``state`` says what they all work on, ``jit`` how they are compiled.
"""
