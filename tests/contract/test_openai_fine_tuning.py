"""Files, uploads and fine-tuning jobs through the official client. Training itself is played: see tests/server/jobs."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import openai as openai_package
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.fine_tuning import FineTuningJob

from tests.server.jobs.conftest import PRETENDED, chats, preferences


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tiny_model_dir: Path) -> Callable[[str], None]:
    """``pretended("finish")``: how training ends from now on."""

    def play(part: str) -> None:
        monkeypatch.setattr("chatwright.server.jobs.child._PROGRAM", ("-S", str(PRETENDED), part, str(tiny_model_dir)))

    return play


def until(openai: OpenAI, job: FineTuningJob, status: str) -> FineTuningJob:
    """The job when it has a status; fails after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = openai.fine_tuning.jobs.retrieve(job.id)
        if found.status == status:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_files(openai: OpenAI) -> None:
    content = chats(12)
    file = openai.files.create(file=("chats.jsonl", content), purpose="fine-tune")
    assert openai.files.wait_for_processing(file.id).filename == "chats.jsonl"
    assert openai.files.retrieve(file.id) == file
    assert openai.files.content(file.id).read() == content
    more = [openai.files.create(file=b"x", purpose="user_data").id for _ in range(3)]
    listed = [each.id for each in openai.files.list(purpose="user_data", limit=1, order="asc")]
    assert listed == sorted(more, key=listed.index)
    assert len(listed) == 3, "pages follow each other"
    for file_id in (file.id, *more):
        assert openai.files.delete(file_id).deleted
    with pytest.raises(openai_package.NotFoundError):
        openai.files.retrieve(file.id)


def test_a_file_in_parts(openai: OpenAI) -> None:
    content = chats(200)
    upload = openai.uploads.upload_file_chunked(
        file=content, filename="chats.jsonl", bytes=len(content), mime_type="text/jsonl", purpose="fine-tune",
        part_size=1000,
    )  # fmt: skip
    assert upload.status == "completed"
    assert upload.file is not None
    assert openai.files.content(upload.file.id).read() == content
    begun = openai.uploads.create(bytes=3, filename="a", mime_type="text/plain", purpose="user_data")
    assert openai.uploads.cancel(begun.id).status == "cancelled"
    with pytest.raises(openai_package.BadRequestError, match="completed, cancelled or expired"):
        openai.uploads.parts.create(begun.id, data=b"abc")


@pytest.mark.anyio
async def test_files_of_asynchronous_programs(async_openai: AsyncOpenAI) -> None:
    file = await async_openai.files.create(file=io.BytesIO(b"hello"), purpose="user_data")
    assert (await async_openai.files.content(file.id)).read() == b"hello"
    await async_openai.files.delete(file.id)


def test_a_job_is_paused_resumed_and_served(openai: OpenAI, pretended: Callable[[str], None]) -> None:
    pretended("last")
    file = openai.files.create(file=("pairs.jsonl", preferences(12)), purpose="fine-tune")
    job = openai.fine_tuning.jobs.create(
        model="tiny",
        training_file=file.id,
        suffix="kind",
        metadata={"team": "contract"},
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 3}}},
    )
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert job.method.dpo.hyperparameters.beta == 0.2
    until(openai, job, "running")
    openai.fine_tuning.jobs.pause(job.id)
    until(openai, job, "paused")
    pretended("finish")
    openai.fine_tuning.jobs.resume(job.id)
    done = until(openai, job, "succeeded")
    assert done.fine_tuned_model in [model.id for model in openai.models.list()]
    events = list(openai.fine_tuning.jobs.list_events(job.id, limit=3))
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    assert events[0].message == "The job has successfully completed"
    assert any(event.type == "metrics" for event in events)
    checkpoints = list(openai.fine_tuning.jobs.checkpoints.list(job.id, limit=2))
    assert [checkpoint.step_number for checkpoint in checkpoints] == [5, 4, 3, 2, 1]
    assert job.id in [each.id for each in openai.fine_tuning.jobs.list(limit=1, metadata={"team": "contract"})]
    table = openai.files.content(done.result_files[0]).text
    assert table.startswith("step,train_loss")
    assert done.fine_tuned_model is not None
    assert openai.models.delete(done.fine_tuned_model).deleted


def test_a_job_is_cancelled(openai: OpenAI, pretended: Callable[[str], None]) -> None:
    pretended("last")
    file = openai.files.create(file=("chats.jsonl", chats(12)), purpose="fine-tune")
    job = openai.fine_tuning.jobs.create(model="tiny", training_file=file.id)
    assert openai.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai_package.BadRequestError, match="is cancelled and cannot be paused"):
        openai.fine_tuning.jobs.pause(job.id)
    with pytest.raises(openai_package.NotFoundError):
        openai.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
