"""Text of files that go with a question. Nothing is kept here: the text comes back and is sent with the question."""
