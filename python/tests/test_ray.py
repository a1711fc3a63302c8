"""Ray Data: batches, and whole jobs on a cluster of nodes that die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ray = pytest.importorskip("ray")
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import ray.data  # noqa: E402
from ray_cluster import NODE, cluster_of, resident_of_actor  # noqa: E402

import deepcut_vision as dc  # noqa: E402
from deepcut_vision._rows import Rows, row_schema  # noqa: E402
from deepcut_vision.ray import Segment  # noqa: E402

PICTURES = Path(__file__).parents[2] / "examples/pictures"
pytestmark = [
    # Ray's own use of what it deprecates.
    pytest.mark.filterwarnings(r"ignore:`use_\w+` is deprecated:DeprecationWarning:ray.data.context"),
]
# Fewer patches: these tests are about rows, and not about masks.
SMALL = {"resolution": 160}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures, some in a sub-folder, and one that is broken."""
    folder = tmp_path / "photos"
    for at, path in enumerate(sorted(PICTURES.glob("*.jpg"))):
        target = folder / ("a/b" if at % 2 else "") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "broken.jpg").write_bytes((PICTURES / "mug.jpg").read_bytes()[:2000])
    return folder


def many(folder: Path, count: int) -> Path:
    """Small pictures, all different: crops of the examples."""
    image = pytest.importorskip("PIL.Image")
    folder.mkdir()
    sources = [image.open(path).convert("RGB") for path in sorted(PICTURES.glob("*.jpg"))]
    for at in range(count):
        left, top = at * 7 % 200, at * 5 % 150
        sources[at % len(sources)].crop((left, top, left + 160, top + 120)).resize((64, 48)).save(folder / f"{at:04}.png")
    return folder


def job(cluster: Any, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deepcut_vision.ray", *map(str, arguments), "--address", cluster.address, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Exit status, summary and messages."""
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out) if out else {}, err


def wait_for_parts(output: Path, count: int) -> None:
    end = time.monotonic() + 120
    while len(list((output / "parts").glob("part-*.parquet"))) < count:
        assert time.monotonic() < end, "no parts appear"
        time.sleep(0.05)


