"""The model, in the manner of scikit-learn, and the function for one image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from . import _images
from ._cosegment import cosegment
from ._features import FeatureMap
from ._parameters import (
    CUT_PARAMETERS,
    PARAMETERS,
    Parameters,
    build_options,
    changed_of,
    check_names,
    checked_limits,
    engine_of,
    parameter_names,
    spelled_out,
)
from ._result import Region, Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self, Unpack

    from ._images import ImageLike
    from ._parameters import RandomState


class DeepCut:
    """Cuts an image into object and background, into parts, or into several objects.

    A graph network is trained on each image, so that there is nothing to predict for another: `fit` is for one image. Options are checked
    in `fit`, not here. Where None is the default, it stands for the profile's own value.

    Parameters
    ----------
    mode : {'object', 'parts', 'scene', 'objects'}, default='object'
        What to find: the main object, its parts, the parts and two clusters of the background, or several objects, as many as there are.
    n_clusters : int, optional
        Number of clusters, or of parts, 2 to 32; with the objective correlation an upper bound. Default: 2; parts: 4; correlation: 10.
    method : str, default='deepcut'
        'deepcut', or a classical method on the same features: 'kmeans', 'spectral', 'tokencut', 'lost', 'deep-spectral', 'pca', 'maskcut'.
    objective : {'normalized-cut', 'mincut', 'correlation', 'modularity'}, optional
        What the graph network minimizes.
    profile : {'default', 'paper'}, default='default'
        The options to start from: ours, or those of the published method.
    tau : float or 'none', optional
        Threshold of the graph, -1 to 1: patches with a larger cosine are joined. 'none' weighs every edge by its affinity.
    alpha : float, optional
        For the objective correlation: patches repel each other if their affinity is below the largest divided by `alpha`.
    epochs : int or sequence of three, optional
        Training epochs: one number, or those of image, parts and background. An image's cut that begins at a prior, as with the embedded network,
        trains for half as many.
    learning_rate : float, optional
        Learning rate.
    color : float, optional
        For the method deep-spectral: weight of nearness in color and place, 0 to 1000.
    resolution : int, optional
        Side of the network's input in pixels, 16 to 2048.
    refine : {'guided', 'none', 'bilateral'}, optional
        How the mask's edges move to the image's edges. 'guided' is the default profile's; without an image to follow it does nothing. 'none' is
        the profile paper's. 'bilateral' is slower.
    largest_component : bool, default=False
        Keep only the largest connected component of the foreground.
    max_objects : int, optional
        Mode objects: keep the best ones, 1 to 254.
    min_area, max_area : float, optional
        Mode objects: drop those smaller or larger than this share of the image, 0 to 1.
    fill_holes : bool, default=False
        Mode objects: fill the holes of each.
    drop_border : bool, default=False
        Mode objects: drop those that touch the image's border.
    min_confidence : float, optional
        Report no object below this confidence, 0 to 1.
    options : dict, optional
        Any option of the library by its name, such as ``{'dropout': 0.25, 'upsampling': 'nearest'}``; it overrides the parameters.
    backbone : str or path, default='embedded'
        The network: 'embedded', a name that `models` lists (downloaded if missing), a safetensors file, or a folder with one.
    facet : str, optional
        Activations to use as features: 'key', 'query', 'value', 'token' or 'norm-token'; several joined by +, as 'value@6+key@8'.
    layer : int, optional
        Block for facets that name none, counted from 0. Default: the last.
    stride : int, optional
        Pixels between patches; divides the patch size.
    family : {'dino', 'dinov2', 'supervised'}, optional
        Family of a vision transformer's file. Default: detected.
    heads : int, optional
        Attention heads of a vision transformer's file. Default: detected.
    prefix : str, optional
        Network to use from a file with several: its tensors' names begin with this.
    prior : str or path, optional
        A plane through the network's features that ``deepcut fit`` learned of photographs: cuts begin at what it takes for an object.
    log_bin : bool, default=False
        Describe each patch by its surroundings too, in 17 bins.
    precision : {'auto', 'f32', 'bf16', 'int8'}, default='auto'
        Precision of products. 'auto' takes the fastest on this processor that keeps the masks; with the profile paper, 'f32'.
    deterministic : bool, default=False
        Give the same labels on every processor; several times slower.
    offline : bool, default=False
        Take only networks that were downloaded before.
    threads : int, optional
        Threads for one image. Default: one for each core. Results do not depend on it.
    max_memory : int or str, optional
        Limit of the memory of clustering: bytes, '500MB', '4GB' or 'none'. Default: what is free.
    max_pixels : int, optional
        Refuse files with more pixels. Default: 268,435,456.
    keep_damaged : bool, default=False
        Segment what can be read of a damaged file, with a warning, instead of refusing it.
    random_state : int, None, RandomState or Generator, default=0
        Seed of the initial network. With None each image gets another one.

    Attributes
    ----------
    labels_ : ndarray of shape (height, width), uint8
        A label for each pixel; 0 is background.
    mask_ : ndarray of shape (height, width), bool
        True in the foreground.
    regions_ : tuple of Region
        The labels that occur: what they are, how sure that is, area and box.
    confidence_ : float
        0 to 1: how cleanly object and background are cut.
    result_ : Result
        All of it.

    See Also
    --------
    segment : One image, without a model.
    iter_segment : Many images.
    DeepCut.cosegment : Parts that agree over several images.

    Notes
    -----
    A model pickles by its options, and copies to other processes load the network for themselves. Networks are kept for later calls and
    shared by models with the same network, precision and threads.

    Examples
    --------
    >>> import numpy as np
    >>> import deepcut_vision as dc
    >>> image = np.full((96, 128, 3), (40, 60, 50), np.uint8)
    >>> image[24:72, 40:96] = (230, 160, 40)
    >>> model = dc.DeepCut(random_state=0)
    >>> labels = model.fit_predict(image)
    >>> labels.shape, labels.dtype, bool(labels[48, 64]), bool(labels[4, 4])
    ((96, 128), dtype('uint8'), True, False)
    >>> model.set_params(mode="objects", max_objects=3)
    DeepCut(mode='objects', max_objects=3)
    """

    # For scikit-learn before 1.6.
    _estimator_type = "clusterer"

    def __init__(
        self,
        mode: str = "object",
        n_clusters: int | None = None,
        *,
        method: str = "deepcut",
        objective: str | None = None,
        profile: str = "default",
        tau: float | str | None = None,
        alpha: float | None = None,
        epochs: int | Sequence[int] | None = None,
        learning_rate: float | None = None,
        color: float | None = None,
        resolution: int | None = None,
        refine: str | None = None,
        largest_component: bool = False,
        max_objects: int | None = None,
        min_area: float | None = None,
        max_area: float | None = None,
        fill_holes: bool = False,
        drop_border: bool = False,
        min_confidence: float | None = None,
        options: Mapping[str, Any] | None = None,
        backbone: str | os.PathLike[str] = "embedded",
        facet: str | None = None,
        layer: int | None = None,
        stride: int | None = None,
        family: str | None = None,
        heads: int | None = None,
        prefix: str | None = None,
        prior: str | os.PathLike[str] | None = None,
        log_bin: bool = False,
        precision: str = "auto",
        deterministic: bool = False,
        offline: bool = False,
        threads: int | None = None,
        max_memory: int | str | None = None,
        max_pixels: int | None = None,
        keep_damaged: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.mode = mode
        self.n_clusters = n_clusters
        self.method = method
        self.objective = objective
        self.profile = profile
        self.tau = tau
        self.alpha = alpha
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.color = color
        self.resolution = resolution
        self.refine = refine
        self.largest_component = largest_component
        self.max_objects = max_objects
        self.min_area = min_area
        self.max_area = max_area
        self.fill_holes = fill_holes
        self.drop_border = drop_border
        self.min_confidence = min_confidence
        self.options = options
        self.backbone = backbone
        self.facet = facet
        self.layer = layer
        self.stride = stride
        self.family = family
        self.heads = heads
        self.prefix = prefix
        self.prior = prior
        self.log_bin = log_bin
        self.precision = precision
        self.deterministic = deterministic
        self.offline = offline
        self.threads = threads
        self.max_memory = max_memory
        self.max_pixels = max_pixels
        self.keep_damaged = keep_damaged
        self.random_state = random_state

    def fit(self, X: ImageLike, y: object = None) -> Self:
        """Segment an image and keep the result.

        Parameters
        ----------
        X : str, os.PathLike, bytes, array or PIL image
            The image; see `segment`.
        y : ignored
            Here for scikit-learn.

        Returns
        -------
        DeepCut
            The model itself.

        Raises
        ------
        ValueError, TypeError
            If an option or the image is not as expected; the message says what to do.
        OSError
            If a file cannot be read: `ImageError`, or `WeightsNotFound` for the network's.
        MemoryError
            If the image needs more memory than there is.
        """
        self.result_ = self.segment(X)
        return self

    def fit_predict(self, X: ImageLike, y: object = None) -> NDArray[np.uint8]:
        """Segment an image and return its labels; as ``fit(X).labels_``.

        Parameters
        ----------
        X : str, os.PathLike, bytes, array or PIL image
            The image; see `segment`.
        y : ignored
            Here for scikit-learn.

        Returns
        -------
        ndarray of shape (height, width), uint8
            A label for each pixel; 0 is background.
        """
        return self.fit(X).labels_

    def segment(self, image: ImageLike) -> Result:
        """Segment an image without keeping the result in the model; threads may call it at the same time.

        Parameters
        ----------
        image : str, os.PathLike, bytes, array or PIL image
            See `deepcut_vision.segment`.

        Returns
        -------
        Result

        Raises
        ------
        ValueError, TypeError, OSError, MemoryError
            As `fit`.
        """
        parameters = self._parameters()
        options = build_options(parameters)
        picture = self._load(image)
        found = engine_of(parameters).segment(picture.pixels, options)
        return Result(found, picture, options)

    def features(self, image: ImageLike) -> FeatureMap:
        """Compute the features of an image's patches: the costly part, which `cluster` can then use many times.

        Parameters
        ----------
        image : str, os.PathLike, bytes, array or PIL image
            See `deepcut_vision.segment`.

        Returns
        -------
        FeatureMap of shape (h, w, d), float32
            A vector for each patch.

        Raises
        ------
        ValueError, TypeError, OSError, MemoryError
            As `fit`.

        Examples
        --------
        >>> import deepcut_vision as dc
        >>> model = dc.DeepCut()
        >>> features = model.features("examples/pictures/ducks1.jpg")
        >>> [len(model.cluster(features, mode="parts", n_clusters=k).regions) for k in (2, 3)]
        [3, 4]
        """
        parameters = self._parameters()
        # Colors cost little and let `cluster` use every method.
        options = build_options(parameters, patch_colors=True)
        picture = self._load(image)
        values, objectness, colors, constant = engine_of(parameters).features(picture.pixels, options)
        features = FeatureMap(values, objectness=objectness, patch_colors=colors, constant=constant)
        features.image = picture
        return features

    def cluster(
        self,
        features: FeatureMap | ArrayLike,
        *,
        image: ImageLike | None = None,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> Result:
        """Cut features into clusters; it takes milliseconds.

        Parameters
        ----------
        features : FeatureMap or array_like of shape (h, w, d)
            From `features`, or vectors from elsewhere, as another network's. Patches are compared by the angle between their vectors.
        image : str, os.PathLike, bytes, array or PIL image, optional
            The image of the features; needed to refine edges and to draw. A `FeatureMap` knows its own.
        size : (int, int), optional
            Height and width of the labels, if there is no image. Default: those of the grid.
        **options
            Parameters of `DeepCut` for this call, except those that features depend on: ``n_clusters=5``.

        Returns
        -------
        Result
            Labels of the image's pixels, or of `size`, or of the grid.

        Raises
        ------
        ValueError
            If features have another shape, or values that are not finite; if an option is out of range.
        TypeError
            If there is no such option, or features depend on it.

        Examples
        --------
        >>> import numpy as np
        >>> import deepcut_vision as dc
        >>> features = np.zeros((6, 8, 2), np.float32)
        >>> features[...] = (1, 0)
        >>> features[2:4, 3:6] = (0, 1)
        >>> dc.DeepCut().cluster(features).labels
        array([[0, 0, 0, 0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0, 0, 0],
               [0, 0, 0, 1, 1, 1, 0, 0],
               [0, 0, 0, 1, 1, 1, 0, 0],
               [0, 0, 0, 0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0, 0, 0]], dtype=uint8)
        """
        check_names("cluster", options, PARAMETERS)
        for name in options:
            if name not in CUT_PARAMETERS:
                raise TypeError(f"cluster() cannot change {name!r}, which features depend on; set it in DeepCut")
        parameters = {**self._parameters(), **options}
        built = build_options(parameters)
        features = features if isinstance(features, FeatureMap) else FeatureMap(features)
        picture = features.image if image is None else self._load(image)
        found = engine_of(parameters).cluster(
            np.ascontiguousarray(features),
            features.objectness,
            features.patch_colors,
            features.constant,
            built,
            None if picture is None else picture.pixels,
            None if size is None else _checked_size(size, picture),
        )
        return Result(found, picture, built)

    @overload
    def cosegment(
        self,
        images: Iterable[ImageLike],
        k: int | Literal["auto"] | None = ...,
        *,
        method: str | None = ...,
        codebook: str | os.PathLike[str] | None = ...,
        common: float | None = ...,
        min_part: float | None = ...,
        on_error: Literal["raise"] = ...,
    ) -> list[Result]: ...

    @overload
    def cosegment(
        self,
        images: Iterable[ImageLike],
        k: int | Literal["auto"] | None = ...,
        *,
        method: str | None = ...,
        codebook: str | os.PathLike[str] | None = ...,
        common: float | None = ...,
        min_part: float | None = ...,
        on_error: Literal["return"],
    ) -> list[Result | Exception]: ...

    def cosegment(
        self,
        images: Iterable[ImageLike],
        k: int | Literal["auto"] | None = None,
        *,
        method: str | None = None,
        codebook: str | os.PathLike[str] | None = None,
        common: float | None = None,
        min_part: float | None = None,
        on_error: str = "raise",
    ) -> Any:
        """Segment images into parts that agree over all of them, as the command ``deepcut cosegment`` does.

        The object of each image is found first, then the patches of all objects are grouped together. The order of the images does not matter,
        and one that is there twice counts once. The images stay in memory; for a large folder take the command.

        Parameters
        ----------
        images : iterable of str, os.PathLike, bytes, array or PIL image
            See `deepcut_vision.segment`.
        k : int or 'auto', optional
            Number of parts, 2 to 32; 'auto' takes more parts, up to 10, until one more explains little. Default: the model's `n_clusters`, else 4.
        method : {'kmeans', 'spectral', 'network', 'both'}, optional
            How patches are grouped over the images. Default: 'kmeans'. It is not the model's `method`, which cuts the objects.
        codebook : path, optional
            File that keeps what tells parts apart: written if it is missing, used if it is there. With the same file the same part has the same
            label in other images too, on any day and machine.
        common : float, optional
            Keep only what the images have in common: drop segments of the objects that appear in less than this share of the images.
        min_part : float, optional
            Join pieces smaller than this share of their part to the part around them, 0 to 1. Default: 0.03.
        on_error : {'raise', 'return'}, default='raise'
            What becomes of an image that cannot be read or segmented: an exception that ends the call, or the exception in the place of the
            result.

        Returns
        -------
        list of Result
            In the order of the images: label 0 is background, 1 to k are the parts.

        Raises
        ------
        ValueError, TypeError
            If an option or an image is not as expected, no image has an object, or the codebook is of another network, number of parts or method.
        OSError
            If a file cannot be read or written.
        MemoryError
            If an image needs more memory than there is.

        Examples
        --------
        >>> import deepcut_vision as dc
        >>> ducks = [f"examples/pictures/ducks{n}.jpg" for n in (1, 2, 3)]
        >>> results = dc.DeepCut().cosegment(ducks, k=2)
        >>> [[region.label for region in result.regions] for result in results]
        [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
        """
        return cosegment(
            self._parameters(),
            self._load,
            images,
            k=k,
            method=method,
            codebook=codebook,
            common=common,
            min_part=min_part,
            on_error=on_error,
        )

    @property
    def labels_(self) -> NDArray[np.uint8]:
        """Labels of the image of `fit`."""
        return self._fitted("labels_").labels

    @property
    def mask_(self) -> NDArray[np.bool_]:
        """Foreground of the image of `fit`."""
        return self._fitted("mask_").mask

    @property
    def regions_(self) -> tuple[Region, ...]:
        """Regions of the image of `fit`."""
        return self._fitted("regions_").regions

    @property
    def confidence_(self) -> float:
        """Confidence of the result of `fit`."""
        return self._fitted("confidence_").confidence

    def _fitted(self, name: str) -> Result:
        result = self.__dict__.get("result_")
        if result is None:
            raise AttributeError(f"this DeepCut has no {name!r} yet; call fit with an image first")
        assert isinstance(result, Result)
        return result

    def _load(self, image: ImageLike) -> _images.Picture:
        picture = _images.load(image, **checked_limits({"max_pixels": self.max_pixels, "keep_damaged": self.keep_damaged}))
        picture.warn_of_damage()
        return picture

    def _parameters(self) -> dict[str, Any]:
        """Every parameter, also of a class whose constructor takes fewer."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters and their values.

        Parameters
        ----------
        deep : bool
            Here for scikit-learn; there are no estimators inside.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in parameter_names(type(self).__init__)}

    def set_params(self, **params: Any) -> Self:
        """Change parameters.

        Parameters
        ----------
        **params
            Parameters by name.

        Returns
        -------
        DeepCut
            The model itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        names = parameter_names(type(self).__init__)
        for name in params:
            if name not in names:
                raise ValueError(f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {names!r}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = changed_of(type(self).__init__, self.get_params())
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return "result_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags  # type: ignore[import-untyped, unused-ignore]

        images = InputTags(two_d_array=True, three_d_array=True, string=True, positive_only=True)
        return Tags(estimator_type="clusterer", target_tags=TargetTags(required=False), input_tags=images)


def _checked_size(size: tuple[int, int], picture: _images.Picture | None) -> tuple[int, int]:
    height, width = size
    if picture is not None and (height, width) != _images.size_of(picture.pixels):
        raise ValueError(f"size is {(height, width)}, but the image has {_images.size_of(picture.pixels)}; pass one of them")
    return int(height), int(width)


@spelled_out
def segment(image: ImageLike, **options: Unpack[Parameters]) -> Result:
    """Segment an image.

    Parameters
    ----------
    image : str, os.PathLike, bytes, file, array or PIL image
        A path; the bytes of a file, or a file open in binary mode; RGB pixels as an array of shape (height, width, 3) and type uint8, or
        whatever becomes one by ``__array__`` or ``__dlpack__``, as a tensor of PyTorch; RGBA of (height, width, 4), whose transparency is put
        over white; gray of (height, width) or (height, width, 1); or a PIL image. Files are turned upright as their EXIF data says; a PIL
        image is taken as it is. A contiguous RGB array is not copied.
    **options
        Parameters of `DeepCut`.

    Returns
    -------
    Result
        Mask, labels, regions and confidence, for every pixel of the image.

    Raises
    ------
    ValueError
        If an option or the image has a wrong value; a message about an image says how to convert it.
    TypeError
        If an option or the image is of a wrong kind, or there is no such option.
    OSError
        If a file cannot be read: `ImageError` if it is damaged or of an unknown format, `WeightsNotFound` if the network is not there.
    MemoryError
        If the image needs more memory than there is.

    Examples
    --------
    >>> import deepcut_vision as dc
    >>> result = dc.segment("examples/pictures/mug.jpg")
    >>> result.has_object, result.labels.shape
    (True, (360, 480))
    >>> for region in result.regions:
    ...     print(region.label, region.kind)
    0 background
    1 object

    The other extreme, one color, has no object:

    >>> import numpy as np
    >>> dc.segment(np.full((40, 60, 3), 128, np.uint8)).has_object
    False
    """
    check_names("segment", options, PARAMETERS)
    return DeepCut(**options).segment(image)
