"""The plan of a recipe: what each of its stages takes on machines that need not be here."""

from chatwright.data.rows import Text
from chatwright.errors import ConfigError
from chatwright.train.accelerators import Accelerator
from chatwright.train.objectives import objective
from chatwright.train.outlook import StageOutlook, outlook, shape_of
from chatwright.train.plan import TYPICAL_MFU, Plan, Work, assemble, plan_stage
from chatwright.train.recipe import Recipe


def plan_recipe(
    recipe: Recipe, *, gpu: Accelerator, gpus: int, mfu: float = TYPICAL_MFU, price_per_hour: float | None = None
) -> Plan:
    """The plan of a recipe; how much there is to train on is what its files hold.

    Args:
        recipe: see :func:`chatwright.train.recipe.load_recipe`.
        gpu, gpus, mfu, price_per_hour: as in :func:`chatwright.train.plan.plan_pretraining`.

    Raises:
        ConfigError: the recipe contradicts itself, or its model is not on this machine.
        InputError: a file that it names does not exist.
    """
    here = outlook(recipe.model_copy(update={"device": "cpu"}))  # the recipe's device may not be here, either
    if not here.stages:
        raise ConfigError(f"{recipe.name}: {'; '.join(here.notes)}; its shape has to be known for a plan")
    works = [_work(recipe, stage) for stage in here.stages]
    stages = [plan_stage(work, gpu, gpus, mfu) for work in works]
    return assemble(recipe.name, stages, gpu=gpu, gpus=gpus, mfu=mfu, price=price_per_hour, notes=here.notes)


def _work(recipe: Recipe, stage: StageOutlook) -> Work:
    settings = recipe.stage_settings(stage.name)
    config = shape_of(recipe, [])
    assert config is not None  # or there would be no stages
    length = settings.max_length
    kind = objective(stage.objective)
    is_text = Text in kind.rows
    return Work(
        name=stage.name,
        config=config,
        tokens=stage.tokens,
        row_length=length,
        document_length=length if is_text else max(length // 2, 1),  # chats are mostly short
        rows_per_step=None if stage.tokens_per_step is None else stage.tokens_per_step // length,
        trainable=stage.trainable_parameters if settings.lora is not None else None,
        optimizer=settings.optimizer,
        mean=settings.ema_decay is not None,
        reference=kind.keeps_reference(settings),
        samples=kind.samples,
    )
