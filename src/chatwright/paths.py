"""Where Chatwright keeps things on disk. Every other module asks here, so one variable moves them all."""

import os
from pathlib import Path

import platformdirs


def home_dir() -> Path:
    """The folder for what must not be lost (pulled models, histories); ``CHATWRIGHT_HOME`` moves it.

    The folder is not created here: a caller that writes creates what it needs.
    """
    override = os.environ.get("CHATWRIGHT_HOME")
    return Path(override).expanduser() if override else Path(platformdirs.user_data_dir("chatwright", appauthor=False))


def models_dir() -> Path:
    """Where ``chatwright models pull`` puts models."""
    return home_dir() / "models"


def cache_dir() -> Path:
    """The folder for what can be made again (converted weights, compiled kernels); ``CHATWRIGHT_CACHE`` moves it."""
    override = os.environ.get("CHATWRIGHT_CACHE")
    if override:
        return Path(override).expanduser()
    if os.environ.get("CHATWRIGHT_HOME"):
        return home_dir() / "cache"
    return Path(platformdirs.user_cache_dir("chatwright", appauthor=False))
