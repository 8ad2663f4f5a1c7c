"""Which models are served, under which names, to whom: loaded when asked for, unloaded when others need the memory."""
