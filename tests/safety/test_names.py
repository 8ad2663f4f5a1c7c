"""Names of people are found by a token classifier in a folder, and a folder that is none is refused with a sentence."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from chatwright.errors import ConfigError
from chatwright.safety.names import load_name_finder
from chatwright.safety.pii import redact

WORDS = ["[PAD]", "[UNK]", "Alice", "Smith", "met", "Bob", "in", "Paris", "."]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token classifier that has learned three names by heart."""
    folder = tmp_path_factory.mktemp("names")
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    labels = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label=labels,
        label2id={name: index for index, name in labels.items()},
    )
    model = BertForTokenClassification(config).eval()  # no dropout: few steps are enough
    model.bert.embeddings.position_embeddings.weight.requires_grad_(False).zero_()  # where a word stands says nothing
    ids = torch.tensor([[2, 3, 4, 5, 6, 7, 8, 1, 2, 1]])
    wanted = torch.tensor([[1, 2, 0, 1, 0, 3, 0, 0, 1, 0]])
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(80):
        optimiser.zero_grad()
        model(input_ids=ids, labels=wanted).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return folder


def test_names_are_redacted_beside_forms(classifier: Path) -> None:
    names = load_name_finder(classifier)
    text = "Alice Smith met Bob in Paris . a@example.com"
    assert redact(text, names) == "[NAME] met [NAME] in Paris . [EMAIL]"


def test_names_in_a_text_of_many_windows_are_found(classifier: Path) -> None:
    names = load_name_finder(classifier)
    assert redact("Paris . " * 900 + "Bob", names) == "Paris . " * 900 + "[NAME]"
    assert names("  ") == []


def test_a_folder_that_is_no_token_classifier_is_refused(tmp_path: Path, classifier: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load_name_finder(tmp_path)
    config = json.loads((classifier / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(ConfigError, match="no token classifier"):
        load_name_finder(tmp_path)
