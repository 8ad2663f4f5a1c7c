"""A stage's data: read, split, tokenised into stores of the run, and opened as feeds."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.chat import ChatTemplate
from chatwright.data.encode import RowEncoder
from chatwright.data.identity import identity_within
from chatwright.data.report import DataReport
from chatwright.data.rows import Row, Text
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows
from chatwright.data.split import split_rows
from chatwright.data.store import INDEX, ExampleStore
from chatwright.data.tokenize import build_store, open_prepared
from chatwright.errors import ConfigError, InputError
from chatwright.safety.pii import redact
from chatwright.train.objective import Encoder, Objective
from chatwright.train.packed_feed import PackedFeed
from chatwright.train.recipe import Recipe
from chatwright.train.run_folder import write_text
from chatwright.train.settings import StageSettings
from chatwright.train.stage_rows import RowWork, StageRows
from chatwright.train.world import World

# Held out where the recipe does not say. A hundredth of a corpus of texts is plenty; chats are few.
_TEXT_FRACTION = 0.01
_OTHER_FRACTION = 0.05

REPORT_FILE = "report.json"


@dataclass(frozen=True, slots=True)
class StageData:
    """The tokenised data of a stage.

    Attributes:
        train: what is learned from.
        validation: what is held out; None where nothing is.
        report: how it came about, as plain values: what was read, dropped, cut.
    """

    train: ExampleStore
    validation: ExampleStore | None
    report: dict[str, Any]


def stage_rows(recipe: Recipe, stage: str, kind: type[Objective]) -> StageRows:
    """The rows of a stage, read anew each time they are iterated over."""
    settings = recipe.stage_settings(stage)
    key = recipe.data_key(stage)
    reports: dict[str, DataReport] = {}
    rows = _Rows(recipe.data[key], kind.rows, key, reports)
    if settings.eval_data is not None:
        held_out = _Rows(recipe.data[settings.eval_data], kind.rows, settings.eval_data, reports)
        return StageRows(rows, held_out, _source(recipe, [key, settings.eval_data]), reports)
    fraction = recipe.data[key].validation_fraction
    if fraction is None:
        fraction = _TEXT_FRACTION if Text in kind.rows else _OTHER_FRACTION
    train, validation = split_rows(rows, fraction, recipe.seed)
    return StageRows(train, validation, _source(recipe, [key], fraction, recipe.seed), reports)


def prepare_stage_data(
    recipe: Recipe,
    stage: str,
    kind: type[Objective],
    template: ChatTemplate,
    folder: Path,
    *,
    settings: StageSettings,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    answered: Callable[[int, int], None] = lambda rows, tokens: None,
) -> StageData:
    """Tokenise a stage's data, unless that was done before.

    Args:
        recipe: of the run.
        stage: its name.
        kind: its objective.
        template: of the model.
        folder: where the stores go.
        settings: of the stage, completed by what its data tells.
        seed: of the stage.
        progress: told how many rows are read and how many tokens are written.
        answered: told the same of a teacher that writes what is learned from.

    Raises:
        InputError: there is nothing to learn from, or the data is not what the stage needs.
    """
    encoder = kind.encoder(settings, template)
    data = recipe.data[recipe.data_key(stage)]
    if _is_prepared(data):
        return _prepared_data(recipe, stage, settings, encoder, folder / REPORT_FILE)
    rows = kind.make_rows(
        stage_rows(recipe, stage, kind), RowWork(settings, folder / "rows", seed, recipe.device, answered)
    )
    try:
        train = build_store(
            rows.train,
            encoder,
            folder / "train",
            source=rows.source,
            max_refused=data.max_malformed,
            progress=progress,
        )
    except InputError as error:
        raise InputError(f"stage {stage}: {data.label}: {error}; look at it with `chatwright data preview`") from None
    held_out = _held_out(rows, encoder, folder / "validation", given=_given_held_out(recipe, settings))
    return StageData(train, held_out, _report(rows, train, held_out, folder / REPORT_FILE))


def _is_prepared(data: DataSettings) -> bool:
    """Whether it is a folder that ``chatwright data prepare`` made."""
    return isinstance(data.path, str) and (Path(data.path) / INDEX).is_file()


def _prepared_data(recipe: Recipe, stage: str, settings: StageSettings, encoder: Encoder, report: Path) -> StageData:
    """Data that was tokenised before the run; what is held out has to be prepared too, as ``eval_data``."""
    key, held_out_key = recipe.data_key(stage), settings.eval_data
    if held_out_key is not None and not _is_prepared(recipe.data[held_out_key]):
        raise ConfigError(
            f"stages.{stage}: data.{key} is prepared, but data.{held_out_key}, its eval_data, is not; prepare it with "
            "`chatwright data prepare`, or leave eval_data out"
        )
    if settings.objective == "distill_text":
        raise ConfigError(f"stages.{stage}: a teacher answers rows of text, and data.{key} is prepared tokens")
    keys = {"train": key} if held_out_key is None else {"train": key, "validation": held_out_key}
    folders = {part: str(recipe.data[name].path) for part, name in keys.items()}
    assert isinstance(encoder, RowEncoder)  # every encoder of an objective that reads rows of files
    stores = {part: open_prepared(folder, encoder) for part, folder in folders.items()}
    train, held_out = stores["train"], stores.get("validation")
    told = {
        "sources": {},
        "prepared": folders,
        "train": _facts(train),
        "validation": None if held_out is None else _facts(held_out),
    }
    _write_report(report, told)
    return StageData(train, held_out, told)


def open_stage_data(folder: Path) -> StageData:
    """What :func:`prepare_stage_data` has just put into ``folder``, for another process."""
    report: dict[str, Any] = json.loads((folder / REPORT_FILE).read_text("utf-8"))
    folders = report.get("prepared") or {part: folder / part for part in ("train", "validation")}
    held_out = folders.get("validation")
    return StageData(
        ExampleStore.open(folders["train"]),
        ExampleStore.open(held_out) if held_out is not None and Path(held_out).is_dir() else None,
        report,
    )


def feed_of(
    store: ExampleStore, settings: StageSettings, kind: type[Objective], *, rows_per_step: int, seed: int, world: World
) -> PackedFeed:
    """Packed rows of a store; how they are divided into micro-batches is for the loop to choose."""
    share = -(-rows_per_step // world.size)
    wanted = settings.per_device_train_batch_size
    return PackedFeed(
        store,
        max_length=settings.max_length,
        rows_per_step=rows_per_step,
        rows_per_micro_batch=share if wanted == "auto" else min(wanted, share),
        seed=seed,
        rank=world.rank,
        world_size=world.size,
        split_documents=Text in kind.rows,
    )


class _Rows:
    """Rows of one entry of the recipe's data, read from the start by each iteration; reported once one is asked for."""

    def __init__(
        self, settings: DataSettings, kinds: tuple[type, ...], key: str, reports: dict[str, DataReport]
    ) -> None:
        self._settings, self._kinds, self._key, self._reports = settings, kinds, key, reports

    def __iter__(self) -> Iterator[Row]:
        report = self._reports[self._key] = DataReport()
        yield from read_rows(self._settings, kinds=self._kinds, report=report, redact=redact)


