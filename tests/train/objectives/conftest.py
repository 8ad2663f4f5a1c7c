"""The tiny model with its tokenizer, as an objective is given it."""

from pathlib import Path

import pytest
import torch

from chatwright.chat import ChatTemplate
from chatwright.model import load_model
from chatwright.tokenizer import Tokenizer
from chatwright.train.objective import StageContext
from chatwright.train.settings import StageSettings
from tests.train.objectives.steps import MakeContext


@pytest.fixture
def make_context(tiny_model_dir: Path, tmp_path: Path) -> MakeContext:
    """A context around the tiny model for any settings."""

    def make(settings: StageSettings) -> StageContext:
        model = load_model(tiny_model_dir, dtype="float32").requires_grad_(True).train()
        tokenizer = Tokenizer.from_folder(tiny_model_dir)
        return StageContext(settings, model, tokenizer, ChatTemplate(tokenizer), tmp_path, 0, torch.device("cpu"))

    return make
