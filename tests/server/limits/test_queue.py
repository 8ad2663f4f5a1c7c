"""Places and turns: nobody waits behind all of somebody else's requests, nothing is lost when clients vanish."""

import asyncio

import pytest

from chatwright.server.limits.queue import FairQueue, QueueFullError

ONE = {"model:tiny": 1}


async def until_waiting(queue: FairQueue, count: int) -> None:
    async with asyncio.timeout(5):
        while queue.num_waiting != count:
            await asyncio.sleep(0)


class Visits:
    """Requests that note when they have their place, and keep it until they are let go."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.may_go: asyncio.Queue[None] = asyncio.Queue()

    async def start(self, owner: str, slots: dict[str, int] = ONE) -> asyncio.Task[None]:
        async def visit() -> None:
            async with self.queue.place(owner, slots):
                self.order.append(owner)
                await self.may_go.get()

        task = asyncio.create_task(visit())
        self.tasks.append(task)
        await asyncio.sleep(0)
        return task

    async def finish(self) -> None:
        for _ in self.tasks:
            self.may_go.put_nowait(None)
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 5)


@pytest.mark.anyio
async def test_people_take_turns_however_much_one_of_them_asks() -> None:
    visits = Visits(FairQueue(100))
    for owner in ("anna", *["anna"] * 5, "bert", "carla", "bert"):
        await visits.start(owner)
    await visits.finish()
    assert visits.order == ["anna", "anna", "bert", "carla", "anna", "bert", "anna", "anna", "anna"]


@pytest.mark.anyio
async def test_ones_own_limit_does_not_hold_up_others() -> None:
    queue = FairQueue(100)
    visits = Visits(queue)
    anna, bert = ({"model:tiny": 8, f"user:{name}": 2} for name in ("anna", "bert"))
    for _ in range(4):
        await visits.start("anna", anna)
    await visits.start("bert", bert)
    assert visits.order == ["anna", "anna", "bert"]
    assert queue.num_waiting == 2
    await visits.finish()
    assert visits.order == ["anna", "anna", "bert", "anna", "anna"]
    assert queue.num_waiting == queue.taken("model:tiny") == queue.taken("user:anna") == 0


@pytest.mark.anyio
async def test_a_slow_model_does_not_hold_up_another() -> None:
    visits = Visits(FairQueue(100))
    await visits.start("anna", {"model:slow": 1})
    await visits.start("bert", {"model:slow": 1})
    await visits.start("bert", {"model:quick": 1})
    assert visits.order == ["anna", "bert"]
    await visits.finish()


@pytest.mark.anyio
async def test_a_full_queue_refuses_whoever_filled_it_and_makes_way_for_others() -> None:
    queue = FairQueue(3)
    visits = Visits(queue)
    for _ in range(4):
        await visits.start("anna")
    assert not queue.has_room("anna", ONE)
    with pytest.raises(QueueFullError):
        async with queue.place("anna", ONE):
            pass
    assert queue.has_room("bert", ONE)
    await visits.start("bert")
    with pytest.raises(QueueFullError):  # the newest of anna's three that waited
        await visits.tasks[3]
    assert queue.num_waiting == 3
    await visits.finish()
    assert visits.order == ["anna", "anna", "bert", "anna"]


@pytest.mark.anyio
async def test_who_goes_away_while_waiting_takes_nobodys_turn() -> None:
    queue = FairQueue(10)
    visits = Visits(queue)
    await visits.start("anna")
    gone = await visits.start("bert")
    await visits.start("carla")
    gone.cancel()
    await until_waiting(queue, 1)
    await visits.finish()
    assert visits.order == ["anna", "carla"]
    assert queue.taken("model:tiny") == 0


@pytest.mark.anyio
async def test_who_goes_away_just_when_the_turn_comes_gives_it_on() -> None:
    queue = FairQueue(10)
    visits = Visits(queue)
    first = await visits.start("anna")
    gone = await visits.start("bert")
    await visits.start("carla")
    first.cancel()
    while queue.num_waiting == 2:  # bert has been given the place, and has not run yet
        await asyncio.sleep(0)
    gone.cancel()
    await visits.finish()
    assert visits.order == ["anna", "carla"]
    assert queue.taken("model:tiny") == queue.num_waiting == 0
