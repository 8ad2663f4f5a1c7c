"""Conversations in and out: files of ours, ChatGPT's export, and the forms that training data has.

Knows conversations and their tables; nothing of models. What comes in is somebody else's word: it is read with limits,
and nothing in it counts as typed or generated here.
"""
