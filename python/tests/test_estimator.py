"""The model: scikit-learn's manners, on images."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OnlyDlpack, draw
from numpy.typing import NDArray
from sklearn.base import clone, is_clusterer
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import deepcut_vision as dc


class OfNumbers(dc.DeepCut):
    """Takes the tables of floats that scikit-learn's checks are made of: scaled to 0 to 255, they are gray images."""

    def fit(self, X: Any, y: object = None) -> OfNumbers:
        table = np.asarray(X)
        if table.dtype.kind in "fiu" and table.ndim == 2 and table.size and np.isfinite(table).all() and table.min() >= 0:
            X = (table / (table.max() or 1) * 255).round().astype(np.uint8)
        # The checks ask for one cluster; an image is cut into two at least.
        parameters = {**self.get_params(), "n_clusters": None if self.n_clusters == 1 else self.n_clusters}
        self.result_ = dc.DeepCut(**parameters).segment(X)
        return self


FLOATS = "images are uint8; tables of floats are refused, and the message says how to convert them"
NO_FEATURES = "columns of an image are no features, so that there is no n_features_in_"
# Of scikit-learn's own tables of floats, DeepCut itself takes none.
OF_DEEPCUT = {
    "check_array_api_input": FLOATS,
    "check_dict_unchanged": FLOATS,
    "check_fit2d_1feature": FLOATS,
    "check_fit2d_1sample": FLOATS,
    "check_estimators_nan_inf": "the message about floats names no NaN where there is none",
    "check_dont_overwrite_attributes": FLOATS,
    "check_dont_overwrite_parameters": FLOATS,
    "check_estimators_dtypes": FLOATS,
    "check_estimators_fit_returns_self": FLOATS,
    "check_estimators_overwrite_params": FLOATS,
    "check_estimators_pickle": FLOATS,
    "check_f_contiguous_array_estimator": FLOATS,
    "check_fit2d_predict1d": FLOATS,
    "check_fit_check_is_fitted": FLOATS,
    "check_fit_idempotent": FLOATS,
    "check_fit_score_takes_y": FLOATS,
    "check_methods_sample_order_invariance": FLOATS,
    "check_methods_subset_invariance": FLOATS,
    "check_pipeline_consistency": FLOATS,
    "check_readonly_memmap_input": FLOATS,
}
OF_BOTH = {
    "check_dtype_object": "arrays of objects are refused, even if all are numbers",
    "check_estimators_empty_data_messages": "the message speaks of pixels, not of features",
    "check_positive_only_tag_during_fit": "negative numbers are refused in other words",
    "check_n_features_in": NO_FEATURES,
    "check_n_features_in_after_fitting": NO_FEATURES,
}


def expected_failures(estimator: object) -> dict[str, str]:
    return OF_BOTH if isinstance(estimator, OfNumbers) else {**OF_DEEPCUT, **OF_BOTH}


with warnings.catch_warnings():
    # scikit-learn is no dependency, so its base class is not ours.
    warnings.filterwarnings("ignore", "Estimator .* does not inherit from", UserWarning)
    warnings.filterwarnings("error", category=SkipTestWarning)
    with_checks = parametrize_with_checks([dc.DeepCut(), OfNumbers()], expected_failed_checks=expected_failures)


@with_checks
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_fit_keeps_the_result(mug: Path) -> None:
    model = dc.DeepCut(mode="parts", n_clusters=3, random_state=0)
    assert model.fit(mug) is model
    result = dc.segment(mug, mode="parts", n_clusters=3)
    assert np.array_equal(model.labels_, result.labels)
    assert model.labels_ is model.result_.labels and model.mask_ is model.result_.mask
    assert model.regions_ == result.regions and model.confidence_ == result.confidence
    assert np.array_equal(model.fit_predict(mug), result.labels)
    assert np.array_equal(model.mask_, result.labels > 0)
    assert not hasattr(model, "predict") and not hasattr(model, "transform")


