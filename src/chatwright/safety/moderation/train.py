"""Trains the classifier: ``python -m chatwright.safety.moderation.train`` writes ``model.npz`` anew, in a minute.

The score from which a text counts as abuse is set by cross-validation within the training examples, where sentences
of one template stay together. The held-out sentences decide nothing; they are counted at the end, for the card.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from chatwright.safety.moderation.classifier import CATEGORIES, ModerationClassifier
from chatwright.safety.moderation.examples import Example, held_out, training_examples
from chatwright.safety.moderation.features import features, sentences

_L2: Final = 1e-4  # by cross-validation; 1e-5 and 1e-3 are as good within a percent
_FOLDS: Final = 5
_FALSE_ALARMS: Final = 0.01  # of the single harmless sentences, for each category; most were written to look like abuse
_NEGLIGIBLE: Final = 0.01  # weights below this share of the largest are dropped: nine tenths of the file


def fit(examples: Sequence[Example], *, l2: float = _L2, steps: int = 60) -> ModerationClassifier:
    """Logistic regression, one for each category, by L-BFGS over all examples at once."""
    rows = [_features(example.text) for example in examples]
    hashes = np.unique(np.concatenate(rows))
    matrix = _matrix(rows, hashes)
    wanted = torch.tensor([[float(name in example.categories) for name in CATEGORIES] for example in examples])
    share = torch.tensor([example.weight for example in examples])[:, None]
    share = share / share.sum()
    weights = torch.zeros(len(hashes), len(CATEGORIES), requires_grad=True)
    bias = torch.full((len(CATEGORIES),), -2.0, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = torch.sparse.mm(matrix, weights) + bias
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        loss: torch.Tensor = (losses * share).sum() + l2 * weights.square().sum() / len(CATEGORIES) / 100
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return ModerationClassifier(hashes, weights.detach().numpy(), bias.detach().numpy(), {})


def out_of_fold(examples: Sequence[Example], *, l2: float = _L2) -> np.ndarray:
    """Values of every example by a classifier that saw nothing of its group, float [N, C]."""
    groups = sorted({example.group for example in examples})
    fold_of = dict(zip(groups, np.random.default_rng(0).permutation(len(groups)) % _FOLDS, strict=True))
    folds = np.array([fold_of[example.group] for example in examples])
    values = np.zeros((len(examples), len(CATEGORIES)))
    for fold in range(_FOLDS):
        classifier = fit([example for example, its in zip(examples, folds, strict=True) if its != fold], l2=l2)
        for index in np.flatnonzero(folds == fold).tolist():
            values[index] = classifier.logits(_features(examples[index].text))
    return values


def thresholds(examples: Sequence[Example], values: np.ndarray) -> np.ndarray:
    """For each category, the value that as few harmless sentences reach as are allowed."""
    harmless = np.array([not example.categories and example.group == example.text for example in examples])
    cuts: np.ndarray = np.quantile(values[harmless], 1 - _FALSE_ALARMS, axis=0)
    return cuts


def judge(classifier: ModerationClassifier) -> dict[str, Any]:
    """How many of the held-out sentences are flagged, by language and by what they are."""
    report: dict[str, Any] = {}
    for language, examples in held_out().items():
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for example in examples:
            flagged = {name for name, score in classifier.scores(example.text).items() if score >= 0.5}
            for name in example.categories:
                counts[name][0] += name in flagged
                counts[name][1] += 1
            kind = "any" if example.categories else "harmless"
            counts[kind][0] += bool(flagged)
            counts[kind][1] += 1
        report[language] = {
            name: {"flagged": flagged, "sentences": number} for name, (flagged, number) in sorted(counts.items())
        }
    return report


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("model.npz"))
    output = parser.parse_args().output
    torch.manual_seed(0)
    examples = training_examples()
    cuts = thresholds(examples, out_of_fold(examples))
    trained = _pruned(fit(examples))
    classifier = ModerationClassifier(trained[0], trained[1], trained[2] - cuts.astype(np.float32), {})
    classifier.save(output)
    classifier = ModerationClassifier.open(output)  # what is judged is what is kept, weights in a byte each
    classifier.card = {"examples": len(examples), "features": len(trained[0]), "held_out": judge(classifier)}
    classifier.save(output)
    print(json.dumps(classifier.card, indent=1))


def _features(text: str) -> np.ndarray:
    """Of a text as one sentence: examples are no longer."""
    return np.unique(np.concatenate([features(sentence) for sentence in sentences(text)]))


def _matrix(rows: Sequence[np.ndarray], hashes: np.ndarray) -> torch.Tensor:
    lines = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    columns = np.searchsorted(hashes, np.concatenate(rows))
    values = np.concatenate([np.full(len(row), len(row) ** -0.5, dtype=np.float32) for row in rows])
    return torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([lines, columns])),
        torch.from_numpy(values),
        (len(rows), len(hashes)),
        is_coalesced=True,
        check_invariants=False,
    )


def _pruned(classifier: ModerationClassifier) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hashes, weights, bias = classifier.parameters
    kept = np.abs(weights).max(axis=1) >= _NEGLIGIBLE * np.abs(weights).max()
    return hashes[kept], weights[kept], bias


if __name__ == "__main__":
    main()
