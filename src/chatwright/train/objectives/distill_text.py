"""Distillation from what a teacher says: its answers to the data's questions are learned as if a person had written
them. The two vocabularies have nothing to do with each other.
"""

import json
from collections import Counter
from typing import ClassVar

from pydantic import Field

from chatwright.data.identity import file_states
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Prompt
from chatwright.errors import ConfigError, InputError
from chatwright.loaded import LoadedModel
from chatwright.model.resolve import resolve_model
from chatwright.train.objectives.sft import SFT, SFTSettings
from chatwright.train.settings import StageSettings
from chatwright.train.stage_rows import RowWork, StageRows
from chatwright.train.teacher import CUT, AnswerFile, Teacher, TeacherSettings

_REPORT = "the teacher's answers"  # among the reports of the recipe's data


class DistillTextSettings(SFTSettings):
    """Fine-tuning, on answers that a teacher writes before it begins."""

    teacher: str = Field("", description="the model that answers: folder, .gguf file, catalogue or hub name, stage")
    max_completion_length: int = Field(512, ge=1, description="most tokens of an answer, as the teacher counts")
    temperature: float | None = Field(None, ge=0, description="of its answers; default: what its makers advise")
    keep_cut: bool = Field(False, description="also learn answers that were cut at max_completion_length")


class DistillText(SFT):
    """Cross-entropy of the teacher's answers. What the assistant says in the data is not read.

    Source:
        Kim and Rush 2016, arXiv 1606.07947, section 3.2 (sequence-level distillation), with sampled answers in place of
        the likeliest.
    """

    Settings: ClassVar[type[StageSettings]] = DistillTextSettings
    rows: ClassVar[tuple[type, ...]] = (Dialogue, Prompt)

    @classmethod
    def make_rows(cls, rows: StageRows, work: RowWork) -> StageRows:
        """The teacher's conversations, which stay in the stage's folder: they are written once."""
        settings = work.settings
        assert isinstance(settings, DistillTextSettings)
        if not settings.teacher:
            raise ConfigError(
                "distill_text needs `teacher`, the model to learn from: a folder, a .gguf file, a name or a stage"
            )
        how = TeacherSettings(settings.max_completion_length, settings.temperature, settings.keep_cut, work.seed)
        source = resolve_model(settings.teacher)
        made_from = json.dumps([rows.source, file_states(str(source)), repr(how)])
        train, validation = (AnswerFile(work.folder / f"{part}.jsonl", made_from) for part in ("train", "validation"))
        if not (train.complete and validation.complete):
            loaded = LoadedModel.open(source, device=work.device)
            try:
                teacher = Teacher(loaded, how)
                train.write(rows.train, teacher, work.progress)
                validation.write(rows.validation, teacher, work.progress)
            finally:
                loaded.close()
        if train.dropped.get(CUT) and not next(iter(train), None):
            raise InputError(
                f"every answer of the teacher reached {how.max_tokens} tokens and was cut; raise "
                "max_completion_length, or set keep_cut"
            )
        if rows.reports:
            rows.reports[_REPORT] = DataReport(dropped=Counter(train.dropped) + Counter(validation.dropped))
        return StageRows(train, validation, json.dumps([train.identity, validation.identity]), rows.reports)
