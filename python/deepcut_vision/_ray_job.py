"""The job `python -m deepcut_vision.ray INPUT OUTPUT`: lists the images, has actors write parts, and checks what came of it."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from . import __version__, _inputs
from ._inputs import Input, InputError
from ._parts import OtherSettings, Parts, Place, write_coco
from ._rows import Rows

_LOCK = ".lock"
_NOTES = ".tries"


class JobError(RuntimeError):
    """The job cannot run; the message says what to do."""


@dataclass
class Job:
    """What to do. `options` are parameters of `DeepCut`."""

    input: str
    output: str
    options: dict[str, Any] = field(default_factory=dict)
    coco: bool = False
    label: str | None = None
    labels: list[str] = field(default_factory=list)
    labels_png: bool = False
    column: str | None = None
    name_column: str | None = None
    actors: int | None = None
    cpus: int = 1
    part_rows: int = 512
    overwrite: bool = False


@dataclass
class Summary:
    """What a job did.

    `seconds` are those of the whole job, `working_seconds` those from the first batch's begin to the last one's end, by which
    `pictures_per_second` is reckoned.
    """

    pictures: int = 0
    done: int = 0
    skipped: int = 0
    failures: int = 0
    not_done: int = 0
    parts: int = 0
    bytes: int = 0
    actors: int = 0
    seconds: float = 0.0
    working_seconds: float = 0.0
    pictures_per_second: float = 0.0


class Worker:
    """An actor: it writes the part of a batch. A part that exists is left as it is, so that a batch may come twice.

    A batch comes again as well if its process died. After two deaths its images are taken one at a time with a note of which; the image
    that is named when the process dies once more, as for want of memory, gets an error in place of a third try.
    """

    def __init__(self, job: Job, settings: dict[str, Any], token: str) -> None:
        from .ray import assigned_threads, with_memory

        threads = assigned_threads()
        self._job = job
        self._rows = Rows(threads=threads, labels_png=job.labels_png, **with_memory(job.options, threads))
        # A folder that only the driver's machine has would be made anew here, and its parts lost.
        if _read(os.path.join(job.output, _LOCK)) != token:
            raise JobError(f"a machine of the cluster does not see {job.output}; the output must be a folder that all machines share")
        self._parts = Parts(job.output, settings, labels_png=job.labels_png)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        begin = time.time()
        done = [self._part([Input(**item) for item in json.loads(text)]) for text in batch["batch"]]
        count = len(done)
        return {
            "made": [made for made, _ in done],
            "errors": [json.dumps(errors) for _, errors in done],
            "begin": [begin] * count,
            "end": [time.time()] * count,
        }

    def _part(self, inputs: list[Input]) -> tuple[int, list[tuple[str, str]]]:
        path = self._parts.path([item.name for item in inputs])
        if path.exists():
            rows = self._parts.marks(path)
        else:
            notes = Notes(os.path.join(self._job.output, _NOTES, path.stem))
            images = _inputs.read(inputs, self._job.column)
            found = self._rows.rows(images) if notes.deaths < 2 else (notes.guard(at, self._rows, image) for at, image in enumerate(images))
            rows = [{"name": item.name, **row, "modified": item.modified} for item, row in zip(inputs, found, strict=True)]
            self._parts.write(path, rows)
            notes.clear()
        return len(rows), [(row["name"], row["error"]) for row in rows if row["error"] is not None]


class Notes:
    """Files that outlive the process which works on a batch, and so tell of its death. `deaths` is how many were left before."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.makedirs(folder, exist_ok=True)
        left = os.listdir(folder)
        self._images = {name for name in left if name.startswith("image-")}
        self.deaths = len(left) - len(self._images)
        self._note(f"try-{uuid.uuid4().hex}")

    def guard(self, at: int, rows: Rows, image: Any) -> dict[str, Any]:
        """Segment an image unless a process died of it."""
        name = f"image-{at}"
        if name in self._images:
            return {"error": "the process that segmented it died, perhaps for want of memory"}
        self._note(name)
        row = rows.row(image)
        os.unlink(os.path.join(self._folder, name))
        return row

    def clear(self) -> None:
        """Forget the batch."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _note(self, name: str) -> None:
        with open(os.path.join(self._folder, name), "w", encoding="ascii"):
            pass


def run(job: Job, *, tell: Any = None) -> tuple[int, Summary]:
    """Run a job on the cluster that Ray is connected to.

    Parameters
    ----------
    job : Job
    tell : callable, optional
        Called with lines for people.

    Returns
    -------
    status : int
        0 if every image has a result, 1 if some have not, 130 if it was interrupted.
    summary : Summary

    Raises
    ------
    InputError, OtherSettings, JobError, OSError, ValueError, TypeError
        If it cannot run.
    """
    tell = tell or (lambda line: None)
    begin = time.monotonic()
    inputs, missing, notes = _inputs.collect(job.input, column=job.column, name_column=job.name_column)
    for note in notes:
        tell(note)
    for name, message in missing:
        tell(f"error: {name}: {message}")
    rows = Rows(labels_png=job.labels_png, **job.options)
    report = rows.probe.report()
    settings = {"version": __version__, "options": report["options"], "backbone": report["backbone"]}
    os.makedirs(job.output, exist_ok=True)
    with _locked(job.output) as token:
        parts = Parts(job.output, settings, labels_png=job.labels_png)
        parts.sweep()
        shutil.rmtree(os.path.join(job.output, _NOTES), ignore_errors=True)
        if job.overwrite:
            parts.clear()
        done = _done(parts, inputs)
        summary = Summary(pictures=len(inputs) + len(missing), skipped=len(done))
        todo = [item for item in inputs if item.name not in done]
        interrupted = False
        if todo:
            try:
                _segment(job, settings, token, todo, summary, tell)
            except KeyboardInterrupt:
                interrupted = True
            shutil.rmtree(os.path.join(job.output, _NOTES), ignore_errors=True)
        # What the parts hold decides what is done, whatever became of the machines.
        parts.keep(parts.places())
        places = parts.places()
        found = [places[item.name] for item in inputs if item.name in places]
        failed = sum(place.error is not None for place in found) + len(missing)
        summary.not_done = len(inputs) - len(found)
        summary.failures = failed
        summary.done = len(found) + len(missing) - failed - summary.skipped
        summary.parts, summary.bytes = parts.count(), parts.size()
        if job.coco and not interrupted:
            names = [item.name for item in inputs]
            write_coco(parts, names, places, model=f"deepcut {__version__} ({report['backbone']['name']})", version=__version__, label=job.label, labels=job.labels)
    summary.seconds = round(time.monotonic() - begin, 3)
    return 130 if interrupted else 1 if failed or summary.not_done else 0, summary


def _segment(job: Job, settings: dict[str, Any], token: str, todo: list[Input], summary: Summary, tell: Any) -> None:
    """Have actors write the parts of the images that are to do."""
    import ray
    import ray.data

    nodes: list[dict[str, Any]] = ray.nodes()
    cpus = sum(node["Resources"].get("CPU", 0) for node in nodes if node["Alive"])
    most = job.actors or max(1, int(cpus // job.cpus))
    # A few batches for each actor at least, so that all end at about the same time.
    size = max(1, min(job.part_rows, -(-len(todo) // (4 * most))))
    batches = list(_inputs.batches(todo, size))
    summary.actors = min(most, len(batches))
    tell(f"{summary.skipped} of {summary.pictures} pictures are done; {len(todo)} to do in {len(batches)} batches on {summary.actors} actors")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    dataset = ray.data.from_items(
        [{"batch": json.dumps([asdict(item) for item in batch])} for batch in batches], override_num_blocks=len(batches)
    ).map_batches(
        Worker,
        fn_constructor_args=(job, settings, token),
        batch_size=1,
        num_cpus=job.cpus,
        # Nodes that come and go change the number of actors.
        compute=ray.data.ActorPoolStrategy(min_size=1, initial_size=summary.actors, max_size=summary.actors),
    )
    made, told, first, last = 0, time.monotonic(), float("inf"), 0.0
    try:
        for row in dataset.iter_rows():
            made += int(row["made"])
            first, last = min(first, row["begin"]), max(last, row["end"])
            for name, message in json.loads(row["errors"]):
                tell(f"error: {name}: {message}")
            now = time.monotonic()
            if now - told >= 5 and made < len(todo):
                told, rate = now, made / max(last - first, 1e-3)
                tell(f"{made} of {len(todo)} pictures, {rate:.1f} pictures/s, {_duration((len(todo) - made) / rate)} left")
    finally:
        if made:
            summary.working_seconds = round(last - first, 3)
            summary.pictures_per_second = round(made / max(last - first, 1e-3), 2)


def _done(parts: Parts, inputs: Sequence[Input]) -> set[str]:
    """The images that have a result, and still are as they were. Rows of the others are dropped, to be made again."""
    places = parts.places()
    is_same = {item.name: item.modified for item in inputs}
    done = {name for name, place in places.items() if name in is_same and place.error is None and place.modified == is_same[name]}
    parts.keep({name: place for name, place in places.items() if name in done or name not in is_same})
    return done


@contextmanager
def _locked(output: str) -> Iterator[str]:
    """Keeps other jobs off the output folder. What it yields is in the lock's file, for actors to find."""
    token = uuid.uuid4().hex
    with open(os.path.join(output, _LOCK), "a+", encoding="ascii") as file:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JobError(f"another job writes to {output}; wait for it, or pass another folder") from None
        file.truncate(0)
        file.write(token)
        file.flush()
        yield token


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.0f} h"
