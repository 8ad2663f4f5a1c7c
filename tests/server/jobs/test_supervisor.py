"""The supervisor by itself: it ends when the server does."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from chatwright.server.jobs.supervisor import Supervisor

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("moments", range(5))
async def test_news_at_the_moment_of_the_end_do_not_keep_it_alive(moments: int, tmp_path: Path) -> None:
    """Found as a server that did not stop: a job had ended just when it was told to."""
    workshop: Any = SimpleNamespace(stopping=threading.Event())
    with FileLock(tmp_path / ".supervisor.lock"):  # another process has the jobs
        supervisor = Supervisor(workshop, tmp_path, max_training=1)
        task = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0.2)
        supervisor.wake()
        for _ in range(moments):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        task.cancel()
    assert done
    assert workshop.stopping.is_set()
