# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Which candidates are returned: against plain loops, and what is said where too few are good."""

import numpy as np
import pytest

from mnist_text_gen.modeling import Candidates, select_diverse


def farthest_points(scores, images, passed, number):
    """The same by plain loops."""
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    good = [index for index in order if passed[index]]
    selected = good[:1]
    while len(selected) < min(number, len(good)):
        left = [index for index in good if index not in selected]
        distances = [min(int((images[index] != images[other]).sum()) for other in selected) for index in left]
        selected.append(left[distances.index(max(distances))])
    others = [index for index in order if index not in good]
    return (sorted(selected, key=order.index) + others)[:number]


@pytest.mark.parametrize("seed", range(20))
def test_diverse_is_the_farthest_point_heuristic(seed):
    generator = np.random.default_rng(seed)
    # few pixels and few scores, so that there are equal images, equal distances and equal scores
    images = generator.integers(2, size=(12, 2, 3), dtype=np.uint8)
    scores, passed = generator.integers(5, size=12) / 5, generator.random(12) < 0.7
    for number in (1, 2, 8, 12):
        selected = select_diverse(scores, images, passed, number)
        assert selected.tolist() == farthest_points(scores, images, passed, number)
        assert len(set(selected.tolist())) == number


@pytest.fixture
def candidates():
    """Four of a digit 7 and one of a digit 0; the third is as good as the second, and the last has no ink."""
    probabilities = np.zeros((5, 10), dtype=np.float32)
    probabilities[:, 7] = [0.95, 0.99, 0.99, 0.4, 1.0]
    probabilities[3, 0] = 0.6
    images = np.random.default_rng(0).integers(2, size=(5, 30, 30), dtype=np.uint8)
    images[2], images[4] = images[1], 0
    return Candidates([str(index) for index in range(5)], images, probabilities, {})


def chosen(candidates, number, selection, min_score=0.9):
    results = candidates.choose(7, [str(label) for label in range(10)], number, selection, min_score)
    return [(result["generated_text"], result["rank"], result["passed"]) for result in results]


def test_results_say_their_rank_and_whether_they_passed(candidates):
    assert chosen(candidates, 3, "best") == [("4", 1, False), ("1", 2, True), ("2", 3, True)]
    # the third is the same image as the second
    assert chosen(candidates, 2, "diverse") == [("1", 2, True), ("0", 4, True)]
    assert chosen(candidates, 2, "diverse", 0.97) == [("1", 2, True), ("2", 3, True)]


def test_too_few_are_filled_up_by_score_with_a_warning(candidates, caplog):
    assert chosen(candidates, 5, "best") and not caplog.records
    filled = [("1", 2, True), ("2", 3, True), ("4", 1, False), ("0", 4, False)]
    assert chosen(candidates, 4, "diverse", 0.97) == filled
    assert "2 of 5 candidates of class '7' pass with a `min_score` of 0.97" in caplog.text
    assert chosen(candidates, 1, "diverse", 1) == [("4", 1, False)]
    assert "0 of 5 candidates of class '7' pass" in caplog.text


def test_the_pipeline_gives_what_is_selected_of_its_candidates(small_pipe):
    drawn = small_pipe.sample(7, 9, seed=3)
    for selection in ("best", "diverse"):
        options = {"num_return_sequences": 4, "selection": selection, "min_score": 0.0}
        expected = drawn.choose(7, small_pipe.class_names, *options.values())
        options |= {"num_candidates": 9, "seed": 3}
        assert small_pipe("7", **options) == expected == small_pipe(["7"], **options)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"selection": "x"}, "`selection` must be one of best, diverse, got 'x'"),
        *(
            ({"min_score": value}, f"`min_score` must be a number from 0 to 1, got {value!r}")
            for value in (-0.1, 1.1, float("nan"), "0.5", True)
        ),
        ({"selection": "diverse", "num_return_sequences": 65}, "`num_return_sequences` must be from 1 to .*, got 65"),
    ],
)
def test_wrong_choices_are_refused(small_pipe, candidates, options, message):
    with pytest.raises(ValueError, match=message):
        small_pipe("7", **options)
    with pytest.raises(ValueError, match=message):
        candidates.choose(7, small_pipe.class_names, **options)
