"""Reinforcement learning end to end on a tiny model: the reward rises, and what it rests on is exact."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from chatwright.chat import ChatTemplate, Message
from chatwright.data.example import Document
from chatwright.data.rows import Prompt
from chatwright.errors import InputError
from chatwright.model.load import load_folder
from chatwright.model.lora import add_adapters
from chatwright.model.score_head import ScoreHead, save_score_head
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED
from chatwright.train.experience import Experience
from chatwright.train.likelihood import hidden_states, token_log_probs
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives import objective
from chatwright.train.objectives.ppo import PPO
from chatwright.train.objectives.rollouts import RolloutObjective, RolloutSettings
from chatwright.train.precision import compute_dtype
from chatwright.train.rollout import Answer, EncodedPrompt, sample_answers
from chatwright.train.rollout_feed import RolloutFeed, RolloutPlan
from chatwright.train.stage import Stage
from chatwright.train.stage_model import save_weights
from chatwright.train.watch import Record, SilentWatcher

PROMPTS = [Prompt((Message("user", text),), "a", {}) for text in ("hello", "why", "what is the sky", "who")]
SMALL = {"max_length": 64, "max_completion_length": 8, "bf16": False, "reward_funcs": "rewards:many_a"}


@pytest.fixture(autouse=True)
def rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewards.py").write_text(
        "def many_a(completions):\n"
        "    return [text.count('a') / 8 for text in completions]\n"
        "def letters(completions):\n"
        "    return [sum(map(str.isalpha, text)) / 8 for text in completions]\n"
        "def one(completions):\n"
        "    return [1.0 for _ in completions]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def made(name: str, folder: Path, tmp_path: Path, **settings: Any) -> RolloutObjective:
    kind = objective(name)
    tokenizer = Tokenizer.from_folder(folder)
    model = load_folder(folder).requires_grad_(True)
    if settings.get("lora"):
        add_adapters(model, r=4, seed=0)
    context = StageContext(
        settings=kind.Settings(**{**SMALL, **settings}),
        model=model,
        tokenizer=tokenizer,
        template=ChatTemplate(tokenizer),
        folder=tmp_path,
        seed=3,
        device=torch.device("cpu"),
    )
    goal = kind(context)
    assert isinstance(goal, RolloutObjective)
    return goal


def stage(goal: RolloutObjective, steps: int) -> Stage:
    return Stage(
        name="rl",
        settings=goal.context.settings,
        model=goal.context.model,
        objective=goal,
        feed=goal.feed(PROMPTS),
        total_steps=steps,
        seed=3,
        save_model=lambda folder: save_weights(goal.context.model, folder),
    )


class Watched(SilentWatcher):
    def __init__(self) -> None:
        self.records: list[Record] = []

    def stepped(self, record: Record) -> None:
        self.records.append(record)

    def figures(self, name: str) -> list[float]:
        return [float(record[name]) for record in self.records if name in record]


@pytest.mark.parametrize(
    ("name", "settings", "steps"),
    [
        ("grpo", {"loss_type": "dr_grpo", "num_iterations": 2}, 30),
        ("grpo", {"lora": {"r": 4}, "learning_rate": 2e-2, "beta": 0.001}, 24),
        ("ppo", {"num_ppo_epochs": 2, "num_mini_batches": 2, "value_learning_rate": 5e-3, "kl_coef": 0.005}, 56),
    ],
)
def test_the_reward_rises(
    name: str, settings: dict[str, Any], steps: int, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Slow, 10 seconds each: only that it learns shows that sampling, rewards, advantages and loss fit together."""
    goal = made(name, tiny_model_dir, tmp_path, **{"learning_rate": 5e-3, **settings})
    watcher = Watched()
    run_stage(stage(goal, steps), run=tmp_path / "run", watcher=watcher)
    rewards = watcher.figures("reward")
    assert len(rewards) == steps
    assert np.mean(rewards[:2]) < 0.1
    assert np.mean(rewards[-4:]) > 0.5
    assert max(watcher.figures("sampler_gap")) < 1e-4  # nats: the engine computes what the trainer does


