"""The parameters of `DeepCut`: their names, and what becomes of their values."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Union

import numpy as np

from . import _deepcut
from ._engine import engine
from ._warn import warn

if TYPE_CHECKING:
    from collections.abc import Callable

# What draws the seed, as in scikit-learn.
RandomState = Union[int, "np.integer[Any]", np.random.RandomState, np.random.Generator, None]


class Parameters(TypedDict, total=False):
    """Keyword arguments of `DeepCut`, which `segment` and others take too."""

    mode: str
    n_clusters: int | None
    method: str
    objective: str | None
    profile: str
    tau: float | str | None
    alpha: float | None
    epochs: int | Sequence[int] | None
    learning_rate: float | None
    color: float | None
    resolution: int | None
    refine: str | None
    largest_component: bool
    max_objects: int | None
    min_area: float | None
    max_area: float | None
    fill_holes: bool
    drop_border: bool
    min_confidence: float | None
    options: Mapping[str, Any] | None
    backbone: str | os.PathLike[str]
    facet: str | None
    layer: int | None
    stride: int | None
    family: str | None
    heads: int | None
    prefix: str | None
    prior: str | os.PathLike[str] | None
    log_bin: bool
    precision: str
    deterministic: bool
    offline: bool
    threads: int | None
    max_memory: int | str | None
    max_pixels: int | None
    keep_damaged: bool
    random_state: RandomState


# Parameters that say how patches are cut, and how that becomes pixels: those that `cluster` may change.
_CUT = (
    "mode",
    "n_clusters",
    "method",
    "objective",
    "tau",
    "alpha",
    "epochs",
    "learning_rate",
    "color",
    "refine",
    "largest_component",
    "max_objects",
    "min_area",
    "max_area",
    "fill_holes",
    "drop_border",
    "min_confidence",
)
# Library options that features depend on, and parameters of the network.
_VIEW = ("resolution", "log_bin")
_NETWORK = ("backbone", "facet", "layer", "stride", "family", "heads", "prefix", "prior", "precision", "deterministic", "offline")
PARAMETERS = tuple(Parameters.__annotations__)
CUT_PARAMETERS = (*_CUT, "options", "random_state")
# Library options that parameters stand for, where the names differ.
_SPELLINGS: dict[str, tuple[str, ...]] = {"edges": ("tau", "alpha"), "seed": ("random_state",)}


def check_names(caller: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse keywords that `caller` does not have, as Python does.

    Raises
    ------
    TypeError
        Naming the keyword and what it may have been meant to be.
    """
    known = list(known)
    for name in given:
        if name in known:
            continue
        hint = ""
        near = difflib.get_close_matches(name, known, n=2)
        if name in _deepcut.Options.names():
            hint = f"; pass it as options={{{name!r}: ...}}"
        elif near:
            hint = f". Did you mean {' or '.join(map(repr, near))}?"
        raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}{hint}")


def parameter_names(function: Callable[..., object]) -> list[str]:
    """The keywords of a constructor or function."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def changed_of(constructor: Callable[..., object], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those parameters whose values are not the constructor's own."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(constructor).parameters.items()}

    def is_default(value: object, default: object) -> bool:
        # `==` of arrays is an array.
        return value is default or (type(value) is type(default) and isinstance(value, (str, int, float)) and value == default)

    return {name: value for name, value in parameters.items() if not is_default(value, defaults[name])}


_F = TypeVar("_F", bound="Callable[..., object]")


def spelled_out(function: _F) -> _F:
    """Shows the parameters of `DeepCut` in place of ``**options`` to `help` and to notebooks."""
    from ._estimator import DeepCut

    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    theirs = list(inspect.signature(DeepCut.__init__).parameters.values())[1:]
    parameters = [*own, *(parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in theirs)]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


def build_options(parameters: Mapping[str, Any], **more: Any) -> _deepcut.Options:
    """The library's options, validated.

    Parameters
    ----------
    parameters : mapping
        Every parameter of `DeepCut`.
    **more
        Library options that no parameter has.

    Raises
    ------
    ValueError
        If a value is out of range or does not go with another.
    TypeError
        If a value is of the wrong kind.

    Warns
    -----
    UserWarning
        If parameters that were set have no effect beside the others.
    """
    seed = seed_of(parameters["random_state"])
    values = {name: _plain(parameters[name]) for name in (*_CUT, *_VIEW) if _is_set(parameters[name])}
    own = _own_options(parameters["options"])
    given = {*values, *own, *(["random_state"] if seed else [])}
    values = {**more, **values, "seed": seed, "precision": precision_of(parameters), **own}
    options = _deepcut.Options(_profile(parameters), values)
    _warn_of_ignored(options, given)
    return options


def _is_set(value: object) -> bool:
    return value is not None and value is not False


def _plain(value: Any) -> Any:
    """A value without numpy's types: numbers, words, lists of them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _profile(parameters: Mapping[str, Any]) -> str:
    profile = parameters["profile"]
    if profile not in ("default", "paper"):
        raise ValueError(f"profile is {profile!r}; expected 'default' or 'paper'")
    return str(profile)


