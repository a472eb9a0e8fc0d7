"""The cells of a table as jobs of a cluster, one each, through submitit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from srbench.errors import InputError
from srbench.tables.plan import Cell, Plan
from srbench.tables.runs import Outcome, finished, lock_of, outcome, place

Launcher = Literal["here", "processes", "slurm"]
LAUNCHERS: tuple[Launcher, ...] = ("here", "processes", "slurm")

_POLL_S = 0.5


def launch_plan(
    plan: Plan,
    out: Path,
    launcher: Launcher,
    options: Mapping[str, str],
    *,
    say: Callable[[str], None] = print,
    poll_s: float = _POLL_S,
) -> Plan:
    """Runs every cell that is to run as a job of its own, and gives the plan with what came of it.

    A job that is killed, times out or never starts is a failed cell with its reason and its log; the others go on.
    Whoever interrupts this process leaves the jobs running; asked for again, the table finds what they recorded.

    Args:
        plan: what there is to do.
        out: the records' folder that the cells' arguments name; logs lie beside it in ``jobs``.
        launcher: ``slurm``, or ``processes`` of this machine, all at once.
        options: of submitit's executor: ``slurm_partition``, ``timeout_min``, ``gpus_per_node``, ``mem_gb``, ...
        say: gets a line per job that starts or ends.
        poll_s: seconds between two looks at the queue.

    Raises:
        InputError: submitit or SLURM is absent, or an option is wrong.
    """
    logs = out.parent / "jobs"
    executor = _executor(logs, launcher, options)
    waiting = [cell for cell in plan.cells if cell.state == "to run"]
    jobs: list[tuple[Cell, Any]] = []
    for cell in waiting:
        executor.update_parameters(name=f"srbench-{cell.method.name}"[:60])
        jobs.append((cell, executor.submit(run_cell, cell.arguments, str(lock_of(out, cell)))))
    say(f"{len(jobs)} jobs are submitted; logs: {logs}")
    ended = 0
    while jobs:
        done = [(cell, job) for cell, job in jobs if job.done()]
        jobs = [(cell, job) for cell, job in jobs if (cell, job) not in done]
        for cell, job in done:
            ended += 1
            result = _result(plan, cell, out, job, logs)
            tail = "" if result.state == "recorded" else f": {result.state}: {result.reason}"
            say(f"[{ended}/{len(waiting)}] {place(cell)}{tail}")
            plan = plan.replaced(cell, result)
        if jobs:
            time.sleep(poll_s)
    return plan


def run_cell(arguments: tuple[str, ...], lock: str) -> Outcome:
    """What a job does: one cell, in a process of its own."""
    from srbench.cli import main

    return outcome(arguments, Path(lock), main)


def _result(plan: Plan, cell: Cell, out: Path, job: Any, logs: Path) -> Cell:
    try:
        return finished(plan, cell, out, job.result())
    except Exception as error:  # submitit passes on whatever ended the job, or says that it is gone
        reason = " ".join(f"its job {job.job_id} ended with {type(error).__name__}: {error}".split())[:300]
        return dataclasses.replace(cell, state="failed", reason=f"{reason} (logs: {logs})")


def _executor(logs: Path, launcher: Launcher, options: Mapping[str, str]) -> Any:
    if find_spec("submitit") is None:
        raise InputError("submitit is not installed", where="--launcher", remedy="pip install 'srbench[cluster]'")
    import submitit

    cluster = "slurm" if launcher == "slurm" else "local"
    if cluster == "slurm" and submitit.SlurmExecutor.affinity() < 0:
        raise InputError(
            "there is no SLURM here (no srun on the PATH)",
            where="--launcher slurm",
            remedy="run this on a node that submits jobs, or use --launcher processes or here",
        )
    executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
    try:
        executor.update_parameters(**{"timeout_min": 24 * 60, **{k: _value(v) for k, v in options.items()}})
    except (NameError, TypeError, ValueError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"submitit refuses an option ({what})", where="--job", remedy="see submitit's AutoExecutor"
        ) from error
    return executor


def _value(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
