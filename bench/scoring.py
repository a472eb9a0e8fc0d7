"""The one scoring function: 8-bit images in, numbers out, under a protocol.

The Benchmark callback and ``srbench score`` both come here. Metrics are computed per image and then averaged, never
pooled over the data set. Nothing here imports torch; a metric that needs it does so when it is built, and it is built
when the first value is asked for that the cache does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, NamedTuple

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, center_crop, crop_border
from srbench.metrics import (
    DerivedMetric,
    ImageMetric,
    Metric,
    SetMetric,
    SetScores,
    Vectors,
    find,
    implementation,
)
from srbench.protocol import MetricSpec, Protocol
from srbench.score_cache import ScoreCache, cache_key, pixel_sha256
from srbench.summary import pack

_BATCH = 8
_FETCH = "srbench weights fetch"


class Item(NamedTuple):
    """An image to score.

    Attributes:
        name: its id, for messages.
        sr: (H,W,3) uint8.
        gt: as ``sr``; None leaves out what needs it.
    """

    name: str
    sr: Pixels
    gt: Pixels | None


class Scores(NamedTuple):
    """What is known of one image.

    Attributes:
        values: metric -> value, in the protocol's order.
        vectors: set-level metric -> features of sr and of gt, packed as text.
    """

    values: dict[str, float]
    vectors: dict[str, tuple[str, ...]]


class Scorer:
    """A protocol with its metrics, on one device.

    Args:
        protocol: what is measured.
        device: where networks run (``cpu``, ``cuda:0``).
        cache: looked up before anything is computed, and told what was; None computes everything.
        batch: images of one size that go through a network together; None takes one on a CPU, where more save nothing
            and a value must not depend on its neighbours in the last digit, and eight on an accelerator.

    Raises:
        InputError: there is no such device here.

    Attributes:
        missing: metric -> why it cannot be computed here.
        computed: values that were computed so far.
        recalled: values that came from the cache.
    """

    def __init__(
        self, protocol: Protocol, device: str = "cpu", *, cache: ScoreCache | None = None, batch: int | None = None
    ) -> None:
        self.protocol = protocol
        self.device = _usable(device)
        self.cache = cache
        self.batch = batch or (1 if device.startswith("cpu") else _BATCH)
        self.metrics: dict[str, Metric] = {spec.metric: find(spec.metric) for spec in protocol.metrics}
        self.missing: dict[str, str] = {}
        self.computed = self.recalled = 0
        self._built: dict[str, Any] = {}
        self._weights: dict[str, tuple[str, ...]] = {}
        self._identity: dict[str, str] = {}
        for spec in protocol.metrics:
            self._look_for(spec)

    def _look_for(self, spec: MetricSpec) -> None:
        metric = self.metrics[spec.metric]
        try:
            self._weights[metric.name] = tuple(_stated(name) for name in metric.weights)
            _check_package(metric)
            self._check_inputs(metric)
        except MetricUnavailable as reason:
            self.missing[metric.name] = str(reason)
            return
        self._identity[metric.name] = cache_key(
            metric.name,
            implementation(metric.name),
            metric.library,
            self._weights[metric.name],
            # A network's last digits depend on what it runs on; plain arithmetic runs on the CPU everywhere.
            self.device.partition(":")[0] if metric.weights else "cpu",
            self.protocol.image_crop,
            spec.crop_border,
        )

    def _check_inputs(self, metric: Metric) -> None:
        lost = [name for name in getattr(metric, "inputs", ()) if name in self.missing]
        if lost:
            raise MetricUnavailable(f"{', '.join(lost)}, which it is made of")

    @property
    def identity(self) -> str:
        """Everything but the pixels that decides the scores of an image: protocol, code, weights, kind of device."""
        return cache_key(*self._identity.items())

    def weights(self, name: str) -> tuple[str, ...]:
        """The files behind a metric: ``alexnet sha256:...``; their names alone where they are missing."""
        return self._weights.get(name, self.metrics[name].weights)

    def summary(self) -> str | None:
        """What cannot be computed here and the commands that mend it, in one line; None when nothing is missing."""
        if not self.missing:
            return None
        wanted = [name for metric in self.missing for name in self.metrics[metric].weights]
        lost = [name for name in dict.fromkeys(wanted) if _is_lost(name)]
        remedies = [f"{_FETCH} {' '.join(lost)}"] if lost else []
        remedies += [found for reason in self.missing.values() if not (found := _remedy(reason)).startswith(_FETCH)]
        text = f"{len(self.missing)} of {len(self.metrics)} metrics are missing: {', '.join(self.missing)}"
        return "; ".join([text, *dict.fromkeys(filter(None, remedies))])

    def need_all(self, remedy: str) -> None:
        """Builds every metric and refuses to go on without one.

        Args:
            remedy: how the caller's user can mend it.

        Raises:
            InputError: it names the metrics that cannot be computed here, each with its reason.
        """
        self.build()
        if self.missing:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.missing.items())
            raise InputError(
                f"{len(self.missing)} of {len(self.metrics)} metrics cannot be computed here ({reasons})",
                where=self.protocol.name,
                remedy=remedy,
            )

    def expected(self, *, has_gt: bool) -> list[str]:
        """The metrics that every scored image must have a value or features of."""
        able = (name for name in self.metrics if name not in self.missing)
        return [name for name in able if has_gt or not self._needs_gt(name)]

    def _needs_gt(self, name: str) -> bool:
        metric = self.metrics[name]
        if isinstance(metric, DerivedMetric):
            return any(self._needs_gt(source) for source in metric.inputs)
        return metric.kind != "no_reference"

    @property
    def networks(self) -> bool:
        """Whether a metric with weights was built in this process."""
        return any(self.metrics[name].weights for name in self._built)

    def build(self, names: Iterable[str] | None = None) -> None:
        """Builds these metrics (None: all) now; what turns out to be impossible moves to :attr:`missing`."""
        for name in self.metrics if names is None else names:
            if name not in self.missing:
                self._scores(name)

    def score(self, name: str, sr: Pixels, gt: Pixels | None) -> dict[str, float]:
        """The values of one image; see :meth:`score_all`."""
        return self.score_all([Item(name, sr, gt)])[0].values

    def score_all(self, items: Sequence[Item]) -> list[Scores]:
        """The metrics of some images, in the protocol's order.

        Raises:
            InputError: naming the image: sr and gt differ in size, or it is too small for a crop or a window.
        """
        for item in items:
            if item.gt is not None and item.sr.shape != item.gt.shape:
                raise InputError(
                    f"sr is {_size(item.sr)} and gt {_size(item.gt)}",
                    where=item.name,
                    remedy="score results of gt's size; where gt is no multiple of lq, give the scale, which crops it",
                )
        hashes = [_hashes(item) for item in items] if self.cache is not None else [("", "")] * len(items)
        found = [Scores({}, {}) for _ in items]
        for spec in self.protocol.metrics:
            metric = self.metrics[spec.metric]
            chosen = [i for i, item in enumerate(items) if item.gt is not None or not self._needs_gt(metric.name)]
            if isinstance(metric, ImageMetric):
                keyed = [hashes[i] for i in chosen]
                values = self._image_values(metric, [items[i] for i in chosen], keyed)
                for i, value in zip(chosen, values, strict=False):
                    found[i].values[metric.name] = value
            elif isinstance(metric, SetMetric):
                for half, pick in enumerate((_sr, _gt)):
                    vectors = self._vectors(metric, [pick(items[i]) for i in chosen], [hashes[i][half] for i in chosen])
                    for i, vector in zip(chosen, vectors, strict=False):
                        found[i].vectors[metric.name] = (*found[i].vectors.get(metric.name, ()), vector)
            elif isinstance(metric, DerivedMetric) and metric.name not in self.missing:
                for i in chosen:
                    if all(name in found[i].values for name in metric.inputs):
                        found[i].values[metric.name] = float(metric.combine(found[i].values))
        return found

    def _image_values(
        self, metric: ImageMetric, items: Sequence[Item], hashes: Sequence[tuple[str, str]]
    ) -> list[float]:
        """One value per item; none at all when the metric cannot be computed."""
        if metric.name in self.missing:
            return []
        with_gt = metric.kind == "full_reference"
        keys = [(sr, gt if with_gt else "") for sr, gt in hashes]

        def compute(some: Sequence[int]) -> list[str] | None:
            if (scores := self._scores(metric.name)) is None:
                return None
            sr = [self._cut(metric.name, items[i].name, items[i].sr) for i in some]
            gt = [self._cut(metric.name, items[i].name, _given(items[i].gt)) for i in some] if with_gt else None
            with _naming(items[some[0]].name):
                return [repr(float(value)) for value in scores(sr, gt)]

        texts = self._texts(metric.name, keys, [item.sr.shape for item in items], compute)
        return [float(text) for text in texts]

    def _vectors(self, metric: SetMetric, images: Sequence[Item], hashes: Sequence[str]) -> list[str]:
        """The packed features of the items' ``sr``; none at all when the metric cannot be computed."""
        if metric.name in self.missing:
            return []

        def compute(some: Sequence[int]) -> list[str] | None:
            if (scores := self._scores(metric.name)) is None:
                return None
            cut = [self._cut(metric.name, images[i].name, images[i].sr) for i in some]
            with _naming(images[some[0]].name):
                return [pack(vector) for vector in scores.describe(cut)]

        return self._texts(metric.name, [(key, "vector") for key in hashes], [i.sr.shape for i in images], compute)

    def _texts(
        self,
        name: str,
        keys: Sequence[tuple[str, str]],
        shapes: Sequence[tuple[int, ...]],
        compute: Callable[[Sequence[int]], list[str] | None],
    ) -> list[str]:
        """The texts of all images: from the cache, or computed in batches of one size and stored."""
        names = [cache_key(self._identity[name], *key) for key in keys]
        held: list[str | None] = [None if self.cache is None else self.cache.get(key) for key in names]
        self.recalled += sum(text is not None for text in held)
        for some in _batches([i for i, text in enumerate(held) if text is None], shapes, self.batch):
            made = compute(some)
            if made is None:  # it turned out to be impossible
                return []
            for i, text in zip(some, made, strict=True):
                held[i] = text
            self.computed += len(made)
            if self.cache is not None:
                self.cache.put([(names[i], text) for i, text in zip(some, made, strict=True)])
        return [text for text in held if text is not None]

    def _cut(self, metric: str, name: str, image: Pixels) -> Pixels:
        border = next(spec.crop_border for spec in self.protocol.metrics if spec.metric == metric)
        with _naming(name):
            if self.protocol.center is not None:
                image = center_crop(image, self.protocol.center)
            return crop_border(image, border)

    def distance(self, name: str, sr: Vectors, gt: Vectors) -> float:
        """The value of a set-level metric, of features (n,d) of all results and all references.

        Raises:
            InputError: the metric cannot be computed after all, or refuses these features.
        """
        key = cache_key(
            self._identity.get(name), "distance", *(sha256(side.tobytes()).hexdigest() for side in (sr, gt))
        )
        known = None if self.cache is None else self.cache.get(key)
        if known is not None:
            return float(known)
        scores: SetScores | None = self._scores(name)
        if scores is None:
            raise InputError(self.missing[name])
        value = scores.distance(sr, gt)
        if self.cache is not None:
            self.cache.put({key: repr(value)})
        return value

    def _scores(self, name: str) -> Any:
        """What ``make`` gave; None when it cannot be built after all."""
        metric = self.metrics[name]
        if name not in self._built and name not in self.missing and isinstance(metric, ImageMetric | SetMetric):
            try:
                self._built[name] = metric.make(self.device)
            except MetricUnavailable as reason:
                self._lose(name, reason)
        return self._built.get(name)

    def _lose(self, name: str, reason: MetricUnavailable) -> None:
        """A metric that seemed possible is not, and neither is what is made of it."""
        self.missing[name] = str(reason)
        self._identity.pop(name, None)
        for derived in self.metrics.values():
            if derived.name not in self.missing:
                try:
                    self._check_inputs(derived)
                except MetricUnavailable as lack:
                    self._lose(derived.name, lack)


