"""The view inside an answer: how sure the model was, where it looked, what its layers said. Knows no weights."""
