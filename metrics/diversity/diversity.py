# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Distances of generated binary images to the training images and to each other, beside those of real test images."""

from collections import Counter
from numbers import Integral, Real

import datasets
import evaluate
import numpy as np
from scipy import stats
from sklearn.metrics import pairwise_distances_argmin_min


_DESCRIPTION = """
Diversity of generated binary images: the distance of each image to its nearest training image, which shows copies, and
the distance of pairs of a class. Distances are numbers of pixels that differ. The same figures of real images that the
model never saw are for comparison.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (array or nested list [N, H, W]): generated images, uint8 in {0, 1}.
    labels (list of int, [N]): their classes, each with 2 images or more.
    train_images (array or nested list [M, H, W]): the training images.
    test_images (array or nested list [K, H, W]): real images that the model never saw.
    test_labels (list of int, [K]): their classes, the same ones as in labels.
    copy_distance (int, *optional*): largest distance to a training image that counts as a near-copy, in pixels. The
        default is the 1st percentile over the test images, the smallest distance that makes near-copies of 1 % of
        them or more.
    return_neighbours (bool, defaults to False): whether to also return each image's nearest training image.

Returns:
    copy_distance (int): the given distance, or the default.
    generated, test (dict): the same figures of the generated and of the test images:
        num_images (int): how many there are.
        nearest_distance_mean, nearest_distance_median (float): distance to the nearest training image, in pixels that
            differ.
        near_copy_rate, exact_copy_rate (float): share of images whose distance to a training image is at most
            copy_distance, or 0.
        near_copy_interval, exact_copy_interval (list of two floats): exact 95 % intervals of these shares (Clopper and
            Pearson, 1934, Biometrika 26(4)).
        repeated_rate (float): share of images that occur more than once.
        pairwise_distance (float): mean over the classes of the mean distance of all pairs of different images of a
            class. If a class has n images, and a pixel is 1 in a share p of them, that mean distance is the sum over
            the pixels of 2 p (1 - p) n / (n - 1): of the n (n - 1) ordered pairs, 2 (p n) ((1 - p) n) differ there.
        pairwise_distance_per_class (dict of str to float): that mean distance for each class.
        nearest_indices, nearest_distances (list of int, [N] or [K]): each image's nearest training image (the first of
            equally near ones), and its distance; only with return_neighbours.

Raises:
    ValueError: if images are not [N, H, W] of the same size with values 0 and 1; there is not one integer label per
        image; a class has only one image, or is only in labels or only in test_labels; or copy_distance is not an
        integer of 0 or more.

Examples:
    >>> import evaluate
    >>> metric = evaluate.load("metrics/diversity")
    >>> result = metric.compute(
    ...     predictions=[[[0, 0], [1, 1]], [[0, 1], [1, 1]]],
    ...     labels=[7, 7],
    ...     train_images=[[[0, 0], [1, 1]], [[1, 1], [0, 0]]],
    ...     test_images=[[[1, 1], [1, 0]], [[1, 0], [0, 0]]],
    ...     test_labels=[7, 7],
    ... )
    >>> result["generated"]["exact_copy_rate"], result["generated"]["pairwise_distance"]
    (0.5, 1.0)
"""


