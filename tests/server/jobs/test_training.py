"""Jobs that really train, with the tiny model, in a process of their own."""

import pytest

from tests.server.jobs.conftest import Tuner, preferences

pytestmark = pytest.mark.anyio


async def test_a_job_becomes_a_model(tuner: Tuner) -> None:
    validation = await tuner.upload(
        b'{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]}\n'
    )
    job = await tuner.create(suffix="sums", validation_file=validation, metadata={"purpose": "a test"})
    assert job["object"] == "fine_tuning.job"
    assert job["status"] == "validating_files"
    assert job["method"]["supervised"]["hyperparameters"]["n_epochs"] == "auto"
    done = await tuner.until(job, "succeeded")
    print(await tuner.events(job))
    assert done["method"]["supervised"]["hyperparameters"] == {
        "n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.0,
    }  # fmt: skip
    assert done["fine_tuned_model"] == f"ft:tiny:chatwright:sums:{job['id'][-8:]}"
