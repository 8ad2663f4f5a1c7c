"""How fast and how exact Chatwright is, beside the best other tools on the same machine; see README.md."""
