"""What a fine-tuned model is called: ``ft:BASE:chatwright:SUFFIX:ID``."""

from chatwright.server.database.tables import FineTuningJob

_BASE_LENGTH = 128


def model_name(job: FineTuningJob) -> str:
    """The name of the model that a job makes. A fine-tune of a fine-tune is named after the first base."""
    base = job.model.split(":")[1] if job.model.startswith("ft:") else job.model
    base = base.replace(":", "-")[:_BASE_LENGTH]
    return f"ft:{base}:chatwright:{job.suffix or ''}:{job.id[-8:]}"


def checkpoint_name(job: FineTuningJob, step: int) -> str:
    """The name of the model as it was after so many steps."""
    return f"{model_name(job)}:ckpt-step-{step}"