def command(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """The command's exit status and JSON lines."""
    done = subprocess.run([sys.executable, "-m", "deepcut_vision", *map(str, arguments)], capture_output=True, text=True, timeout=240)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("mode", ["object", "objects", "parts"])
def test_a_job_gives_what_the_command_gives(cluster: Any, pictures: Path, tmp_path: Path, mode: str) -> None:
    flags = ["--mode", mode, *(["--label", "thing"] if mode == "objects" else [])]
    status, lines = command("segment", pictures, "-o", tmp_path / "command", "--format", "coco", "--coco-masks", "rle", "--json", *flags)
    assert status == 1
    status, summary, errors = finished(job(cluster, pictures, tmp_path / "job", "--format", "coco", "--part-rows", 2, *flags))
    assert status == 1 and "error: broken.jpg: " in errors
    assert (summary["pictures"], summary["done"], summary["failures"], summary["actors"]) == (7, 6, 1, 2)
    for name in ("annotations.json", "results.json"):
        assert (tmp_path / "job" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    rows = {row["name"]: row for row in pq.read_table(tmp_path / "job/parts").to_pylist()}
    assert len(rows) == 7 and rows["broken.jpg"]["error"]
    for line in lines:
        if line["type"] == "picture":
            row = rows[os.path.relpath(line["input"], pictures)]
            assert (row["height"], row["width"], row["object"]) == (line["height"], line["width"], line["object"])
            assert row["confidence"] == np.float32(line["confidence"])
            expected = [(item["label"], item["kind"], item.get("part_of"), item["area"], item["box"]) for item in line["labels"] if item["foreground"]]
            assert [(item["label"], item["kind"], item["part_of"], item["area"], item["bbox"]) for item in row["objects"]] == expected


def test_the_same_job_again_makes_what_is_missing(cluster: Any, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = (pictures, output, "--set", "resolution=160", "--format", "coco")
    assert finished(job(cluster, *arguments))[0] == 1
    parts = {path.name: path.read_bytes() for path in (output / "parts").iterdir()}
    coco = (output / "annotations.json").read_bytes()
    # One that failed is tried again, one that changed is made again, the others stay.
    shutil.copy(PICTURES / "mug.jpg", pictures / "broken.jpg")
    os.utime(pictures / "duck.jpg", ns=(1, 1))
    status, summary, _ = finished(job(cluster, *arguments))
    assert status == 0
    assert (summary["done"], summary["skipped"], summary["failures"]) == (2, 5, 0)
    names = pq.read_table(output / "parts")["name"].to_pylist()
    assert len(names) == len(set(names)) == 7
    assert json.loads((output / "annotations.json").read_bytes())["images"] != json.loads(coco)["images"]
    # Nothing is left to do.
    parts = {path.name: path.read_bytes() for path in (output / "parts").iterdir()}
    status, summary, _ = finished(job(cluster, *arguments))
    assert (status, summary["done"], summary["skipped"], summary["pictures_per_second"]) == (0, 0, 7, 0)
    assert {path.name: path.read_bytes() for path in (output / "parts").iterdir()} == parts
    # Other settings are not mixed in.
    status, _, errors = finished(job(cluster, *arguments, "--mode", "objects"))
    assert status == 2 and "other settings" in errors
    status, summary, _ = finished(job(cluster, *arguments, "--mode", "objects", "--overwrite"))
    assert (status, summary["done"]) == (0, 7)


def expect_each_once(output: Path, count: int) -> None:
    names = pq.read_table(output / "parts")["name"].to_pylist()
    assert Counter(names) == Counter(f"{at:04}.png" for at in range(count))
    assert [path.name for path in output.rglob(".part*")] == [] and os.listdir(output / "parts")


def test_a_node_that_dies_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    count = 300
    pictures, output = many(tmp_path / "photos", count), tmp_path / "out"
    with cluster_of(2, connect=False) as cluster:
        process = job(cluster, pictures, output, "--part-rows", 5, "--set", "resolution=160")
        wait_for_parts(output, 6)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        assert len(list(output.glob("parts/part-*"))) < count / 5, "the node outlived the job"
        status, summary, errors = finished(process)
        assert (status, summary["done"], summary["failures"], summary["not_done"]) == (0, count, 0, 0), errors
        expect_each_once(output, count)
        # The same rows as on one machine.
        rows = {row["name"]: row for row in pq.read_table(output / "parts").to_pylist()}
        for name in ("0000.png", f"{count - 1:04}.png"):
            expected = Rows(**SMALL).table([str(pictures / name)]).to_pylist()[0]
            assert {key: rows[name][key] for key in expected} == expected


def test_a_job_that_dies_is_continued(cluster: Any, tmp_path: Path) -> None:
    count = 300
    pictures, output = many(tmp_path / "photos", count), tmp_path / "out"
    process = job(cluster, pictures, output, "--part-rows", 5, "--set", "resolution=160")
    wait_for_parts(output, 4)
    process.kill()
    process.communicate()
    (output / "parts/.part-left-by-a-machine").write_bytes(b"half")
    # Ctrl-C stops the next one.
    process = job(cluster, pictures, output, "--part-rows", 5, "--set", "resolution=160")
    wait_for_parts(output, 12)
    process.send_signal(signal.SIGINT)
    status, summary, errors = finished(process)
    assert status == 130, errors
    assert summary["skipped"] >= 20 and summary["not_done"] > 0
    assert summary["skipped"] + summary["done"] + summary["not_done"] == count
    status, last, errors = finished(job(cluster, pictures, output, "--part-rows", 5, "--set", "resolution=160"))
    assert status == 0, errors
    assert last["skipped"] >= summary["skipped"] + summary["done"] and last["skipped"] + last["done"] == count
    expect_each_once(output, count)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_memory_of_an_actor_stays_flat(cluster: Any, tmp_path: Path) -> None:
    count, output = 600, tmp_path / "out"
    process = job(cluster, many(tmp_path / "photos", count), output, "--part-rows", 20, "--actors", 1, "--set", "resolution=96")
    samples: list[tuple[int, float]] = []
    while process.poll() is None:
        parts, resident = len(list(output.glob("parts/part-*"))), resident_of_actor(cluster)
        if parts and resident:
            samples.append((parts, resident))
        time.sleep(0.1)
    assert finished(process)[0] == 0
    first, second = ([mb for parts, mb in samples if low <= parts < high] for low, high in ((5, 15), (15, 30)))
    # A leak of one small image each time would be 300 × 9 kB, of its labels or features much more.
    assert max(second) < max(first) + 2, samples


def test_parquet_goes_in(cluster: Any, tmp_path: Path) -> None:
    paths = sorted(PICTURES.glob("*.jpg"))
    table = pa.table({"key": [path.stem for path in paths] + ["none"], "picture": [path.read_bytes() for path in paths] + [None]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=4)
    arguments = (tmp_path / "in.parquet", tmp_path / "out", "--column", "picture", "--name-column", "key", "--labels-png", "--set", "resolution=160")
    status, summary, errors = finished(job(cluster, *arguments))
    assert status == 1 and "error: none: expected an image, got null" in errors
    rows = {row["name"]: row for row in pq.read_table(tmp_path / "out/parts").to_pylist()}
    assert set(rows) == {*(path.stem for path in paths), "none"}
    for path in paths:
        expected = Rows(labels_png=True, **SMALL).row(path.read_bytes())
        assert {name: rows[path.stem][name] for name in expected} == expected
    assert rows["none"]["labels_png"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.parquet", "out"), "no such file"),
        (("photos", "out", "--mode", "cats"), "invalid choice"),
        (("photos", "out", "--set", "resolution"), "NAME=VALUE"),
        (("photos", "out", "--set", "no_such_option=1"), "no_such_option"),
        (("photos", "out", "--set", "resolution=7"), "resolution"),
        (("photos", "out", "--actors", "0"), "at least 1"),
        (("photos", "out", "--column", "bytes"), "columns are of Parquet files"),
        (("photos", "out", "--labels", "nowhere.txt"), "nowhere.txt"),
        (("photos", "out", "--backbone", "nowhere.safetensors"), "nowhere.safetensors"),
        (("photos", "photos/duck.jpg"), "duck.jpg"),
    ],
)
def test_a_job_that_cannot_run_says_why(
    cluster: Any, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    from deepcut_vision._ray_command import main

    monkeypatch.chdir(pictures.parent)
    with pytest.MonkeyPatch.context() as patch:
        # The cluster that this process is connected to.
        patch.setattr("deepcut_vision._ray_command._connected", lambda address: __import__("contextlib").nullcontext())
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not list(pictures.parent.glob("out/parts/*"))


def test_a_cluster_that_is_not_there_is_said_at_once(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from deepcut_vision._ray_command import main

    assert main([str(pictures), str(tmp_path / "out"), "--address", "127.0.0.1:1"]) == 2
    assert "no cluster answers at 127.0.0.1:1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_jobs_do_not_write_to_one_folder(pictures: Path, tmp_path: Path) -> None:
    from deepcut_vision._ray_job import Job, JobError, _locked, run

    (tmp_path / "out").mkdir()
    with _locked(str(tmp_path / "out")), pytest.raises(JobError, match="another job"):
        run(Job(str(pictures), str(tmp_path / "out")))


def test_a_machine_that_does_not_share_the_output_stops_the_job(tmp_path: Path) -> None:
    from deepcut_vision._ray_job import Job, JobError, Worker

    with pytest.raises(JobError, match="all machines share"):
        Worker(Job("in", str(tmp_path / "out")), {}, "token")
    assert not (tmp_path / "out").exists()


# Segment in map_batches.


def found_in(dataset: Any, **options: Any) -> dict[str, dict[str, Any]]:
    # The other node's CPU is for the readers.
    strategy = ray.data.ActorPoolStrategy(size=1)
    rows = dataset.map_batches(Segment, fn_constructor_kwargs={**SMALL, **options}, batch_size=2, num_cpus=1, compute=strategy)
    return {os.path.basename(row["path"]): row for row in rows.take_all()}


def check(found: dict[str, dict[str, Any]], **options: Any) -> None:
    expected = {path.name: Rows(**SMALL, **options).row(str(path)) for path in PICTURES.glob("*.jpg")}
    assert set(found) >= set(expected)
    for name, row in expected.items():
        assert {key: found[name][key] for key in row} == row


def test_files_become_rows(cluster: Any, pictures: Path) -> None:
    found = found_in(ray.data.read_binary_files(str(pictures), include_paths=True), mode="objects")
    check(found, mode="objects")
    assert list(found["duck.jpg"]) == ["path", "height", "width", "object", "confidence", "objects", "error"]
    assert found["broken.jpg"]["error"] and found["broken.jpg"]["objects"] is None


def test_paths_and_arrays_become_rows(cluster: Any, pictures: Path) -> None:
    paths = [str(path) for path in PICTURES.glob("*.jpg")]
    check(found_in(ray.data.from_items([{"path": path, "key": at} for at, path in enumerate(paths)])))
    images = ray.data.read_images(str(PICTURES), include_paths=True, file_extensions=["jpg"])
    found = found_in(images, labels_png=True)
    image = pytest.importorskip("PIL.Image")
    for path in PICTURES.glob("*.jpg"):
        expected = Rows(labels_png=True, **SMALL).row(np.asarray(image.open(path)))
        assert {key: found[path.name][key] for key in expected} == expected


def test_zero_copy_batches_are_read_only_and_taken(cluster: Any) -> None:
    class Checked(Segment):
        def __call__(self, batch: Any) -> pa.Table:
            assert not batch["image"].flags.writeable
            return super().__call__(batch)

    images = np.stack([np.asarray(pytest.importorskip("PIL.Image").open(path)) for path in sorted(PICTURES.glob("*.jpg"))])
    rows = ray.data.from_numpy([images[:3], images[3:]]).rename_columns({"data": "image"})
    strategy = ray.data.ActorPoolStrategy(size=2)
    options = {"fn_constructor_kwargs": SMALL, "batch_size": 3, "num_cpus": 1, "compute": strategy, "zero_copy_batch": True}
    found = rows.map_batches(Checked, **options).take_all()
    assert [row["error"] for row in found] == [None] * len(images)
    assert Counter(row["objects"][0]["rle"] for row in found) == Counter(Rows(**SMALL).row(image)["objects"][0]["rle"] for image in images)


@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_every_format_of_batches_is_taken(batch_format: str) -> None:
    data = [(PICTURES / "mug.jpg").read_bytes(), b"broken", None]
    block = pa.table({"bytes": data, "key": [1, 2, 3], "width": ["dropped", "as the", "result has one"]})
    batch = ray.data.block.BlockAccessor.for_block(block).to_batch_format(batch_format)
    table = Segment(**SMALL)(batch)
    assert table.schema.remove_metadata() == pa.schema([("key", pa.int64()), *row_schema(labels_png=False)])
    rows = table.to_pylist()
    expected = Rows(**SMALL).row(data[0])
    assert {name: rows[0][name] for name in expected} == expected
    assert [row["key"] for row in rows] == [1, 2, 3] and all(row["error"] for row in rows[1:])


def test_an_actor_has_as_many_threads_as_cpus(cluster: Any) -> None:
    class Threads(Segment):
        def __call__(self, batch: Any) -> dict[str, Any]:
            return {"threads": [self._rows._threads], "memory": [self._rows._model.get_params()["max_memory"]]}

    strategy = ray.data.ActorPoolStrategy(size=1)
    one = ray.data.from_items([{"path": "x"}]).map_batches(Threads, num_cpus=1, compute=strategy).take_all()
    assert one[0]["threads"] == 1 and one[0]["memory"] > 2**20
    node = cluster.add_node(**{**NODE, "num_cpus": 3})
    try:
        three = ray.data.from_items([{"path": "x"}]).map_batches(Threads, num_cpus=3, compute=strategy).take_all()
        assert three[0]["threads"] == 3
    finally:
        cluster.remove_node(node)


def test_a_dataset_without_images_is_an_error_of_the_job() -> None:
    with pytest.raises(ValueError, match="no column one of bytes, image, path; the columns are key"):
        Segment(**SMALL)({"key": np.arange(2)})
    with pytest.raises(ValueError, match="no column picture"):
        Segment("picture", **SMALL)({"bytes": np.array([b"x"])})
    with pytest.raises(ValueError, match="mode"):
        Segment(mode="cats")


def test_version_is_in_the_parts(cluster: Any, pictures: Path, tmp_path: Path) -> None:
    status, _, errors = finished(job(cluster, pictures / "*.jpg", tmp_path / "out", "--set", "resolution=160"))
    assert status == 1, errors
    part = next((tmp_path / "out/parts").iterdir())
    settings = json.loads(pq.read_schema(part).metadata[b"deepcut"])
    assert settings["version"] == dc.__version__ and settings["options"]["view"]["resolution"] == 160