class Diversity(evaluate.Metric):
    def _info(self):
        # no second form with flat images, because with two forms evaluate 0.4.6 raises a KeyError for wrong inputs
        image = datasets.Sequence(datasets.Sequence(datasets.Value("uint8")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            # with integers, evaluate would silently cut 3.7 to 3
            features=datasets.Features({"predictions": image, "labels": datasets.Value("float64")}),
        )

    def add_batch(self, **inputs):
        """Add images and labels for `compute`."""  # evaluate adds more to this docstring
        # evaluate would silently turn True and "1" into 1
        check_numbers("labels", inputs.get("labels"))
        super().add_batch(**inputs)

    def _compute(
        self,
        predictions,
        labels,
        train_images,
        test_images,
        test_labels,
        copy_distance=None,
        return_neighbours=False,
    ):
        is_distance = (
            isinstance(copy_distance, Integral) and not isinstance(copy_distance, bool) and copy_distance >= 0
        )
        if copy_distance is not None and not is_distance:
            raise ValueError(f"`copy_distance` must be a whole number of pixels, 0 or more, got {copy_distance!r}")
        predictions = check_images("predictions", predictions)
        train_images = check_images("train_images", train_images, predictions)
        images = {"generated": predictions, "test": check_images("test_images", test_images, predictions)}
        classes = {
            "generated": check_labels("labels", labels, images["generated"]),
            "test": check_labels("test_labels", test_labels, images["test"]),
        }
        unshared = np.setxor1d(classes["generated"], classes["test"])
        if unshared.size:
            raise ValueError(
                f"`labels` and `test_labels` must have the same classes, got {unshared[0]} in one of them only"
            )
        neighbours = {name: nearest_training_images(images[name], train_images) for name in images}
        if copy_distance is None:
            copy_distance = int(np.percentile(neighbours["test"][1], 1, method="inverted_cdf"))
        results = {"copy_distance": copy_distance}
        for name, (indices, distances) in neighbours.items():
            results[name] = describe(images[name], classes[name], distances, copy_distance)
            if return_neighbours:
                results[name] |= {"nearest_indices": indices.tolist(), "nearest_distances": distances.tolist()}
        return results


def check_images(name, images, predictions=None):
    """The images as float32 `[N, H, W]` in {0, 1}, or a ValueError that names the set and the image."""
    try:
        images = np.asarray(images)
    except ValueError as error:
        raise ValueError(f"`{name}` must have images of the same size, got an error: {error}") from error
    if images.ndim != 3 or not images.size:
        raise ValueError(f"`{name}` must have shape [N, H, W], all of them above 0, got {list(images.shape)}")
    if predictions is not None and images.shape[1:] != predictions.shape[1:]:
        raise ValueError(
            f"`{name}` must have the size of `predictions`, {list(predictions.shape[1:])}, got "
            f"{list(images.shape[1:])}"
        )
    bad = (images != 0) & (images != 1)
    if bad.any():
        position = tuple(np.argwhere(bad)[0])
        raise ValueError(f"`{name}` must have values 0 and 1, got {images[position]} in image {position[0]}")
    return images.astype(np.float32)


def check_numbers(name, values):
    """Raise a ValueError for the first value that is not a number."""
    for index, value in enumerate(np.asarray(values, dtype=object).flat):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise ValueError(f"`{name}[{index}]` must be a whole number, got {value!r}")


def check_labels(name, labels, images):
    """The labels as int64 `[N]`, one per image, or a ValueError that names the set and the label."""
    check_numbers(name, labels)
    labels = np.asarray(labels, dtype=np.float64)
    if labels.shape != (len(images),):
        raise ValueError(f"`{name}` must have shape [{len(images)}], one per image, got {list(labels.shape)}")
    wrong = np.flatnonzero(~(np.isfinite(labels) & (labels == np.floor(labels))))
    if wrong.size:
        raise ValueError(f"`{name}[{wrong[0]}]` must be a whole number, got {labels[wrong[0]]:g}")
    labels = labels.astype(np.int64)
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < 2:
            raise ValueError(
                f"`{name}` must have each class twice or more, because pairs are compared, got class {label} once"
            )
    return labels


def nearest_training_images(images, train_images):
    """The index of each image's nearest training image, and its distance, both int64 `[N]`.

    Args:
        images (`np.ndarray`): float32 `[N, H, W]` in {0, 1}.
        train_images (`np.ndarray`): float32 `[M, H, W]` in {0, 1}.
    """
    # For values {0, 1} the squared Euclidean distance is the number of pixels that differ, and scikit-learn computes
    # it by matrix products in float64. metric="hamming" compares pixel by pixel, which took 12 times as long.
    indices, distances = pairwise_distances_argmin_min(
        images.reshape(len(images), -1), train_images.reshape(len(train_images), -1), metric="sqeuclidean"
    )
    return indices, np.rint(distances).astype(np.int64)


def describe(images, labels, distances, copy_distance):
    """The figures of one set of images, as the metric returns them."""
    num_images = len(images)
    results = {
        "num_images": num_images,
        "nearest_distance_mean": float(distances.mean()),
        "nearest_distance_median": float(np.median(distances)),
    }
    for name, largest in (("near_copy", copy_distance), ("exact_copy", 0)):
        num_copies = int((distances <= largest).sum())
        interval = stats.binomtest(num_copies, num_images).proportion_ci(method="exact")
        results[f"{name}_rate"] = num_copies / num_images
        results[f"{name}_interval"] = [float(interval.low), float(interval.high)]
    counts = Counter(image.tobytes() for image in images.astype(bool)).values()
    results["repeated_rate"] = sum(count for count in counts if count > 1) / num_images
    per_class = {str(label): pairwise_distance(images[labels == label]) for label in np.unique(labels)}
    results["pairwise_distance"] = float(np.mean(list(per_class.values())))
    results["pairwise_distance_per_class"] = per_class
    return results


def pairwise_distance(images):
    """Mean distance of all pairs of different images, `[n, H, W]` with n above 1, from the means of the pixels."""
    means = images.mean(axis=0, dtype=np.float64)
    return float((2 * means * (1 - means)).sum() * len(images) / (len(images) - 1))