class _naming:
    """Gives bad input that is raised inside the name of the image it is about."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError):
            raise InputError(error.what, where=self.name, remedy=error.remedy) from error


def _usable(device: str) -> str:
    if device == "cpu":  # torch need not be imported to know that
        return device
    import torch

    try:
        torch.empty(0, device=device)
    except Exception as error:  # each backend raises its own
        reason = str(error).splitlines()[0]
        raise InputError(f"the device cannot be used ({reason})", where=device, remedy="use cpu, cuda or mps") from None
    return device


def _stated(name: str) -> str:
    from srbench import weight_files  # most protocols need no outside file

    return f"{name} sha256:{weight_files.digest(weight_files.need(name))}"


def _is_lost(name: str) -> bool:
    from srbench import weight_files

    return weight_files.locate(name) is None


def _remedy(reason: str) -> str:
    """What a reason names in brackets at its end; empty where it names nothing."""
    return reason.rpartition(" (")[2].removesuffix(")") if reason.endswith(")") else ""


def _check_package(metric: Metric) -> None:
    package = metric.library.split()[0].replace("-", "_")
    if find_spec(package) is None:
        raise MetricUnavailable(f'package {package} (pip install "srbench[iqa]")')


def _batches(indices: Iterable[int], shapes: Sequence[tuple[int, ...]], size: int) -> Iterator[list[int]]:
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i in indices:
        by_shape.setdefault(shapes[i], []).append(i)
    for group in by_shape.values():
        yield from (group[at : at + size] for at in range(0, len(group), size))


def _hashes(item: Item) -> tuple[str, str]:
    return pixel_sha256(item.sr), "" if item.gt is None else pixel_sha256(item.gt)


def _sr(item: Item) -> Item:
    return item


def _gt(item: Item) -> Item:
    return Item(item.name, _given(item.gt), None)


def _given(gt: Pixels | None) -> Pixels:
    assert gt is not None
    return gt


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
