"""The Benchmark callback: scores what a module restores, every image once, however many processes share the work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from srbench.contracts import Batch, SetInfo
from srbench.cost import device_name, run_cost
from srbench.datamodule import SRDataModule
from srbench.environment import environment
from srbench.errors import InputError
from srbench.evaluation import Evaluation
from srbench.identity import identify
from srbench.images import to_uint8, write_png
from srbench.module import SRModule
from srbench.naming import safe_name
from srbench.predicted import image_path, made_earlier, note_maker
from srbench.protocol import load_protocol
from srbench.records import Cost, ImageRow, RunRecord
from srbench.restorations import Waiting, restorations, rows_of
from srbench.score_cache import open_cache
from srbench.scoring import Scorer
from srbench.summary import oddities, remarks, summarise, summary_line


class Benchmark(Callback):
    """Scores test and validation images under a protocol, and writes records.

    In ``srbench test`` every image is scored in exactly one process, its row is on disk before the next image starts,
    and a run that was killed goes on where it stopped. In validation the means are logged as
    ``metrics/<set>/<metric>``, equal in all processes. In ``srbench predict`` the images are written as PNG.

    Args:
        protocol: name of a shipped protocol, or the path of one.
        out: folder of records and images; None takes the trainer's ``default_root_dir``.
        method: the row's name; None takes the module's.
        save_images: how many images of each set to keep as PNG beside the record (with their lq and gt, for the
            page); -1 keeps all.
        threads: intra-op threads of each process while testing. Sums depend on it in their last digits, so it is
            recorded; None leaves torch's choice.
        force: score again what has a record already, make again what ``srbench predict`` has made.
        strict: refuse to start when a metric of the protocol cannot be computed here; without it the metric is missing
            from the record or the log, with the reason.
        cache: take scores of the same pixels from the user's cache and put new ones there.
        batch: images of one size that a metric's network takes together; None takes one on a CPU and eight on an
            accelerator.
        repeats: how many draws of a stochastic method ``srbench test`` scores, each with its own record; tables show
            their mean, and the spread between them.

    Attributes:
        checkpoint: the file given as ``ckpt_path``, whose hash goes into the record; whoever calls ``trainer.test``
            with a ``ckpt_path`` sets it.
        records: the records of the last test, in the order of the test sets.
    """

    def __init__(
        self,
        protocol: str = "y219_crop4",
        out: str | None = None,
        method: str | None = None,
        save_images: int = 0,
        threads: int | None = 1,
        force: bool = False,
        strict: bool = False,
        cache: bool = True,
        batch: int | None = None,
        repeats: int = 1,
    ) -> None:
        if repeats < 1:
            raise InputError(f"{repeats} repeats are impossible", where="benchmark.repeats", remedy="use 1 or more")
        if threads is not None and threads < 1:
            raise InputError(f"{threads} threads are impossible", where="benchmark.threads", remedy="use 1 or more")
        if save_images < -1:
            raise InputError(
                f"{save_images} images cannot be saved",
                where="benchmark.save_images",
                remedy="use -1 for all, or 0, 1, 2",
            )
        self.protocol = load_protocol(protocol)
        self.out = None if out is None else Path(out)
        self.method = None if method is None else safe_name(method, kind="method name")
        self.save_images = save_images
        self.threads = threads
        self.force = force
        self.strict = strict
        self.cache = cache
        self.batch = batch
        self.repeats = repeats
        self.checkpoint: Path | None = None
        self.records: list[RunRecord] = []
        self._scorer: Scorer | None = None
        self._told: dict[str, str] = {}
        self._evaluations: list[Evaluation] = []
        self._earlier: list[dict[str, ImageRow]] = []
        self._validation: list[dict[str, ImageRow]] = []

    @property
    def scorer(self) -> Scorer:
        """The scorer, made in ``setup``: a metric's network is built once per process."""
        if self._scorer is None:
            self._scorer = Scorer(self.protocol)
        return self._scorer

    # ------------------------------------------------------------------------------------------------------- testing

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Says what cannot be measured; finds out what is scored already and takes it out of the test loaders."""
        if stage != "fit" and self.threads is not None:
            torch.set_num_threads(self.threads)
        if self._scorer is None:
            # Images of a network in training never come back; only finished results are worth remembering.
            cache = open_cache() if self.cache and stage == "test" else None
            self._scorer = Scorer(self.protocol, str(trainer.strategy.root_device), cache=cache, batch=self.batch)
        if stage not in ("test", "predict"):
            if getattr(trainer.datamodule, "val_sets", ()):  # type: ignore[attr-defined]
                self._check_metrics(trainer)
            return
        module, data = _ours(trainer, pl_module)
        module.prepare()
        untrained = _untrained(trainer, module) and self.checkpoint is None
        subject = identify(module, method=self.method, checkpoint=self.checkpoint, untrained=untrained)
        if "random_backbones" in subject.marks and trainer.is_global_zero:
            why = "runs on random weights" if untrained else "learned from or runs on a random network"
            print(f"{subject.method} {why}: its rows are marked and never ranked")
        self._evaluations = [
            Evaluation(subject, s.info, self.scorer, self._root(trainer), trainer.global_rank, self.force)
            for s in data.test_sets
        ]
        for found in self._evaluations:
            _same_scale(module, found.info)
        if stage == "predict":
            self._leave_out_predicted(trainer, data)
            return
        self._waiting = Waiting(self.scorer)
        self._check_metrics(trainer)
        mine = [e.earlier() for e in self._evaluations] if trainer.is_global_zero else []
        self._earlier = trainer.strategy.broadcast(mine)
        for evaluation, done in zip(self._evaluations, self._earlier, strict=True):
            data.mark_done(evaluation.info.name, done.keys())
            if done and trainer.is_global_zero:
                print(f"{evaluation.info.name}: {len(done)} of {evaluation.info.count} images scored already")

    def _leave_out_predicted(self, trainer: Trainer, data: SRDataModule) -> None:
        """Takes out of the loaders what a run of the same inputs has written, and says what writes the rest."""
        mine: list[list[str]] = []
        for evaluation, test_set in zip(self._evaluations, data.test_sets, strict=True):
            folder = self._root(trainer) / _set_folder(evaluation.info)
            if trainer.is_global_zero:
                made = [] if self.force else made_earlier(folder, evaluation.fingerprint, test_set.names)
                note_maker(folder, evaluation.fingerprint, evaluation.subject.method)
                if made:
                    print(f"{evaluation.info.name}: {len(made)} of {evaluation.info.count} images made already")
                mine.append(made)
        for evaluation, made in zip(self._evaluations, trainer.strategy.broadcast(mine), strict=True):
            data.mark_done(evaluation.info.name, made)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the marks that the module has got in its own ``setup``, which comes behind this callback's."""
        module, _ = _ours(trainer, pl_module)
        for evaluation in self._evaluations:
            evaluation.mark(*module.marks)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Scores the batch; its rows are on disk before the next one starts, or with the metrics' batch it is in."""
        info = self._evaluations[dataloader_idx].info
        for i, image in enumerate(restorations(outputs, batch, info.name)):
            if self._keeps(trainer, dataloader_idx, image.name):
                self._save(trainer, self._evaluations[dataloader_idx], image.name, image.sr, batch, i)
            self._add(self._waiting.add(image))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Scores the images that still waited for company."""
        self._add(self._waiting.rest())

    def _add(self, rows: Iterable[tuple[str, ImageRow]]) -> None:
        by_name = {evaluation.info.name: evaluation for evaluation in self._evaluations}
        for test_set, row in rows:
            by_name[test_set].add(row)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Gathers the rows of all processes; the first writes the records."""
        if stage not in ("test", "predict"):
            return
        module, data = _ours(trainer, pl_module)
        if stage == "predict":
            if trainer.is_global_zero:
                print("\n".join(f"images: {self._root(trainer) / _set_folder(s.info)}" for s in data.test_sets))
            return
        device = trainer.strategy.root_device
        cost = functools.cache(functools.partial(run_cost, module, device, shared=self.scorer.networks))
        for evaluation, earlier, test_set in zip(self._evaluations, self._earlier, data.test_sets, strict=True):
            evaluation.close()
            rows = dict(earlier)
            for part in _gather(trainer, evaluation.rows):
                rows.update(part)
            if trainer.is_global_zero and self._is_whole(evaluation, rows, test_set.names):
                self._conclude(trainer, evaluation, rows, cost, new=len(earlier) < len(rows))
        if trainer.is_global_zero and self.records:
            if self.scorer.recalled:
                print(f"{self.scorer.computed} scores computed, {self.scorer.recalled} remembered")
            if missing := self.scorer.summary():
                print(missing)
        trainer.strategy.barrier("benchmark")

    def _is_whole(self, evaluation: Evaluation, rows: Mapping[str, ImageRow], names: Iterable[str]) -> bool:
        left = evaluation.missing(rows, names)
        if left:
            print(
                f"{evaluation.info.name}: {len(rows)} of {evaluation.info.count} images scored; "
                "run the same command again for the rest"
            )
        return not left

    def _conclude(
        self,
        trainer: Trainer,
        evaluation: Evaluation,
        rows: Mapping[str, ImageRow],
        cost: Callable[[], Cost],
        *,
        new: bool,
    ) -> None:
        """Writes the record, unless there is one and no row is ``new``, logs it and says what it says."""
        done = evaluation.finished()
        if done is None or evaluation.force or new:
            device = device_name(trainer.strategy.root_device)
            where = environment(threads=torch.get_num_threads(), processes=trainer.world_size, device=device)
            done = evaluation.record(rows, cost(), where)
            evaluation.write(done, rows)
        self.records.append(done)
        _log_record(trainer, done)
        self._tell_missing(trainer)
        said = [summary_line(done, self._told.values()), *remarks(done.metrics, self.scorer), *oddities(rows.values())]
        print("\n".join(said))

    # ---------------------------------------------------------------------------------------------------- validation

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets the rows of the last validation."""
        self._validation = [{} for _ in trainer.datamodule.val_sets]  # type: ignore[attr-defined]

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Scores the batch under the same protocol as a test would; a stage that makes no sr returns nothing."""
        if outputs is None:
            return
        test_set = trainer.datamodule.val_sets[dataloader_idx].name  # type: ignore[attr-defined]
        for row in rows_of(list(restorations(outputs, batch, test_set)), self.scorer):
            self._validation[dataloader_idx][row.name] = row

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs ``metrics/<set>/<metric>``, the same number in every process."""
        _, data = _ours(trainer, pl_module)
        for test_set, own in zip(data.val_sets, self._validation, strict=True):
            rows = {name: row for part in _gather(trainer, own) for name, row in part.items()}
            if not rows:
                continue
            results = summarise([rows[name] for name in sorted(rows)], self.scorer)
            for metric, result in results.items():
                if result.mean is not None:
                    name = f"metrics/{test_set.info.name}/{metric}"
                    # Already the mean over all processes; a second reduction would only cost a message.
                    pl_module.log(name, result.mean, sync_dist=False, prog_bar=metric == next(iter(results)))
        self._tell_missing(trainer)

    # ---------------------------------------------------------------------------------------------------- prediction

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Writes ``<out>/<set>_x<scale>/<name>.png``."""
        _, data = _ours(trainer, pl_module)
        folder = self._root(trainer) / _set_folder(data.test_sets[dataloader_idx].info)
        for i, name in enumerate(batch["name"]):
            write_png(image_path(folder, name), to_uint8(outputs["sr"][i]))

    # ------------------------------------------------------------------------------------------------------ the rest

    def _check_metrics(self, trainer: Trainer) -> None:
        if self.strict:
            self.scorer.need_all("fetch what is missing, or set --benchmark.strict false")
        self._tell_missing(trainer)

    def _tell_missing(self, trainer: Trainer) -> None:
        """Says once of each metric why it cannot be computed; some turn out so only when they are built."""
        new = {metric: reason for metric, reason in self.scorer.missing.items() if metric not in self._told}
        self._told |= new
        if trainer.is_global_zero:
            for metric, reason in new.items():
                print(f"{metric}: {reason}")

    def _root(self, trainer: Trainer) -> Path:
        return self.out or Path(trainer.default_root_dir)

    def _keeps(self, trainer: Trainer, index: int, name: str) -> bool:
        if self.save_images <= 0:
            return self.save_images < 0
        names = sorted(trainer.datamodule.test_sets[index].names)  # type: ignore[attr-defined]
        return name in names[: self.save_images]

    def _save(self, trainer: Trainer, evaluation: Evaluation, name: str, sr: Any, batch: Batch, i: int) -> None:
        file = safe_name(name, kind="image name")
        write_png(evaluation.folder / "images" / f"{file}.png", sr)
        reference = self._root(trainer) / "reference" / _set_folder(evaluation.info)
        for kind in ("lq", "gt"):
            if kind in batch and not (reference / f"{file}_{kind}.png").exists():
                write_png(reference / f"{file}_{kind}.png", to_uint8(batch[kind][i]))


