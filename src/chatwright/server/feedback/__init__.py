"""What people think of answers: thumbs, reasons, corrections, choices. The material of the next model.

Knows messages and ratings, and whether administrators may read; nothing of training.
"""