def _own_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameter `options`, whose names are checked here to be able to suggest others."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f"options is {options!r}; expected a dict of library options")
    known = [name for name in _deepcut.Options.names() if name != "precision"] + ["tau", "alpha"]
    for name in options:
        if name == "precision":
            raise ValueError("options has 'precision'; the network is loaded in it, so use the parameter precision")
        if not isinstance(name, str) or name not in known:
            near = difflib.get_close_matches(str(name), known, n=2)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"options has {name!r}, which is no option; {hint}")
    return {name: _plain(value) for name, value in options.items()}


def _warn_of_ignored(options: _deepcut.Options, given: set[str]) -> None:
    ignored: dict[str, list[str]] = {}
    for name, reason in options.without_effect():
        ignored.setdefault(reason, []).extend(alias for alias in (name, *_SPELLINGS.get(name, ())) if alias in given)
    edges = options.flat()["edges"]
    is_correlation = isinstance(edges, dict) and "correlation" in edges
    if "tau" in given and is_correlation:
        ignored.setdefault("the objective correlation has a graph of its own", []).append("tau")
    if "alpha" in given and not is_correlation and not any("alpha" in names for names in ignored.values()):
        ignored.setdefault("it belongs to the objective correlation", []).append("alpha")
    told = [f"{name} has no effect: {reason}" for reason, names in ignored.items() for name in names]
    if told:
        warn("; ".join(told))


def precision_of(parameters: Mapping[str, Any]) -> str:
    """Precision of network and training; the paper's profile computes in f32 unless told otherwise, as does a deterministic run."""
    precision, deterministic = parameters["precision"], parameters["deterministic"]
    if deterministic and precision not in ("auto", "f32"):
        raise ValueError(f"precision is {precision!r} and deterministic is True; deterministic results need 'f32' or 'auto'")
    if precision == "auto" and (deterministic or parameters["profile"] == "paper"):
        return "f32"
    if precision not in ("auto", "f32", "bf16", "int8"):
        raise ValueError(f"precision is {precision!r}; expected 'auto', 'f32', 'bf16' or 'int8'")
    return str(precision)


def seed_of(random_state: RandomState) -> int:
    """A seed from scikit-learn's `random_state`.

    Parameters
    ----------
    random_state : int, None, numpy.random.RandomState or numpy.random.Generator
        A number is the seed; None draws one from numpy's global state, a generator gives its next number.

    Raises
    ------
    ValueError
        If a number is negative, larger than 64 bits, or the argument is something else.
    """
    if random_state is None:
        return int(np.random.randint(2**31 - 1))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31 - 1))
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool) and 0 <= random_state < 2**64:
        return int(random_state)
    raise ValueError(f"random_state is {random_state!r}; expected a number from 0 to 2**64 - 1, None, or a numpy generator")


def engine_of(parameters: Mapping[str, Any], *, threads: int | None = None) -> _deepcut.Engine:
    """The network that parameters name.

    Parameters
    ----------
    parameters : mapping
        Every parameter of `DeepCut`.
    threads : int, optional
        Threads for each image, instead of those of `parameters`; 0 for those that a folder's images are spread over.
    """
    config = {name: _plain(parameters[name]) for name in (*_NETWORK, "max_memory")}
    config["backbone"] = os.fspath(config["backbone"])
    if config["prior"] is not None:
        config["prior"] = os.fspath(config["prior"])
    config["precision"] = precision_of(parameters)
    for name, (low, high) in {"layer": (0, 999), "stride": (1, 999), "heads": (1, 999)}.items():
        checked_count(name, config[name], low, high)
    for name in ("deterministic", "offline"):
        checked_flag(name, config[name])
    for name in ("facet", "family", "prefix"):
        if not isinstance(config[name], (str, type(None))):
            raise TypeError(f"{name} is {config[name]!r}; expected a str")
    if config["max_memory"] is not None:
        config["max_memory"] = str(config["max_memory"])
    config["threads"] = checked_threads(parameters["threads"]) if threads is None else threads
    return engine(**config)


def checked_threads(threads: int | None) -> int:
    """Number of threads; that of the cores that this process may use if None."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = checked_count("threads", threads, 1, 1024)
    assert count is not None
    return count


def checked_count(name: str, value: Any, low: int, high: int) -> int | None:
    """A whole number in a range, or None.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it lies outside.
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {value!r}; expected a whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; expected {low} to {high}")
    return int(value)


def checked_flag(name: str, value: Any) -> bool:
    """True or False.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def checked_limits(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that say which files are read."""
    return {
        "max_pixels": checked_count("max_pixels", parameters["max_pixels"], 1, 2**48),
        "keep_damaged": checked_flag("keep_damaged", parameters["keep_damaged"]),
    }
