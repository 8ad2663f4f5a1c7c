"""Comparisons of texts, on cases worked out by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest

from chatwright.eval.calibration import brier_score, expected_calibration_error, probabilities, reliability
from chatwright.eval.graders import grade
from chatwright.eval.intervals import bootstrap, mean, share
from chatwright.eval.metrics import last_number, loose, macro_f1, tidy, token_f1, tokens


def test_words_are_words_and_chinese_characters() -> None:
    assert tokens("The cat, it's 3！") == ["cat", "its", "3"]
    assert tokens("天空是蓝色的 OK。") == ["天", "空", "是", "蓝", "色", "的", "ok"]
    assert tokens("さくら 꽃") == ["さ", "く", "ら", "꽃"]
    assert tidy("  ＡＢＣ\u3000 １２ \n") == "ABC 12"
    assert loose("A theatre, the Apple!") == "theatre apple"


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the blue sky", "blue sky", 1.0),
        ("a red sky", "blue sky", 0.5),
        ("天空蓝", "蓝天", 0.8),  # 2 characters in common, of 3 and 2
        ("no", "blue", 0.0),
        ("", "blue", 0.0),
        ("!", "?", 1.0),
        ("sky sky sky", "sky", 0.5),  # each word counts as often as it occurs in both
    ],
)
def test_token_f1(answer: str, reference: str, f1: float) -> None:
    assert token_f1(answer, reference) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so she earns $1,234.50 a day.", "1234.5"),
        ("16 - 3 - 4 = 9, times 2 is 18.", "18"),
        ("答案是１８个", "18"),
        ("it falls to −3", "-3"),
        (".5", "0.5"),
        ("none", None),
    ],
)
def test_the_last_number_counts(text: str, number: str | None) -> None:
    assert last_number(text) == (None if number is None else Decimal(number))


def test_graders_take_the_best_reference_and_both_languages() -> None:
    answers, references = ["Blue sky.", "蓝色", "It is 18."], [["blue sky", "red"], ["蓝色的"], ["18.0"]]
    assert grade("exact", answers, references, seed=0).scores["exact"] == [0, 0, 0]
    assert grade("loose", answers, references, seed=0).scores["loose"] == [1, 0, 0]
    assert grade("number", answers, references, seed=0).scores["number"] == [0, 0, 1]
    assert grade("contains", ["yes, blue sky!", "蓝色的天", "no"], references, seed=0).scores["contains"] == [1, 1, 0]
    assert grade("f1", answers, references, seed=0).scores["f1"] == pytest.approx([1, 0.8, 0])


def test_bleu_is_sacrebleus_with_the_tokenizer_of_the_language() -> None:
    import sacrebleu

    answers, references = ["天空今天非常蓝。", "他在家里看书。"], [["今天天空非常蓝。"], ["他正在家里看书。"]]
    found = grade("bleu", answers, references, seed=0)
    streams = [[right[0] for right in references]]
    assert found.figures["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(answers, streams, tokenize="zh").score)
    assert "tok:zh" in str(found.signature)
    assert found.figures["bleu"].low <= found.figures["bleu"].value <= found.figures["bleu"].high
    english = grade("bleu", ["the cat sat on the mat"], [["the cat sat on a mat", "a cat sat on the mat"]], seed=0)
    assert "tok:13a" in str(english.signature)
    chrf = grade("chrf", answers, [*references[:1], ["他正在家里看书。", "他在家看书。"]], seed=0)  # unequal numbers
    assert 0 < chrf.figures["chrf"].value < 100
    assert len(chrf.scores["chrf"]) == 2


def test_rouge_reads_chinese_and_agrees_with_the_library_on_english() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    chinese = grade("rouge", ["今天天空很蓝"], [["天空今天很蓝"]], seed=0).scores
    assert chinese["rouge1"] == [1.0]
    assert chinese["rouge_l"][0] == pytest.approx(4 / 6)
    answer, reference = "the quick brown fox jumps over", "quick foxes jump over brown dogs"
    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(
        reference.replace("the ", ""), answer.replace("the ", "")
    )
    ours = grade("rouge", [answer], [[reference]], seed=0).scores
    assert ours["rouge1"][0] == pytest.approx(theirs["rouge1"].fmeasure)
    assert ours["rouge2"][0] == pytest.approx(theirs["rouge2"].fmeasure)
    assert ours["rouge_l"][0] == pytest.approx(theirs["rougeL"].fmeasure)


def test_macro_f1_weighs_classes_equally() -> None:
    predicted, true = np.array([0, 0, 1, 1, 3]), np.array([0, 0, 0, 1, 1])
    # Class 0: 2 hits of 2 and 3; class 1: 1 of 2 and 2; class 2 occurs nowhere; class 3 is never true.
    assert macro_f1(predicted, true) == pytest.approx((4 / 5 + 2 / 4 + 0) / 3)


def test_wilson_interval() -> None:
    some = share([1.0] * 8 + [0.0] * 2)
    assert (some.low, some.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    none = share([0.0] * 10)
    assert (none.low, none.high) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, size=400).tolist()
    first, again, other = mean(values, seed=0), mean(values, seed=0), mean(values, seed=1)
    assert first == again
    assert first != other
    half = 1.96 * float(np.std(values)) / math.sqrt(400)
    assert first.high - first.low == pytest.approx(2 * half, rel=0.1)
    assert bootstrap(1, lambda index: 3.0, seed=0).low == 3.0


def test_calibration_of_a_model_that_knows_what_it_knows() -> None:
    confidence, right = np.array([0.8] * 10), np.array([1.0] * 8 + [0.0] * 2)
    assert expected_calibration_error(confidence, right, seed=0).value == pytest.approx(0)
    boastful = expected_calibration_error(np.array([0.95] * 4 + [0.55] * 4), np.array([1.0, 0, 0, 0] * 2), seed=0)
    assert boastful.value == pytest.approx(0.5 * 0.7 + 0.5 * 0.3)
    bins = reliability(np.array([0.1, 0.11, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert [bin_.count for bin_ in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[9].confidence, bins[9].accuracy) == (1.0, 1.0)


def test_brier_score_sums_over_classes() -> None:
    rows = probabilities([[math.log(0.7), math.log(0.2), math.log(0.1)], [0.0, 0.0]])
    found = brier_score(rows, [0, 1], seed=0).value
    assert found == pytest.approx(((0.3**2 + 0.2**2 + 0.1**2) + (0.5**2 + 0.5**2)) / 2)