@pytest.mark.parametrize("name", ["grpo", "ppo"])
@pytest.mark.parametrize("bf16", [False, "auto"])
def test_before_the_first_update_the_ratio_is_exactly_one(
    name: str, bf16: bool | str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    reuse = {"grpo": {"num_iterations": 2}, "ppo": {}}[name]
    goal = made(name, tiny_model_dir, tmp_path, per_device_train_batch_size=5, temperature=0.8, **reuse)
    model = goal.context.model
    if bf16 and compute_dtype("auto", torch.device("cpu")) is torch.bfloat16:
        model.to(torch.bfloat16)
    model.train()
    for batch in goal.feed(PROMPTS).micro_batches(0):
        now = token_log_probs(model, batch, temperature=0.8)
        assert now.requires_grad
        assert torch.equal(now.detach(), batch.values["old_log_prob"])
        assert goal.loss(model, batch).figures["clip_ratio"][0] == 0


def test_the_end_of_an_answer_is_learned_and_a_cut_one_is_not_taken_for_finished(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    goal = made("grpo", tiny_model_dir, tmp_path, max_completion_length=24, mask_truncated_completions=True)
    end = goal.context.template.turn_end_id
    assert end is not None
    with torch.no_grad():  # about one token in twenty ends an answer
        goal.context.model.embed.weight *= 0.2
        goal.context.model.norm.weight *= 0.1
        goal.context.model.embed.weight[end] = goal.context.model.embed.weight.mean(0)
    answers = _sampled(goal)
    assert {answer.finished for answer in answers} == {True, False}
    assert all((int(answer.ids[-1]) == end) == answer.finished for answer in answers)
    experience = goal._collect(*_asked(goal), None)
    for answer, count, cut in zip(
        answers, experience.learned_counts, experience.answer_values["truncated"], strict=True
    ):
        assert count == (len(answer.ids) if answer.finished else 0)
        assert cut == (not answer.finished)
    batch = next(iter(experience.batches([range(len(answers))])))
    labels = batch.labels_N[batch.labels_N != IGNORED]
    assert (labels == end).sum() == sum(answer.finished for answer in answers)
    assert torch.isfinite(goal.loss(goal.context.model, batch).total)


def test_groups_of_equal_rewards_leave_the_model_alone(tiny_model_dir: Path, tmp_path: Path) -> None:
    goal = made("grpo", tiny_model_dir, tmp_path, reward_funcs="rewards:one", loss_type="grpo")
    batch = goal.feed(PROMPTS).micro_batches(0)[0]
    loss = goal.loss(goal.context.model, batch)
    assert loss.figures["zero_std_groups"][0] == loss.figures["zero_std_groups"][1]
    loss.total.backward()
    gradients = [parameter.grad for parameter in goal.context.model.parameters()]
    assert all(gradient is None or not gradient.any() for gradient in gradients)


def test_the_reward_is_received_after_the_last_token(tiny_model_dir: Path, tmp_path: Path) -> None:
    goal = made("ppo", tiny_model_dir, tmp_path, lam=0.0, gamma=1.0, kl_coef=0.0, missing_eos_penalty=0.25)
    assert isinstance(goal, PPO)
    documents = [
        Document(np.array([9, 8, *answer], np.int32), np.arange(2 + len(answer)) >= 2) for answer in ([5, 6, 2], [7])
    ]
    values = {"reward": torch.tensor([1.0, 3.0]), "truncated": torch.tensor([0.0, 1.0])}
    experience = goal.learn_from(Experience.of(documents, values), [range(2)], None)
    # The values are 0 before anything is learned, so that with lambda 0 the returns are the rewards themselves.
    assert experience.token_values["returns"].tolist() == [0.0, 0.0, 1.0, 2.75]
    advantage = experience.token_values["advantage"]
    assert advantage.mean().item() == pytest.approx(0, abs=1e-6)
    assert advantage.var().item() == pytest.approx(1, abs=1e-5)


def test_the_price_of_distance_follows_the_distance(tiny_model_dir: Path, tmp_path: Path) -> None:
    goal = made("ppo", tiny_model_dir, tmp_path, kl_coef=0.1, target_kl=4.0)
    document = Document(np.array([9, 5, 6], np.int32), np.array([False, True, True]))
    sampled = Experience.of([document], {"reward": torch.ones(1), "truncated": torch.zeros(1)})
    first = goal.learn_from(sampled, [range(1)], None)
    assert first.answer_values["kl_coef"].item() == pytest.approx(0.1)
    for kl, factor in ((40.0, 1.02), (4.0, 1.0), (3.6, 0.99), (-5.0, 0.98)):
        after = goal.learn_from(sampled, [range(1)], first.with_answers(kl=torch.tensor([kl])))
        assert after.answer_values["kl_coef"].item() == pytest.approx(0.1 * factor)


def test_values_learn_at_their_own_rate(tiny_model_dir: Path, tmp_path: Path) -> None:
    moved = []
    for rate in (1e-4, 1e-2):
        goal = made("ppo", tiny_model_dir, tmp_path, learning_rate=1e-4, value_learning_rate=rate)
        assert isinstance(goal, PPO)
        batch = goal.feed(PROMPTS).micro_batches(0)[0]
        optimizer = torch.optim.AdamW(goal.value.parameters(), lr=1e-4)
        goal.loss(goal.context.model, batch).total.backward()
        optimizer.step()
        hidden = hidden_states(goal.context.model, batch)
        moved.append(goal.values(hidden, batch).abs().mean().item())
    assert moved[1] == pytest.approx(100 * moved[0], rel=1e-3)


@pytest.mark.parametrize("killed_after", [2, 3])
@pytest.mark.parametrize("name", ["grpo", "ppo"])
def test_a_resumed_run_repeats_the_uninterrupted_one(
    name: str, killed_after: int, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Between two rollouts, and in the middle of one, whose answers the weights no longer give."""
    settings: dict[str, Any] = {"train_batch_size": 8, "learning_rate": 3e-3, "reward_funcs": "rewards:letters"}
    settings |= {"save_steps": killed_after, "save_total_limit": 6}
    settings |= {"num_iterations": 3} if name == "grpo" else {"num_ppo_epochs": 3, "target_kl": 0.001}
    straight, resumed = Watched(), Watched()
    run_stage(stage(made(name, tiny_model_dir, tmp_path, **settings), 6), run=tmp_path / "run", watcher=straight)
    run_stage(
        stage(made(name, tiny_model_dir, tmp_path, **settings), 6),
        run=tmp_path / "again",
        watcher=resumed,
        resume_from=tmp_path / "run" / f"checkpoint-{killed_after}",
    )
    for figure in ("loss", "reward", "grad_norm", "entropy"):
        assert resumed.figures(figure) == straight.figures(figure)[killed_after:]
    assert len(set(straight.figures("reward"))) > 1


def test_what_is_asked_depends_on_the_step_alone_and_is_divided_among_processes() -> None:
    asked: dict[int, list[tuple[int, int]]] = {}

    def collect(prompts: Sequence[EncodedPrompt], seeds: Sequence[int], *_: object) -> Experience:
        asked[rank] = list(zip([int(prompt.ids[0]) for prompt in prompts], seeds, strict=True))
        return Experience.of([Document(np.array([1, 2], np.int32), np.array([False, True]))] * 2 * len(prompts), {})

    prompts = [EncodedPrompt(PROMPTS[0], np.array([number], np.int32)) for number in range(5)]
    plan = RolloutPlan(prompts=4, answers_per_prompt=2, parts=2, passes=3, answers_per_micro_batch=3)
    assert plan.steps == 6
    seen = []
    for step in (0, 6, 12, 600):
        for world_size in (1, 2):
            for rank in range(world_size):
                feed = RolloutFeed(prompts, plan, collect, seed=1, rank=rank, world_size=world_size)
                batches = feed.micro_batches(step)
                assert len(batches) == -(-4 // world_size // 3)
            if world_size == 2:
                asked[0] = asked[0] + asked[1]
            seen.append(asked[0])
        assert seen[-1] == seen[-2]
    assert sorted(number for number, _ in seen[0] + seen[2])[:5] == [0, 0, 1, 1, 2] or len(seen[0]) == 4
    assert {number for number, _ in seen[0] + seen[2][:1]} == set(range(5))  # an epoch has every prompt once
    assert len({seed for part in seen[::2] for _, seed in part}) == 16
    assert feed.steps_per_epoch == 12


def test_a_reward_model_is_a_reward(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir, folder)
    weight = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    save_score_head(folder, ScoreHead(weight, ("reward",)), pad_token_id=0)
    goal = made("grpo", tiny_model_dir, tmp_path, reward_funcs=[str(folder), "rewards:one"], reward_weights=[2.0, 0.5])
    answers = _sampled(goal)[:3]
    total, parts = goal._rewards(answers)
    torch.testing.assert_close(total, 2 * parts[0] + 0.5 * parts[1])
    # Read where the answer's turn ends, by the model's own template.
    chat = [*PROMPTS[0].messages, Message("assistant", answers[0].text)]
    ids = goal.context.template.render(chat).ids
    end = len(ids) - 1 - ids[::-1].index(goal.context.template.turn_end_id)
    hidden = goal.context.model(torch.tensor([ids[: end + 1]]), num_logits=0).last_hidden_state
    assert parts[0, 0].item() == pytest.approx((hidden[0, -1] @ weight[0]).item(), abs=0.05)
    record = goal.feed(PROMPTS).micro_batches(0)[0].values
    assert {"reward", "reward_model", "reward_one"} <= record.keys()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("grpo", {"train_batch_size": 12}, "no multiple of num_generations"),
        ("grpo", {"max_completion_length": 64}, "leaves no room for a prompt"),
        ("grpo", {"eval_data": "held-out"}, "eval_data has no effect"),
        ("grpo", {"gradient_accumulation_steps": 2}, "follows from train_batch_size"),
        ("grpo", {"lora": {"lora_dropout": 0.1}}, "lora_dropout must be 0"),
        ("grpo", {"z_loss": 0.1}, "z_loss has no effect"),
        ("ppo", {"kl_coef": 0, "target_kl": 1.0}, "a kl_coef of 0 stays 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        objective(name).Settings(**{**SMALL, **settings})


def test_prompts_that_are_too_long_are_left_out(
    tiny_model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    goal = made("grpo", tiny_model_dir, tmp_path, train_batch_size=8)
    long = Prompt((Message("user", "why " * 60),), None, {})
    goal.feed([long, *PROMPTS])
    assert "1 prompts are left out: longer than max_length" in caplog.text
    with pytest.raises(InputError, match="has no prompts"):
        goal.feed([long])


def _asked(goal: RolloutObjective) -> tuple[list[EncodedPrompt], list[int], list[range]]:
    feed = goal.feed(PROMPTS)
    plan = goal.plan
    size = plan.prompts * plan.answers_per_prompt
    return list(feed._prompts)[: plan.prompts], list(range(plan.prompts)), plan.division(size, 0)


def _sampled(goal: RolloutObjective) -> list[Answer]:
    prompts, seeds, _ = _asked(goal)
    settings = goal.context.settings
    assert isinstance(settings, RolloutSettings)
    context = goal.context
    return sample_answers(
        context.model,
        context.tokenizer,
        context.template,
        prompts,
        seeds,
        num_answers=goal.plan.answers_per_prompt,
        max_tokens=settings.max_completion_length,
        temperature=settings.temperature,
    )