def _ours(trainer: Trainer, pl_module: LightningModule) -> tuple[SRModule, SRDataModule]:
    data = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(pl_module, SRModule) or not isinstance(data, SRDataModule):
        raise InputError(
            f"Benchmark scores an SRModule on an SRDataModule, not {type(pl_module).__name__} on {type(data).__name__}",
            remedy="derive them from srbench.module.SRModule and srbench.datamodule.SRDataModule",
        )
    return pl_module, data


def _untrained(trainer: Trainer, module: SRModule) -> bool:
    """No file gave the weights and nothing trained them in this process."""
    given = module.weights is not None or trainer.global_step > 0 or not module.needs_weights
    return not given and any(True for _ in module.parameters())


def _same_scale(module: SRModule, info: SetInfo) -> None:
    if module.scale != info.scale:
        raise InputError(
            f"the test set is x{info.scale}, the method x{module.scale}",
            where=info.name,
            remedy="set --data.init_args.scale and --model.init_args.scale to one value",
        )


def _gather(trainer: Trainer, own: dict[str, ImageRow]) -> list[dict[str, ImageRow]]:
    if trainer.world_size == 1:
        return [own]
    parts: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(parts, own)
    return parts


def _set_folder(info: SetInfo) -> str:
    return f"{safe_name(info.name, kind='test set name')}_x{info.scale}"


def _log_record(trainer: Trainer, record: RunRecord) -> None:
    values: Mapping[str, float] = {
        f"metrics/{record.test_set}/{name}": result.mean
        for name, result in record.metrics.items()
        if result.mean is not None
    }
    for logger in trainer.loggers:
        logger.log_metrics(dict(values))
