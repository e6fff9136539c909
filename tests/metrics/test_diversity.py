# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The metric, loaded by its path as a user would, against loops over all pairs."""

import itertools
import math

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from scipy.stats import beta

from mnist_text_gen.metrics import METRICS_FOLDER


@pytest.fixture(scope="module")
def diversity():
    return evaluate.load(str(METRICS_FOLDER / "diversity"), keep_in_memory=True)


def figures_by_loops(images, labels, train_images, copy_distance):
    """What the docstring promises, one image and one pair at a time."""
    to_train = [[int((image != other).sum()) for other in train_images] for image in images]
    nearest = [min(distances) for distances in to_train]
    per_class = {}
    for label in set(labels):
        members = [image for image, other in zip(images, labels, strict=True) if other == label]
        pairs = [(first != second).sum() for first, second in itertools.combinations(members, 2)]
        per_class[str(label)] = pytest.approx(np.mean(pairs))
    figures = {
        "num_images": len(images),
        "nearest_distance_mean": pytest.approx(sum(nearest) / len(nearest)),
        "nearest_distance_median": np.median(nearest),
        "repeated_rate": np.mean([sum((image == other).all() for other in images) > 1 for image in images]),
        "pairwise_distance": pytest.approx(np.mean([distance.expected for distance in per_class.values()])),
        "pairwise_distance_per_class": per_class,
        "nearest_indices": [distances.index(min(distances)) for distances in to_train],
        "nearest_distances": nearest,
    }
    for name, largest in (("near_copy", copy_distance), ("exact_copy", 0)):
        num_copies = sum(distance <= largest for distance in nearest)
        num_others = len(images) - num_copies
        low = beta.ppf(0.025, num_copies, num_others + 1) if num_copies else 0
        high = beta.ppf(0.975, num_copies + 1, num_others) if num_others else 1
        figures |= {f"{name}_rate": num_copies / len(images), f"{name}_interval": pytest.approx([low, high])}
    return figures


@st.composite
def image_sets(draw):
    height, width, num_classes = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    images = lambda count: draw(np_st.arrays(np.uint8, (count, height, width), elements=st.integers(0, 1)))  # noqa: E731
    sets = {"train_images": images(draw(st.integers(1, 4)))}
    for image_name, label_name in (("predictions", "labels"), ("test_images", "test_labels")):
        labels = list(range(num_classes)) * 2 + draw(st.lists(st.integers(0, num_classes - 1), max_size=3))
        sets |= {image_name: images(len(labels)), label_name: draw(st.permutations(labels))}
    return sets | {"copy_distance": draw(st.none() | st.integers(0, 4))}


@settings(max_examples=25, deadline=None)
@given(sets=image_sets())
def test_figures_are_those_of_loops_over_all_pairs(diversity, sets):
    result = diversity.compute(**sets, return_neighbours=True)
    test_distances = sorted(result["test"]["nearest_distances"])
    # of fewer than 100 images the nearest one is 1 % or more
    assert result["copy_distance"] == (test_distances[0] if sets["copy_distance"] is None else sets["copy_distance"])
    for name, images, labels in (("generated", "predictions", "labels"), ("test", "test_images", "test_labels")):
        expected = figures_by_loops(sets[images], sets[labels], sets["train_images"], result["copy_distance"])
        assert result[name] == expected


IMAGES = {
    "predictions": [[[0, 1]], [[1, 1]]],
    "labels": [3, 3],
    "train_images": [[[0, 0]]],
    "test_images": [[[1, 0]], [[1, 1]]],
    "test_labels": [3, 3],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictions": [[[0, 1]], [[1, 2]]]}, "`predictions` must have values 0 and 1, got 2 in image 1"),
        ({"predictions": [[[0, 1]], [[1]]]}, "`predictions` must have images of the same size, .*inhomogeneous"),
        ({"train_images": []}, r"`train_images` must have shape \[N, H, W\], all of them above 0, got \[0\]"),
        ({"train_images": [[[0], [0]]]}, r"`train_images` must have the size .*, \[1, 2\], got \[2, 1\]"),
        ({"train_images": [[[0, 0]], [[0, 0.5]]]}, "`train_images` must have values 0 and 1, got 0.5 in image 1"),
        ({"labels": [3]}, r"number of predictions \(2\) and labels \(1\)"),
        ({"labels": [3, 4]}, "`labels` must have each class twice or more, .*, got class 3 once"),
        ({"labels": [4, 4]}, "`labels` and `test_labels` must have the same classes, got 3 in one"),
        ({"test_labels": [3, 3, 3]}, r"`test_labels` must have shape \[2\], one per image, got \[3\]"),
        ({"copy_distance": -1}, "`copy_distance` must be a whole number of pixels, 0 or more, got -1"),
    ],
)
def test_input_that_is_not_allowed_is_refused(diversity, change, message):
    with pytest.raises(ValueError, match=message):
        diversity.compute(**IMAGES | change)
    # and the next computation is not disturbed
    assert diversity.compute(**IMAGES)["generated"]["nearest_distance_mean"] == 1.5


@pytest.mark.parametrize("name", ["labels", "test_labels"])
@pytest.mark.parametrize("bad", [3.7, math.nan, None, True, "3"])
def test_labels_that_are_no_whole_numbers_are_refused(diversity, name, bad):
    with pytest.raises(ValueError, match=rf"`{name}\[1\]` must be a whole number, got {bad!r}"):
        diversity.compute(**IMAGES | {name: [3, bad]})
    # a whole number is one, whatever its type
    whole = diversity.compute(**IMAGES | {name: np.array([3.0, 3.0])})
    assert whole == diversity.compute(**IMAGES) and list(whole["test"]["pairwise_distance_per_class"]) == ["3"]
