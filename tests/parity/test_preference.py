"""Reward model, DPO, IPO, KTO and ORPO give trl's losses on the batches of its own data loaders."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from chatwright.chat import ChatTemplate
from chatwright.data.example import Document, Example
from chatwright.model.load import load_folder
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import Batch
from chatwright.train.likelihood import document_label_counts, document_sums, token_log_probs
from chatwright.train.objective import Objective, StageContext
from chatwright.train.objectives.dpo import DPO, DPOSettings
from chatwright.train.objectives.kto import KTO, KTOSettings
from chatwright.train.objectives.orpo import ORPO, ORPOSettings
from chatwright.train.objectives.reward import RewardModel, RewardSettings

TOLERANCE = 1e-6  # of losses around 1, in float32
WORDS = ["the", "sky", "is", "blue", "why", "what", "who", "red", "green", "grass", "sun", "warm", "cold", "yes", "no"]
PAIRS = [
    ("why", " the sky is blue", " no"),
    ("what is green", " grass", " the sun is red no yes"),
    ("who", " yes yes", " the cold sun"),
    ("is the sun warm", " yes the sun is warm", " no no"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and the same after some training: policy and reference must differ for a loss to say anything."""
    from transformers import LlamaConfig, LlamaForCausalLM

    root = tmp_path_factory.mktemp("parity")
    tokenizer = _word_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    for name in ("reference", "policy"):
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return root / "policy", root / "reference"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo"])
def test_dpo(folders: tuple[Path, Path], tmp_path: Path, loss_type: str) -> None:
    from trl import DPOConfig, DPOTrainer

    theirs, batch = _their_loss(DPOTrainer, DPOConfig, folders, tmp_path, _pair_data(), loss_type=loss_type, beta=0.5)
    examples = _pairs(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    settings = DPOSettings(beta=0.5, loss_type=loss_type)  # type: ignore[arg-type]
    ours = _with_reference(DPO, settings, folders, tmp_path, examples)
    assert ours == pytest.approx(theirs, abs=TOLERANCE)


def test_dpo_with_smoothed_labels(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from trl import DPOConfig, DPOTrainer

    options = {"loss_type": "robust", "label_smoothing": 0.2}
    theirs, batch = _their_loss(DPOTrainer, DPOConfig, folders, tmp_path, _pair_data(), **options)
    examples = _pairs(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    smoothed = [
        _with_reference(DPO, DPOSettings(label_smoothing=epsilon), folders, tmp_path / str(epsilon), examples)
        for epsilon in (0.0, 0.2)
    ]
    # Their "robust" loss is ((1 - ε) l - ε l') / (1 - 2ε) of the plain losses l and l' of a pair and its reverse, the
    # conservative one ours (1 - ε) l + ε l'; both are made of the same two numbers.
    plain, conservative = smoothed
    reverse = (conservative - 0.8 * plain) / 0.2
    assert (0.8 * plain - 0.2 * reverse) / 0.6 == pytest.approx(theirs, abs=5 * TOLERANCE)


@pytest.mark.parametrize("swapped", [False, True])
def test_kto(folders: tuple[Path, Path], tmp_path: Path, swapped: bool) -> None:
    from trl import KTOConfig, KTOTrainer

    data = [
        {"prompt": prompt, "completion": answer, "label": good}
        for prompt, chosen, rejected in PAIRS[:2]
        for answer, good in ((chosen, True), (rejected, False))
    ]
    weights = {"desirable_weight": 1.3, "undesirable_weight": 0.7, "beta": 0.2}
    policy, reference = folders[::-1] if swapped else folders
    theirs, batch = _their_loss(KTOTrainer, KTOConfig, (policy, reference), tmp_path, data, **weights)
    ids = _unpadded(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    examples = [
        Example(example.documents, {"label": float(label)}) for example, label in zip(ids, batch["label"], strict=True)
    ]
    goal = _made_before(KTO, KTOSettings(**weights), (policy, reference), tmp_path, examples)
    assert _mean_loss(goal, examples) == pytest.approx(theirs, abs=TOLERANCE)
    baseline, count = goal.loss(goal.context.model, Batch.of(examples)).figures["kl"]
    assert (float(baseline) == 0) == swapped  # the mean may be below 0, the baseline not
    assert swapped or baseline / count > 0.01


def test_orpo(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    # trl imitates the prompt too, and averages over tokens rather than pairs; of prompts of one token nothing can be
    # imitated, and of answers of one length the averages are equal.
    pairs = [("why", " sky is blue", " no"), ("who", " the sun yes", " cold")]
    theirs, batch = _their_loss(
        ORPOTrainer, ORPOConfig, (folders[0], None), tmp_path, _pair_data(pairs), beta=0.3, max_length=64
    )
    examples = []
    for index in range(len(pairs)):
        documents = []
        for side in ("chosen", "rejected"):
            kept = batch[f"{side}_attention_mask"][index].bool()
            learned = batch[f"{side}_labels"][index][kept] != -100
            documents.append(_document(batch[f"{side}_input_ids"][index][kept], learned))
        assert not documents[0].mask[0]
        examples.append(Example(tuple(documents)))
    goal = ORPO(_context(ORPOSettings(beta=0.3), folders[0], tmp_path))
    assert _mean_loss(goal, examples) == pytest.approx(theirs, abs=TOLERANCE)


@pytest.mark.parametrize("options", [{}, {"center_rewards_coefficient": 0.05}])
def test_reward_model(folders: tuple[Path, Path], tmp_path: Path, options: dict[str, float]) -> None:
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    policy = folders[0]
    goal = RewardModel(_context(RewardSettings(**options), policy, tmp_path))  # type: ignore[arg-type]
    torch.nn.init.normal_(goal.score.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    model = AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1, dtype=torch.float32)
    model.score.weight.data.copy_(goal.score.weight.data)
    data = [{**row, "margin": 0.25 * index} for index, row in enumerate(_pair_data())]
    trainer = RewardTrainer(
        model=model,
        args=_config(RewardConfig, tmp_path, **options),
        train_dataset=_dataset(data),
        processing_class=_word_tokenizer(),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    theirs = trainer.compute_loss(trainer.model.eval(), dict(batch)).item()
    rows = _unpadded(batch["input_ids"], batch["attention_mask"], torch.zeros_like(batch["input_ids"]))
    half = len(rows) // 2
    examples = [
        Example((*chosen.documents, *rejected.documents), {"margin": float(margin)})
        for chosen, rejected, margin in zip(rows[:half], rows[half:], batch["margin"], strict=True)
    ]
    assert _mean_loss(goal, examples) == pytest.approx(theirs, abs=TOLERANCE)


def test_summed_log_probabilities_are_those_of_transformers(folders: tuple[Path, Path]) -> None:
    from transformers import AutoModelForCausalLM

    tokenizer = _word_tokenizer()
    examples, expected = [], []
    theirs = AutoModelForCausalLM.from_pretrained(folders[0], dtype=torch.float32).eval()
    for prompt, chosen, _ in PAIRS:
        start = len(tokenizer(prompt)["input_ids"])
        ids = torch.tensor(tokenizer(prompt + chosen)["input_ids"])
        examples.append(Example((_document(ids, torch.arange(len(ids)) >= start),)))
        with torch.no_grad():
            log_probs = theirs(ids[None]).logits[0, :-1].log_softmax(-1)
        expected.append(log_probs.gather(1, ids[1:, None])[start - 1 :].sum().item())
    batch = Batch.of(examples, multiple_of=16)
    model = load_folder(folders[0])
    assert document_sums(token_log_probs(model, batch), batch).tolist() == pytest.approx(expected, abs=1e-5)
    assert document_label_counts(batch).tolist() == [len(chosen.split()) for _, chosen, _ in PAIRS]


def _with_reference(
    kind: type[Objective], settings: Any, folders: tuple[Path, Path], tmp_path: Path, examples: list[Example]
) -> float:
    return _mean_loss(_made_before(kind, settings, folders, tmp_path, examples), examples)


def _made_before(
    kind: type[Objective], settings: Any, folders: tuple[Path, Path], tmp_path: Path, examples: list[Example]
) -> Objective:
    """An objective that was made while the model was the reference; it is the policy now."""
    tmp_path.mkdir(exist_ok=True)
    context = _context(settings, folders[1], tmp_path)
    goal = kind(context)
    goal.prepare([Batch.of(examples, multiple_of=32)])
    policy = load_folder(folders[0])
    context.model.load_state_dict(policy.state_dict())
    return goal


def _context(settings: Any, folder: Path, tmp_path: Path) -> StageContext:
    tokenizer = Tokenizer.from_folder(folder)
    return StageContext(
        settings=settings,
        model=load_folder(folder, dtype=torch.float32).requires_grad_(True),
        tokenizer=tokenizer,
        template=ChatTemplate(tokenizer, "{{ messages[0]['content'] }}"),
        folder=tmp_path,
        seed=0,
        device=torch.device("cpu"),
    )


def _mean_loss(goal: Objective, examples: list[Example]) -> float:
    batch = Batch.of(examples, multiple_of=32)
    loss = goal.loss(goal.context.model, batch)
    loss.total.backward()  # type: ignore[no-untyped-call]
    return float(loss.total.detach()) / goal.items(batch)


def _their_loss(
    trainer_class: Any,
    config_class: Any,
    folders: tuple[Path, Path | None],
    tmp_path: Path,
    data: list[dict[str, Any]],
    **options: Any,
) -> tuple[float, dict[str, Tensor]]:
    from transformers import AutoModelForCausalLM

    models = {
        name: AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for name, folder in zip(("model", "ref_model"), folders, strict=True)
        if folder is not None
    }
    trainer = trainer_class(
        **models,
        args=_config(config_class, tmp_path, **options),
        train_dataset=_dataset(data),
        processing_class=_word_tokenizer(),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model.eval(), dict(batch))
    return loss.item(), batch


def _config(config_class: Any, tmp_path: Path, **options: Any) -> Any:
    return config_class(
        output_dir=str(tmp_path / "theirs"),
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        **options,
    )


def _dataset(data: list[dict[str, Any]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(data)


def _pair_data(pairs: list[tuple[str, str, str]] = PAIRS) -> list[dict[str, Any]]:
    return [{"prompt": prompt, "chosen": chosen, "rejected": rejected} for prompt, chosen, rejected in pairs]


def _pairs(ids: Tensor, attention: Tensor, learned: Tensor) -> list[Example]:
    rows = _unpadded(ids, attention, learned)
    half = len(rows) // 2
    return [
        Example((*chosen.documents, *rejected.documents))
        for chosen, rejected in zip(rows[:half], rows[half:], strict=True)
    ]


def _unpadded(ids: Tensor, attention: Tensor, learned: Tensor) -> list[Example]:
    return [
        Example((_document(row[kept.bool()], mask[kept.bool()]),))
        for row, kept, mask in zip(ids, attention, learned, strict=True)
    ]


def _document(ids: Tensor, learned: Tensor) -> Document:
    return Document(ids.numpy().astype(np.int32), learned.bool().numpy())


def _word_tokenizer() -> Any:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
