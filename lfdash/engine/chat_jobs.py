"""The chat with a run's weights, or a model: whether there can be one, how it is started, whether it answers."""

from __future__ import annotations

from lfdash.engine import context
from lfdash.engine.chat.connection import connection_of
from lfdash.engine.defaults import fresh_name
from lfdash.engine.loading import LOADS, by_folder, job_of, loads_run, makes_weights
from lfdash.engine.plans import prepare
from lfdash.engine.resume import stored
from lfdash.engine.services import Services
from lfdash.engine.submit import submit
from lfdash.jobs import checks
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import SERVING, named
from lfdash.outcomes import Refused
from lfdash.runs.view import RunView

WEIGHTS = ("adapter_name_or_path", "finetuning_type")
UNTALKING = frozenset({"rm"})  # stages whose models give scores: the API answers 405 (can_generate in hf_engine.py)


def why_not_tried(services: Services, view: RunView) -> Refused | None:
    """Why one cannot chat with what a run has made; None when one can. Refused: try_scores, and as `loads_run`."""
    args = loads_run(services, view)
    return args if isinstance(args, Refused) else why_mute(view)


def why_mute(view: RunView) -> Refused | None:
    """Why a run's model cannot talk. Refused: try_scores."""
    document = stored(view)
    stage = document.args.get("stage", "sft") if document is not None else "sft"
    return Refused("try_scores") if stage in UNTALKING else None


def job_for_base(services: Services, view: RunView) -> JobConfig | Refused:
    """The chat with the model that a chat's or a training's weights were made from. Refused: no_configuration,
    chat_base (it is the base already, or it is not known what it was made from)."""
    document = stored(view)
    if document is None:
        return Refused("no_configuration")
    args = {name: value for name, value in document.args.items() if name in LOADS}
    adapters = args.pop("adapter_name_or_path", None)
    if adapters is None and not makes_weights(named(view.kind)):
        made = by_folder(services, str(args.get("model_name_or_path", "")))
        before = stored(made) if made else None
        if before is None:
            return Refused("chat_base")
        args = {**args, "model_name_or_path": before.args.get("model_name_or_path")}
    return job_of(services, SERVING, {name: value for name, value in args.items() if name not in WEIGHTS})


def reached(services: Services, view: RunView) -> str:
    """How a chat is reached: "" where it answers, else the code of why it does not."""
    found = connection_of(services.registry, view)
    return found.code if isinstance(found, Refused) else ""


def launch(services: Services, job: JobConfig, header: str, *, beside: bool = False) -> str | Refused:
    """Starts a chat under a fresh name; where its devices are in use, it waits in the queue. Its run id.

    header: the comment at the top of its YAML file. beside: even where others have the devices.
    Refused: problems (what is wrong with the job), blocked_*, and as `Dispatcher.launch`.
    """
    if services.blocked is not None:
        return services.blocked
    name = fresh_name(services, SERVING.stem)
    job = JobConfig(job.kind, {**job.values, f"{job.kind}.output_dir": name}, job.extra)
    wrong = [found for found in checks.problems(job, context.of(services, job)) if found.level == "error"]
    if wrong:
        return Refused("chat_problem", {"field": wrong[0].field or "–", "code": wrong[0].code})
    prepared = prepare(services, job, header)
    outcome = submit(services, prepared, "beside" if beside else "start")
    if isinstance(outcome, Refused) and outcome.code == "busy":
        outcome = submit(services, prepared, "queue")
    return outcome if isinstance(outcome, Refused) else outcome.run_id
