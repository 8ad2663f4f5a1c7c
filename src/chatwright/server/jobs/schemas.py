"""Fine-tuning jobs in OpenAI's form. Status "paused" is beyond what its documentation lists, as its pause is."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from chatwright.server.database.tables import FineTuningEvent, FineTuningJob
from chatwright.server.fields import STORABLE, Identifier
from chatwright.server.jobs.folder import Checkpoint
from chatwright.server.jobs.naming import checkpoint_name

Status = Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
Level = Literal["info", "warn", "error"]
Kind = Literal["message", "metrics"]
ORGANIZATION = "chatwright"

_Count = Annotated[int, Field(strict=True, ge=1, le=1024)]
_Epochs = Annotated[int, Field(strict=True, ge=1, le=50)]
_Multiplier = Annotated[float, Field(strict=True, gt=0, le=100, allow_inf_nan=False)]
_Beta = Annotated[float, Field(strict=True, gt=0, le=2, allow_inf_nan=False)]
_MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64), STORABLE]
_MetadataValue = Annotated[str, StringConstraints(max_length=512), STORABLE]
Metadata = Annotated[dict[_MetadataKey, _MetadataValue], Field(max_length=16)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hyperparameters(_Body):
    """How long and how fast is learned; "auto" is decided by the data."""

    n_epochs: _Epochs | Literal["auto"] = Field("auto", description="passes over the data")
    batch_size: _Count | Literal["auto"] = Field("auto", description="examples in a step, on average")
    learning_rate_multiplier: _Multiplier | Literal["auto"] = Field("auto", description="of the method's usual rate")


class PreferenceHyperparameters(Hyperparameters):
    """Those of preferences."""

    beta: _Beta | Literal["auto"] = Field("auto", description="pull towards the model as it was")


class Supervised(_Body):
    """Settings of supervised fine-tuning."""

    hyperparameters: Hyperparameters = Field(default_factory=lambda: Hyperparameters.model_validate({}))


class Preferences(_Body):
    """Settings of direct preference optimisation."""

    hyperparameters: PreferenceHyperparameters = Field(
        default_factory=lambda: PreferenceHyperparameters.model_validate({})
    )


class MethodBody(_Body):
    """Which method, and its settings under its own name."""

    type: Literal["supervised", "dpo"]
    supervised: Supervised | None = None
    dpo: Preferences | None = None

    @model_validator(mode="after")
    def _only_its_own(self) -> Self:
        other = "dpo" if self.type == "supervised" else "supervised"
        if getattr(self, other) is not None:
            raise ValueError(f"settings of {other} have no effect on the method {self.type}; leave them out")
        return self

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Those of the method."""
        if self.type == "dpo":
            return (self.dpo or Preferences()).hyperparameters
        return (self.supervised or Supervised()).hyperparameters


class NewJob(_Body):
    """A model to be fine-tuned."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=255), STORABLE]
    training_file: Identifier
    validation_file: Identifier | None = None
    method: MethodBody | None = None
    hyperparameters: Hyperparameters | None = Field(None, description="older place for those of method supervised")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31 - 1)] | None = None
    suffix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    metadata: Metadata | None = None
    integrations: list[dict[str, Any]] | None = Field(
        None, description="none are supported: metrics come as events, and as a file at the end"
    )

    @field_validator("integrations")
    @classmethod
    def _none(cls, value: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if value:
            raise ValueError("integrations are not offered here; metrics come as events, and as a file at the end")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.hyperparameters is not None and self.method is not None:
            raise ValueError("hyperparameters stand in method or beside it, not in both")
        return self

    @property
    def chosen_method(self) -> MethodBody:
        """The method, wherever its settings stand."""
        if self.method is not None:
            return self.method
        own = Supervised() if self.hyperparameters is None else Supervised(hyperparameters=self.hyperparameters)
        return MethodBody(type="supervised", supervised=own)


class JobSample(BaseModel):
    """What the model in training answered after a step."""

    step: int
    prompt: str
    answer: str


class SampleList(BaseModel):
    """Answers, the newest first. They are none of an administrator's business who may not read what people write."""

    data: list[JobSample]
    may_read: bool


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    param: str | None


class JobObject(BaseModel):
    """A job."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str = ORGANIZATION
    status: Status
    error: JobError | None
    training_file: str
    validation_file: str | None
    result_files: list[str]
    hyperparameters: dict[str, Any]
    method: dict[str, Any]
    seed: int
    trained_tokens: int | None
    metadata: dict[str, str] | None
    integrations: list[dict[str, Any]] = []
    user_provided_suffix: str | None

    @classmethod
    def of(cls, row: FineTuningJob) -> Self:
        """The job in a row."""
        kind = row.method["type"]
        return cls(
            id=row.id,
            created_at=row.created_ms // 1000,
            finished_at=_seconds(row.finished_ms),
            estimated_finish=_seconds(row.estimated_finish_ms),
            model=row.model,
            fine_tuned_model=row.fine_tuned_model,
            status=cast(Status, row.status),
            error=row.error,
            training_file=row.training_file,
            validation_file=row.validation_file,
            result_files=row.result_files,
            hyperparameters=row.method["hyperparameters"],
            method={"type": kind, kind: {"hyperparameters": row.method["hyperparameters"]}},
            seed=row.seed,
            trained_tokens=row.trained_tokens,
            metadata=row.details or None,
            user_provided_suffix=row.suffix,
        )


class EventObject(BaseModel):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Level
    message: str
    type: Kind
    data: dict[str, Any]

    @classmethod
    def of(cls, row: FineTuningEvent) -> Self:
        """The event in a row."""
        return cls(
            id=row.id,
            created_at=row.created_ms // 1000,
            level=cast(Level, row.level),
            message=row.message,
            type=cast(Kind, row.kind),
            data=row.data,
        )


class CheckpointMetrics(BaseModel):
    """What was measured at a checkpoint."""

    step: int
    valid_loss: float | None
    full_valid_loss: float | None


class CheckpointObject(BaseModel):
    """A state of training that is kept."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuning_job_id: str
    fine_tuned_model_checkpoint: str
    step_number: int
    metrics: CheckpointMetrics

    @classmethod
    def of(cls, job: FineTuningJob, checkpoint: Checkpoint) -> Self:
        """A checkpoint of a job."""
        return cls(
            id=f"ftckpt_{job.id.removeprefix('ftjob-')}-{checkpoint.step}",
            created_at=checkpoint.created_ms // 1000,
            fine_tuning_job_id=job.id,
            fine_tuned_model_checkpoint=checkpoint_name(job, checkpoint.step),
            step_number=checkpoint.step,
            metrics=CheckpointMetrics(
                step=checkpoint.step, valid_loss=checkpoint.eval_loss, full_valid_loss=checkpoint.eval_loss
            ),
        )


class JobList(BaseModel):
    """A page of jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list[JobObject]
    has_more: bool


class EventList(BaseModel):
    """A page of events, the newest first."""

    object: Literal["list"] = "list"
    data: list[EventObject]
    has_more: bool


class CheckpointList(BaseModel):
    """A page of checkpoints, the newest first."""

    object: Literal["list"] = "list"
    data: list[CheckpointObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class JobDeleted(BaseModel):
    """A job that is no more, nor the model that came of it."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    deleted: Literal[True] = True


def _seconds(time_ms: int | None) -> int | None:
    return None if time_ms is None else time_ms // 1000
