"""The web page, as it was built from ``web/``: files beside this one, in ``dist``. Knows nothing of what they show."""
