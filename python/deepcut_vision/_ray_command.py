"""The command line of `python -m deepcut_vision.ray`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from typing import Any

from ._inputs import InputError
from ._parts import OtherSettings
from ._ray_job import Job, JobError, Summary, run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deepcut_vision.ray",
        description="Segment many images on a Ray cluster, or on this machine. The same command again continues where it stopped, and tries images again that failed.",
        epilog="Exit status: 0 if all images have a result, 1 if some have not, 2 if the job cannot run, 130 if it was interrupted.",
    )
    add = parser.add_argument
    add("input", metavar="INPUT", help="folder of images, glob pattern, or Parquet files with bytes, paths or arrays of images; all machines see it")
    add("output", metavar="OUTPUT", help="folder for the results, shared by all machines: Parquet files below OUTPUT/parts")
    add("--format", choices=("parquet", "coco"), default="parquet", help="coco: OUTPUT/annotations.json and results.json too [default: parquet]")
    add("--label", metavar="NAME", help="for coco: class of the objects [default: object]")
    add("--labels", metavar="FILE", help="for coco: file with names of the parts or clusters, one a line")
    add("--labels-png", action="store_true", help="add the column labels_png, the label image")
    add("--column", metavar="NAME", help="Parquet's column of images [default: the first of bytes, image, path]")
    add("--name-column", metavar="NAME", help="Parquet's column of names, all different [default: the first of name, path, file_name, or FILE#ROW]")
    add("--overwrite", action="store_true", help="remove the results that exist")
    add("--json", action="store_true", help="print the summary as JSON to standard output")
    add("-q", "--quiet", action="store_true", help="print errors only")
    method = parser.add_argument_group("method: parameters of deepcut_vision.DeepCut")
    method.add_argument("-m", "--mode", choices=("object", "parts", "scene", "objects"), default="object", help="what to find [default: object]")
    method.add_argument("-k", "--n-clusters", type=int, metavar="K", help="number of clusters or parts")
    method.add_argument("-b", "--backbone", default="embedded", metavar="NAME|PATH", help="the feature network [default: embedded]")
    method.add_argument("--precision", default="auto", help="name one if the machines' processors differ [default: auto]")
    method.add_argument("--offline", action="store_true", help="download no network")
    method.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other parameter, or library option by its name; a value is a word, a number, or JSON")
    cluster = parser.add_argument_group("cluster")
    cluster.add_argument("--address", help="address of a cluster, or `auto` for the one this machine belongs to [default: RAY_ADDRESS, or this machine alone]")
    cluster.add_argument("--actors", type=_positive, metavar="N", help="actors at most [default: as many as there are CPUs for]")
    cluster.add_argument("--cpus", type=_positive, default=1, metavar="N", help="CPUs, and images at a time, of each actor [default: 1]")
    cluster.add_argument("--part-rows", type=_positive, default=512, metavar="N", help="images in a Parquet file at most; what a machine that dies may lose is made again [default: 512]")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return value


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters of `DeepCut`, from flags and `--set`."""
    from ._estimator import DeepCut

    options: dict[str, Any] = {"mode": args.mode, "backbone": args.backbone, "precision": args.precision, "offline": args.offline}
    if args.n_clusters is not None:
        options["n_clusters"] = args.n_clusters
    library: dict[str, Any] = {}
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: expected NAME=VALUE")
        try:
            value = json.loads(value)
        except ValueError:
            pass
        if name in ("options", "threads"):
            raise ValueError(f"--set {name}: set library options by their names, and threads by --cpus")
        (options if name in DeepCut().get_params() else library)[name] = value
    return {**options, "options": library} if library else options


def _names(path: str | None) -> list[str]:
    """Names of parts or clusters, one a line."""
    if path is None:
        return []
    with open(path, encoding="utf-8-sig") as file:
        names = [line.strip() for line in file if line.strip()]
    if not names:
        raise ValueError(f"--labels {path}: there is no name in it")
    if len(set(names)) < len(names):
        raise ValueError(f"--labels {path}: two lines have one name")
    return names


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Connects to a cluster; makes one of this machine if no address is given."""
    # Not for people: a tip about accelerators, and that actors restart only while this process lives.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    else:
        _check_listens(address)
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise JobError(f"cannot connect to Ray: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_listens(address: str) -> None:
    """Ray would wait many minutes for a cluster that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            raise JobError(f"no cluster answers at {address}: {error}; `ray status` on its head prints the address") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit status."""
    args = _parser().parse_args(arguments)

    def tell(line: str) -> None:
        if not args.quiet or line.startswith("error: "):
            print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr, flush=True)

    try:
        job = Job(
            input=os.path.abspath(args.input),
            output=os.path.abspath(args.output),
            options=_options(args),
            coco=args.format == "coco",
            label=args.label,
            labels=_names(args.labels),
            labels_png=args.labels_png,
            column=args.column,
            name_column=args.name_column,
            actors=args.actors,
            cpus=args.cpus,
            part_rows=args.part_rows,
            overwrite=args.overwrite,
        )
        # What Ray says of nodes that die goes where messages go.
        with redirect_stdout(sys.stderr), _connected(args.address):
            status, summary = run(job, tell=tell)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    tell(_sentence(job, summary))
    if args.json:
        print(json.dumps({"type": "summary", **asdict(summary)}))
    return status


def _expected() -> tuple[type[Exception], ...]:
    from ray.exceptions import RayError

    return (InputError, OtherSettings, JobError, OSError, ValueError, TypeError, MemoryError, RayError)


def _sentence(job: Job, summary: Summary) -> str:
    counts = f"{summary.done} done, {summary.skipped} done before, {summary.failures} failed, {summary.not_done} not done"
    rate = f"{summary.pictures_per_second:.1f} pictures/s on {summary.actors} actors" if summary.actors else "nothing to do"
    return f"{summary.pictures} pictures: {counts}; {rate}; {summary.parts} files, {summary.bytes / 1e6:.1f} MB in {job.output}"
