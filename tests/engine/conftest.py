"""A tokenizer whose ids are bytes, a fake model over it, and tiny real models."""

from collections.abc import Callable, Iterator

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.tokenizer import Tokenizer
from chatwright.tokenizer.decoding import byte_alphabet

EOS = 256
VOCAB_SIZE = 258


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Ids 0–255 are the bytes themselves; 256 ends an answer, 257 is another control token."""
    backend = tokenizers.Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(byte_alphabet())}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<end>", "<turn>")])
    return Tokenizer.from_json(backend.to_str())


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner(VOCAB_SIZE)


MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(tokenizer: Tokenizer) -> Iterator[MakeEngine]:
    """Makes engines that are closed at the end of the test, whatever happens."""
    engines: list[Engine] = []

    def make(runner: object, **options: object) -> Engine:
        engine = Engine(runner, tokenizer, eos_ids=[EOS], **options)  # type: ignore[arg-type]
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()
