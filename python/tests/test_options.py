"""Parameters and what becomes of them."""

from __future__ import annotations

import typing
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import deepcut_vision as dc
from deepcut_vision._parameters import Parameters, RandomState, build_options, parameter_names, seed_of


def flat(**parameters: object) -> dict[str, object]:
    return build_options({**dc.DeepCut().get_params(), **parameters}).flat()


def test_the_typed_keywords_are_the_constructors() -> None:
    names = parameter_names(dc.DeepCut.__init__)
    assert list(typing.get_type_hints(Parameters)) == names
    hints = typing.get_type_hints(dc.DeepCut.__init__, localns={"RandomState": RandomState})
    assert {name: hints[name] for name in names} == typing.get_type_hints(Parameters)


def test_every_parameter_reaches_its_option() -> None:
    assert flat(mode="parts")["mode"] == "parts"
    assert flat(n_clusters=np.int64(3))["n_clusters"] == 3
    assert flat(method="kmeans")["method"] == "kmeans"
    assert flat(objective="mincut")["objective"] == "mincut"
    assert flat(tau=0.5)["edges"] == {"threshold": 0.5}
    assert flat(tau="none")["edges"] == "relu"
    assert flat(objective="correlation", alpha=5)["edges"] == {"correlation": {"alpha": 5.0}}
    assert flat(epochs=7)["epochs"] == [7, 7, 7]
    assert flat(epochs=(1, 2, 3))["epochs"] == [1, 2, 3]
    assert flat(learning_rate=np.float32(0.5))["learning_rate"] == 0.5
    assert flat(method="deep-spectral", color=10)["color"] == 10.0
    assert flat(resolution=224)["resolution"] == 224
    assert (flat()["refine"], flat(profile="paper")["refine"]) == ("guided", "none")
    assert flat(refine="bilateral")["refine"] == "bilateral"
    assert flat(refine="bilateral", profile="paper")["refine"] == "bilateral-published"
    assert flat(largest_component=True)["largest_component"] is flat(largest_component=True)["single_object"] is True
    objects = flat(mode="objects", max_objects=3, min_area=0.25, max_area=0.5, fill_holes=True, drop_border=True)
    names = ("max_objects", "min_area", "max_area", "fill_holes", "drop_border")
    assert [objects[name] for name in names] == [3, 0.25, 0.5, True, True]
    assert flat(min_confidence=0.5)["min_confidence"] == 0.5
    assert flat(log_bin=True)["log_bin"] is True
    assert flat(random_state=9)["seed"] == 9
    assert flat(precision="bf16")["precision"] == "bf16"
    assert flat(profile="paper")["precision"] == flat(deterministic=True)["precision"] == "f32"
    assert flat(options={"dropout": 0.25, "tau": 0.75}, tau=0.5)["dropout"] == 0.25
    assert flat(options={"tau": 0.75}, tau=0.5)["edges"] == {"threshold": 0.75}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_clusters": 100}, ValueError, "n_clusters is 100; expected 2 to 32"),
        ({"n_clusters": "many"}, (ValueError, TypeError), "n_clusters"),
        ({"n_clusters": [2]}, (ValueError, TypeError), "n_clusters"),
        ({"mode": "thing"}, ValueError, "mode"),
        ({"method": "otsu"}, ValueError, "method"),
        ({"profile": "ours"}, ValueError, "'default' or 'paper'"),
        ({"tau": float("nan")}, ValueError, "nan|finite"),
        ({"tau": 2}, ValueError, "tau"),
        ({"precision": "f16"}, ValueError, "precision is 'f16'"),
        ({"precision": "bf16", "deterministic": True}, ValueError, "deterministic"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"random_state": "a"}, ValueError, "random_state is 'a'"),
        ({"options": {"taus": 1}}, ValueError, "'taus'.*did you mean 'tau'"),
        ({"options": {"precision": "f32"}}, ValueError, "parameter precision"),
        ({"options": [1]}, TypeError, "dict"),
        ({"threads": 0}, ValueError, "threads is 0; expected 1 to 1024"),
        ({"threads": 2.0}, TypeError, "threads is 2.0; expected a whole number"),
        ({"stride": -1}, ValueError, "stride is -1"),
        ({"heads": 70_000}, ValueError, "heads is 70000"),
        ({"layer": True}, TypeError, "layer is True"),
        ({"max_pixels": -1}, ValueError, "max_pixels is -1"),
        ({"keep_damaged": "yes"}, TypeError, "keep_damaged is 'yes'; expected True or False"),
        ({"deterministic": 1}, TypeError, "deterministic is 1"),
        ({"facet": 3}, TypeError, "facet is 3"),
        ({"backbone": 3}, TypeError, "int"),
        ({"prior": 3}, TypeError, "int"),
        ({"max_memory": 2.5}, MemoryError, "patches"),
        ({"taus": 1}, TypeError, r"segment\(\) got an unexpected keyword argument 'taus'. Did you mean 'tau'\?"),
        ({"dropout": 0.1}, TypeError, r"options=\{'dropout': \.\.\.\}"),
        ({"backbone": "no/such.safetensors"}, OSError, "no/such.safetensors"),
        ({"facet": "key"}, ValueError, "facet"),
        ({"max_memory": "1 parsec"}, ValueError, "1 parsec"),
    ],
    ids=str,
)
def test_wrong_options_say_which_and_what_to_do(image: NDArray[np.uint8], options: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        dc.segment(image, **options)


def test_weights_that_are_not_here_are_an_error_of_their_own(
    image: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    name = next(model["name"] for model in dc.models() if model["name"] != "embedded")
    with pytest.raises(dc.WeightsNotFound, match="offline"):
        dc.segment(image, backbone=name, offline=True)
    assert issubclass(dc.WeightsNotFound, OSError) and issubclass(dc.ImageError, OSError)


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ({"method": "kmeans", "tau": 0.3, "learning_rate": 0.1, "epochs": 5}, {"tau", "learning_rate", "epochs"}),
        ({"objective": "mincut", "alpha": 2}, {"alpha"}),
        ({"objective": "correlation", "tau": 0.3, "alpha": 2}, {"tau"}),
        ({"max_objects": 2, "fill_holes": True}, {"max_objects", "fill_holes"}),
        ({"method": "lost", "random_state": 3}, {"random_state"}),
        ({"method": "kmeans", "options": {"dropout": 0.5}}, {"dropout"}),
        ({"tau": 0.3, "epochs": 3, "learning_rate": 0.01}, set()),
        ({"method": "lost"}, set()),
    ],
    ids=str,
)
def test_options_without_effect_are_told_in_one_warning(image: NDArray[np.uint8], options: dict, ignored: set[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dc.segment(image, **options)
    assert len(caught) == (1 if ignored else 0)
    told = {part.split()[0] for warning in caught for part in str(warning.message).split("; ") if "has no effect" in part}
    assert told == ignored
    assert all(warning.filename == __file__ for warning in caught)


def test_random_state_is_scikit_learns() -> None:
    assert seed_of(0) == 0 and seed_of(np.uint8(7)) == 7 and seed_of(2**64 - 1) == 2**64 - 1
    state, generator = np.random.RandomState(1), np.random.default_rng(1)
    assert seed_of(state) != seed_of(state) and seed_of(generator) != seed_of(generator)
    assert seed_of(np.random.RandomState(1)) == seed_of(np.random.RandomState(1))
    np.random.seed(5)
    first = seed_of(None)
    assert first != seed_of(None)
    np.random.seed(5)
    assert seed_of(None) == first
    for wrong in (True, 1.5, -1, 2**64, "0"):
        with pytest.raises(ValueError, match="random_state"):
            seed_of(wrong)


def test_results_depend_on_the_seed_and_not_on_threads(mug: Path) -> None:
    def labels(**options: object) -> NDArray[np.uint8]:
        return dc.segment(mug, mode="parts", **options).labels

    assert np.array_equal(labels(), labels(random_state=0))
    assert not np.array_equal(labels(), labels(random_state=1))
    assert np.array_equal(labels(threads=1), labels(threads=3))