def _source(recipe: Recipe, keys: Sequence[str], *choices: float) -> str:
    """What the rows are made from: entries of the recipe's data, their files, and how they are split."""
    return json.dumps([[identity_within(recipe.data[key]) for key in keys], choices])


def _given_held_out(recipe: Recipe, settings: StageSettings) -> DataSettings | None:
    """The data that a person gave to be held out."""
    return None if settings.eval_data is None else recipe.data[settings.eval_data]


def _held_out(rows: StageRows, encoder: Encoder, folder: Path, *, given: DataSettings | None) -> ExampleStore | None:
    """The store of the validation rows. Few rows may well leave none of them to hold out.

    A part of the training data has been counted with it, and among its few rows a single refused one is many percent.
    """
    max_refused = 1.0 if given is None else given.max_malformed
    try:
        return build_store(rows.validation, encoder, folder, source=rows.source, max_refused=max_refused)
    except InputError:
        if given is not None:
            raise
        return None


def _report(rows: StageRows, train: ExampleStore, held_out: ExampleStore | None, path: Path) -> dict[str, Any]:
    """What happened to the data; a store that was made before has its report beside it."""
    if not rows.reports and path.is_file():
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return stored
    report = {
        "sources": {key: report.to_json() for key, report in rows.reports.items()},
        "train": _facts(train),
        "validation": None if held_out is None else _facts(held_out),
    }
    _write_report(path, report)
    return report


def _write_report(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(report, ensure_ascii=False, indent=2) + "\n")


def _facts(store: ExampleStore) -> dict[str, Any]:
    facts = store.facts
    return {
        "examples": facts.num_examples,
        "tokens": facts.num_tokens,
        "learned_tokens": facts.num_learned,
        "changed_or_dropped": dict(facts.tally),
    }
