"""Where answers come from: the engine in this process, or another server with OpenAI's API, behind one interface."""
