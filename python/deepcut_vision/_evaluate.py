"""Measuring on data sets, and the list of networks."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _deepcut
from ._estimator import DeepCut
from ._parameters import build_options, changed_of, seed_of, spelled_out
from ._stream import merged

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._parameters import Parameters

# Parameters whose flag has another name.
_FLAGS = {"learning_rate": "lr"}
# Parameters that evaluation does not have: it reads the data set's files as they are.
_MISSING = ("max_pixels", "keep_damaged")


@spelled_out
def evaluate(
    dataset: str,
    root: str | os.PathLike[str],
    *,
    limit: int | None = None,
    image_list: str | os.PathLike[str] | None = None,
    task: str | None = None,
    void: Sequence[int] | str | None = None,
    compare: tuple[str, str] | None = None,
    seeds: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_size: float | None = None,
    resume: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    examples: int | None = None,
    results: str | os.PathLike[str] | None = None,
    csv: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    model: DeepCut | None = None,
    **options: Unpack[Parameters],
) -> dict[str, Any]:
    """Measure masks, boxes or objects against the truth of a data set, as the command ``deepcut eval`` does.

    Parameters
    ----------
    dataset : str
        'masks' (a folder of images and one of masks), 'ecssd', 'duts-te', 'dut-omron', 'voc2007', 'voc2012', 'davis', 'coco20k', 'coco' or
        'cub'.
    root : path
        The data set's folder, or one above it.
    limit : int, optional
        Evaluate only the first images.
    image_list : path, optional
        Evaluate only the images listed in this file, one a line.
    task : {'foreground', 'instances'}, optional
        What is measured: one foreground, or every object for itself.
    void : sequence of int or 'none', optional
        Values of label pictures that are void.
    compare : (str, str), optional
        Two methods or profiles to measure on the same images.
    seeds : int, optional
        Evaluate so many seeds, from `random_state` on.
    cache : path, optional
        Folder that keeps features: a second run with another method computes none.
    cache_size : float, optional
        Largest size of that folder in GB.
    resume : path, optional
        File that records each image's values; if it exists, the run continues from there.
    report : path, optional
        Folder for a page with tables, plots and images.
    examples : int, optional
        Number of best, of median and of worst images on that page.
    results : path, optional
        With the task instances: folder for ``truth.json`` and ``results.json``, as pycocotools reads them.
    csv : path, optional
        File for each image's values.
    overwrite : bool, default=False
        Replace files that exist.
    model : DeepCut, optional
        Where parameters come from; `options` override it.
    **options
        Parameters of `DeepCut`, but `max_pixels` and `keep_damaged`.

    Returns
    -------
    dict
        What ``deepcut eval --json`` prints: the metrics with 95 % intervals, and the setting.

    Raises
    ------
    ValueError
        If there is no such data set, an argument is out of range, or files of the data set are missing.
    FileNotFoundError
        If `root` is not there.
    TypeError
        If there is no such argument.
    """
    flags = {name: value for name, value in locals().items() if name not in ("dataset", "root", "model", "options")}
    root = os.fspath(root)
    if not os.path.exists(root):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), root)
    parameters = merged("evaluate", model, options)
    build_options(parameters)
    changed = changed_of(DeepCut.__init__, parameters)
    for name in _MISSING:
        if name in changed:
            raise TypeError(f"evaluate() does not take {name!r}")
    flags["list"] = flags.pop("image_list")
    arguments = ["deepcut", "eval", str(dataset), f"--root={root}", "--quiet", "--no-progress", *_arguments(flags)]
    try:
        measured: dict[str, Any] = _deepcut.evaluate([*arguments, *_of_parameters(changed)])
    except ValueError as error:
        raise ValueError(_sentence(str(error))) from None
    return measured


def _sentence(text: str) -> str:
    """What the command line's reader says, without what is for a terminal."""
    lines = [line.strip() for line in text.removeprefix("error: ").splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("For more information"))


def _of_parameters(changed: dict[str, Any]) -> list[str]:
    """The flags of parameters that are not as usual."""
    flags = {name: value for name, value in changed.items() if name not in ("options", "random_state")}
    if flags.get("deterministic"):
        # It means f32, and the command takes only one of them.
        flags.pop("precision", None)
    if "random_state" in changed:
        flags["seed"] = seed_of(changed["random_state"])
    sets = [f"--set={name}={json.dumps(value)}" for name, value in (changed.get("options") or {}).items()]
    return [*_arguments(flags), *sets]


def _arguments(flags: dict[str, Any]) -> list[str]:
    """Flags of the command: those that are None or False are left out."""
    made = []
    for name, value in flags.items():
        flag = "--" + _FLAGS.get(name, name).replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            made.append(flag)
        elif name == "compare":
            made += [flag, *map(str, value)]
        elif isinstance(value, (str, os.PathLike)):
            made.append(f"{flag}={os.fspath(value)}")
        elif isinstance(value, Sequence):
            made.append(f"{flag}={','.join(map(str, value))}")
        else:
            made.append(f"{flag}={value}")
    return made


def models() -> list[dict[str, Any]]:
    """The networks that `DeepCut` knows by name.

    Returns
    -------
    list of dict
        ``name``; ``here``, whether it is on this machine; and for those that are downloaded ``family``, ``patch_size``, ``license``,
        ``repository`` and more.

    Examples
    --------
    >>> import deepcut_vision as dc
    >>> dc.models()[0]["name"], dc.models()[0]["here"]
    ('embedded', True)
    """
    known: list[dict[str, Any]] = _deepcut.models()
    return known