def test_before_fit_there_is_nothing() -> None:
    model = dc.DeepCut()
    for name in ("labels_", "mask_", "regions_", "confidence_", "result_"):
        assert not hasattr(model, name)
    with pytest.raises(AttributeError, match="call fit"):
        _ = model.labels_
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(model)


def test_segment_does_not_change_the_model(image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut()
    assert model.segment(image).has_object
    assert vars(model) == model.get_params()


def test_nothing_is_checked_before_fit(image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut(mode="things", n_clusters=-1, options=3, backbone=None, random_state="a")
    with pytest.raises((ValueError, TypeError)):
        model.fit(image)
    model.set_params(mode="object", n_clusters=None, options=None, backbone="embedded", random_state=0).fit(image)
    with pytest.raises(ValueError, match="Invalid parameter 'taus'"):
        model.set_params(taus=1)


def test_clones_copies_and_repr(image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut("parts", 3, tau=0.1, options={"dropout": 0.25}).fit(image)
    copied = clone(model)
    assert copied.get_params() == model.get_params() and not hasattr(copied, "labels_")
    assert repr(model) == "DeepCut(mode='parts', n_clusters=3, tau=0.1, options={'dropout': 0.25})"
    assert eval(repr(model), {"DeepCut": dc.DeepCut}).get_params() == model.get_params()
    assert repr(dc.DeepCut()) == "DeepCut()"
    assert repr(OfNumbers(epochs=np.array([1, 2, 3]))).startswith("OfNumbers(epochs=array")


def test_a_fitted_model_pickles_with_its_result(image: NDArray[np.uint8]) -> None:
    model = dc.DeepCut().fit(image)
    fitted, fresh = pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(dc.DeepCut()))
    assert np.array_equal(fitted.labels_, model.labels_) and fitted.get_params() == model.get_params()
    assert np.array_equal(fresh.fit_predict(image), model.labels_)
    # By its options: there is no network inside.
    assert len(pickle.dumps(dc.DeepCut())) < 2000


def test_tags_say_that_it_clusters_images() -> None:
    tags = get_tags(dc.DeepCut())
    assert is_clusterer(dc.DeepCut()) and tags.input_tags.three_d_array and not tags.target_tags.required


def test_a_seed_of_none_draws_another_network_each_time(mug: Path) -> None:
    model = dc.DeepCut(mode="parts", random_state=None)
    assert any(not np.array_equal(model.fit_predict(mug), model.fit_predict(mug)) for _ in range(3))


def test_features_once_and_clusters_many_times(mug: Path) -> None:
    model = dc.DeepCut()
    features = model.features(mug)
    assert isinstance(features, dc.FeatureMap) and features.dtype == np.float32 and features.ndim == 3
    assert np.array_equal(model.cluster(features).labels, model.segment(mug).labels)
    for options in (
        {"n_clusters": 5},
        {"mode": "parts"},
        {"mode": "objects"},
        {"method": "deep-spectral", "color": 10},
        {"refine": "none"},
        {"refine": "bilateral"},
    ):
        same = dc.segment(mug, **options)
        clustered = model.cluster(features, **options)
        assert np.array_equal(clustered.labels, same.labels), options
        assert clustered.name == str(mug)


def test_cluster_takes_only_what_features_do_not_depend_on(mug: Path) -> None:
    model = dc.DeepCut()
    features = model.features(mug)
    for name in ("resolution", "backbone", "log_bin", "threads"):
        with pytest.raises(TypeError, match=f"cannot change '{name}'"):
            model.cluster(features, **{name: 1})
    with pytest.raises(TypeError, match="Did you mean 'n_clusters'"):
        model.cluster(features, n_cluster=5)


def test_features_from_elsewhere() -> None:
    features = np.zeros((6, 8, 2))
    features[...] = (1, 0)
    features[2:4, 3:6] = (0, 1)
    expected = features[..., 1] > 0
    model = dc.DeepCut()
    forms = (
        features,
        features.astype(np.float32),
        np.asfortranarray(features),
        features[::-1][::-1],
        features.tolist(),
        OnlyDlpack(features),
    )
    for form in forms:
        assert np.array_equal(model.cluster(form).mask, expected)
    assert model.cluster(features, size=(60, 80)).shape == (60, 80)
    image = draw(60, 80)
    result = model.cluster(features, image=image, refine="bilateral")
    assert result.shape == (60, 80) and result.overlay().shape == (60, 80, 3)
    assert not model.cluster(dc.FeatureMap(features, constant=True)).has_object
    for wrong, words in (
        (features[0], r"shape \(8, 2\)"),
        (np.zeros((0, 3, 2)), "shape"),
        (features * np.nan, "finite|NaN|not a number"),
        (np.full((3, 3, 2), "a"), "convert"),
    ):
        with pytest.raises(ValueError, match=words):
            model.cluster(wrong)
    with pytest.raises(ValueError, match="bilateral solver follows the edges"):
        model.cluster(features, refine="bilateral")
    with pytest.raises(ValueError, match="size"):
        model.cluster(features, size=(0, 5))
    with pytest.raises(ValueError, match="size"):
        model.cluster(features, size=(60, 81), image=image)


def test_a_feature_map_is_an_array_that_forgets_where_it_is_from_when_changed(mug: Path) -> None:
    features = dc.DeepCut().features(mug)
    assert features.image is not None and features.patch_colors is not None and not features.constant
    assert features.patch_colors.shape == (*features.shape[:2], 3)
    for derived in (features[1:], features * 2, features.copy(), features.reshape(-1, features.shape[2])):
        assert isinstance(derived, np.ndarray)
        assert derived.image is derived.patch_colors is derived.objectness is None
    assert isinstance(features.mean(), np.floating)
    again = pickle.loads(pickle.dumps(features))
    assert np.array_equal(again, features) and np.array_equal(again.patch_colors, features.patch_colors)
    assert (again.objectness is None) == (features.objectness is None)
    model = dc.DeepCut()
    assert np.array_equal(model.cluster(again).labels, model.cluster(features).labels)
    with pytest.raises(ValueError, match="objectness has shape"):
        dc.FeatureMap(np.zeros((3, 4, 2)), objectness=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="objectness has shape"):
        dc.FeatureMap(np.zeros((3, 4, 2)), objectness=np.zeros((6, 9)))


def test_log_odds_on_a_finer_grid_draw_the_edge() -> None:
    values = np.array([[(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]])
    # Four cells a patch; the edge lies a quarter of a patch before the third.
    fine = np.array([[-4] * 7 + [4] * 5] * 4, np.float32)
    coarse = fine.reshape(1, 4, 3, 4).mean((1, 3))
    assert np.array_equal(coarse, [[-4, -2, 4]])
    model = dc.DeepCut()

    def start(objectness: np.ndarray) -> int:
        labels = model.cluster(dc.FeatureMap(values, objectness=objectness), size=(64, 192)).labels
        assert (labels == labels[0]).all()
        return int(labels[0].argmax())

    assert start(fine) < start(coarse)
    again = pickle.loads(pickle.dumps(dc.FeatureMap(values, objectness=fine)))
    assert np.array_equal(again.objectness, fine)


def test_an_image_of_one_color_has_no_object_on_either_way() -> None:
    image = np.full((50, 70, 3), 99, np.uint8)
    model = dc.DeepCut()
    for result in (model.segment(image), model.cluster(model.features(image))):
        assert not result.has_object and result.confidence == 0 and not result.mask.any()
        assert result.shape == (50, 70) and len(result.regions) == 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (3, 3), (7, 5, 4)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result = dc.segment(image)
    assert result.labels.shape == shape[:2]
    assert result.overlay().shape == (*shape[:2], 3)
