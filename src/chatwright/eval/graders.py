"""What makes a generated answer right. A grader compares answers with references and returns figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from chatwright.errors import ConfigError
from chatwright.eval.intervals import RESAMPLES, Figure, mean, share
from chatwright.eval.metrics import last_number, loose, tidy, token_f1, tokens

GraderName = Literal["exact", "loose", "number", "contains", "f1", "bleu", "chrf", "rouge"]
GRADERS: tuple[GraderName, ...] = get_args(GraderName)

References = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says.

    Attributes:
        figures: over all answers, by name.
        scores: of each answer alone, by name; empty where only the whole can be graded.
        signature: how the figures were made, where a library gives a line for papers (sacreBLEU's).
    """

    figures: dict[str, Figure]
    scores: dict[str, list[float]]
    signature: str | None = None


def grade(
    name: GraderName, answers: Sequence[str], references: References, *, seed: int, language: str | None = None
) -> Grade:
    """Grade answers.

    Args:
        name: which grader.
        answers: what the model wrote; at least one.
        references: for each answer the right ones; at least one. An answer counts as its best match.
        seed: of the confidence intervals.
        language: "zh" splits Chinese by character for BLEU; None looks at the references.
    Raises:
        ConfigError: a library is missing.
    """
    if name in ("bleu", "chrf"):
        return _sacrebleu(name, answers, references, language)
    if name == "rouge":
        return _rouge(answers, references, seed)
    compare = _COMPARE[name]
    scores = [
        max(compare(answer, right) for right in all_right)
        for answer, all_right in zip(answers, references, strict=True)
    ]
    return Grade({name: mean(scores, seed=seed) if name == "f1" else share(scores)}, {name: scores})


def _exact(answer: str, reference: str) -> float:
    return float(tidy(answer) == tidy(reference))


def _loose(answer: str, reference: str) -> float:
    return float(tokens(answer) == tokens(reference))


def _contains(answer: str, reference: str) -> float:
    wanted = loose(reference)
    return float(bool(wanted) and wanted in loose(answer))


def _number(answer: str, reference: str) -> float:
    given = last_number(answer)
    return float(given is not None and given == last_number(reference))


_COMPARE: dict[str, Callable[[str, str], float]] = {
    "exact": _exact,
    "loose": _loose,
    "number": _number,
    "contains": _contains,
    "f1": token_f1,
}


def _sacrebleu(name: str, answers: Sequence[str], references: References, language: str | None) -> Grade:
    """Corpus BLEU or chrF, 0 to 100, with sacreBLEU's own bootstrap (its seed is part of the signature)."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise missing("sacrebleu", name) from None
    if language is None:
        language = "zh" if _mostly_chinese(references) else "other"
    metric: Any = BLEU(tokenize="zh" if language == "zh" else "13a") if name == "bleu" else CHRF()
    # One stream per rank of reference; a question with fewer of them has None there.
    most = max(len(all_right) for all_right in references)
    streams = [[right[i] if i < len(right) else None for right in references] for i in range(most)]
    score = metric.corpus_score(list(answers), streams, n_bootstrap=RESAMPLES)
    # The interval's public form is JSON; without any match there is none.
    centre, half = _confidence(score, metric)
    figure = Figure(float(score.score), max(0.0, centre - half), centre + half, "bootstrap")
    each = (
        [
            float(metric.sentence_score(answer, list(right)).score)
            for answer, right in zip(answers, references, strict=True)
        ]
        if name == "chrf"
        else []
    )
    return Grade({name: figure}, {name: each} if each else {}, str(metric.get_signature()))


def _confidence(score: Any, metric: Any) -> tuple[float, float]:
    import json

    facts = json.loads(score.format(width=6, signature=str(metric.get_signature()), is_json=True))
    return float(facts.get("confidence_mean", score.score)), float(facts.get("confidence_var", 0.0))


def _rouge(answers: Sequence[str], references: References, seed: int) -> Grade:
    """Mean F of ROUGE-1, -2 and -L (Lin 2004), 0 to 1, with words that Chinese has too."""
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
        from rouge_score.tokenizers import Tokenizer  # type: ignore[import-untyped]
    except ImportError:
        raise missing("rouge-score", "rouge") from None

    class Words(Tokenizer):  # type: ignore[misc]
        """The library's own tokenizer keeps a–z and 0–9 only: Chinese texts have no words there and score 0."""

        def tokenize(self, text: str) -> list[str]:
            return tokens(text)

    names = {"rouge1": "rouge1", "rouge2": "rouge2", "rougeL": "rouge_l"}
    scorer = RougeScorer(list(names), tokenizer=Words())
    scores: dict[str, list[float]] = {ours: [] for ours in names.values()}
    for answer, all_right in zip(answers, references, strict=True):
        best = scorer.score_multi(list(all_right), answer)
        for theirs, ours in names.items():
            scores[ours].append(float(best[theirs].fmeasure))
    return Grade({name: mean(values, seed=seed) for name, values in scores.items()}, scores)


def _mostly_chinese(references: References) -> bool:
    text = "".join(right for all_right in references for right in all_right)
    han = sum("\u4e00" <= char <= "\u9fff" for char in text)
    return han * 4 > len(text)


def missing(library: str, what: str) -> ConfigError:
    """The error for an optional library that is not installed."""
    return ConfigError(f"{what} needs {library}, which is not installed; run: pip install 'chatwright[eval]'")
