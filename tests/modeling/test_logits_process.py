# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_text_gen import MnistTextLogitsProcessor
from mnist_text_gen.modeling import GumbelNoiseLogitsProcessor, KnownPixelsLogitsProcessor, gumbel_noise


CLASSES, PIXELS, END = list(range(10)), list(range(10, 74)), [74]


def random_pixels(seed, shape):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 2, (*shape, 30, 30)), generator.random((*shape, 30, 30)) < 0.4


@pytest.mark.parametrize(
    ("length", "allowed"), [(0, CLASSES), (1, PIXELS), (75, PIXELS), (150, PIXELS), (151, END), (200, END)]
)
def test_only_the_symbols_of_a_position_keep_their_score(tokenizer, length, allowed):
    scores = torch.randn(3, 75)
    masked = MnistTextLogitsProcessor(tokenizer)(torch.zeros(3, length, dtype=torch.long), scores)
    forbidden = [index for index in range(75) if index not in allowed]
    assert torch.equal(masked[:, allowed], scores[:, allowed])
    assert (masked[:, forbidden] == float("-inf")).all()


def test_scores_of_another_vocabulary_are_refused(tokenizer):
    with pytest.raises(ValueError, match=r"`scores` must be for the 75 tokens of the tokenizer, got 80"):
        MnistTextLogitsProcessor(tokenizer)(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 80))


@pytest.mark.parametrize("step", [0, 1, 149, 150])
def test_noise_goes_to_the_pixel_symbols_of_its_position(tokenizer, step):
    noise, scores = torch.randn(2, 150, 64), torch.zeros(2, 75)
    noisy = GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids)(torch.zeros(2, step + 1, dtype=torch.long), scores)
    # none where the end token stands
    assert torch.equal(noisy[:, 10:74], noise[:, step] if step < 150 else scores[:, 10:74])
    assert (noisy[:, :10] == 0).all() and (noisy[:, 74] == 0).all()


def test_noise_of_an_item_depends_on_its_own_entropy_alone():
    together = gumbel_noise([(0, 7, 0, index) for index in range(4)], 5, 64)
    assert torch.equal(gumbel_noise([(0, 7, 0, 2)], 5, 64)[0], together[2])
    assert len({tuple(noise.flatten().tolist()) for noise in together}) == 4
    for other in [(1, 7, 0, 2), (0, 8, 0, 2), (0, 7, 1, 2)]:
        assert not torch.equal(gumbel_noise([other], 5, 64)[0], together[2])


def test_noise_is_the_same_stream_for_ever():
    # a change of these numbers changes every picture that a seed has ever drawn
    golden = [1.8709080219268799, 2.26971435546875, 2.5880684852600098]
    np.testing.assert_allclose(gumbel_noise([(3, 1)], 1, 3)[0, 0].numpy(), golden, rtol=1e-6)


def test_greedy_choice_over_noise_samples_the_softmax(tokenizer):
    torch.manual_seed(0)
    logits = torch.randn(75) * 2
    noise = gumbel_noise([(5, index) for index in range(200)], 150, 64)
    processor = GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids)
    grammar = MnistTextLogitsProcessor(tokenizer)
    chosen = []
    for length in range(1, 151):
        input_ids = torch.zeros(200, length, dtype=torch.long)
        chosen.append(processor(input_ids, grammar(input_ids, logits.expand(200, -1))).argmax(-1))
    counts = torch.cat(chosen).bincount(minlength=75).double()
    probabilities = logits[10:74].double().softmax(-1)
    assert counts[:10].sum() == 0 and counts[74] == 0
    expected = probabilities * counts.sum()
    chi_square = ((counts[10:74] - expected) ** 2 / expected).sum()
    assert chi_square < 115  # 63 degrees of freedom: 1 in 10,000 is above 113


@given(data=st.data(), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
@settings(max_examples=20, deadline=None)
def test_at_positions_is_a_call_for_each_token(tokenizer, data, dtype):
    batch, window = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    position = st.one_of(st.sampled_from([0, 1, 2, 149, 150, 151, 152, 200]), st.integers(0, 160))
    row = st.lists(position, min_size=window, max_size=window)
    positions = torch.tensor(data.draw(st.lists(row, min_size=batch, max_size=batch)))
    scores = torch.randn(batch, window, 75).to(dtype)
    noise, (images, known) = torch.randn(batch, 150, 64), random_pixels(1, (batch,))
    before = scores.clone()
    for processor, of_row in (
        (MnistTextLogitsProcessor(tokenizer), lambda index: MnistTextLogitsProcessor(tokenizer)),
        (
            GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids),
            lambda index: GumbelNoiseLogitsProcessor(noise[index : index + 1], tokenizer.pixel_ids),
        ),
        (
            KnownPixelsLogitsProcessor(tokenizer, images, known),
            lambda index: KnownPixelsLogitsProcessor(tokenizer, images[index], known[index]),
        ),
    ):
        together = processor.at_positions(positions, scores)
        assert torch.equal(scores, before)
        for index in range(batch):
            of_text = of_row(index)
            for column in range(window):
                input_ids = torch.zeros(1, positions[index, column], dtype=torch.long)
                alone = of_text(input_ids, scores[index : index + 1, column])
                assert alone.dtype == together.dtype
                assert torch.equal(together[index, column], alone[0])


def test_noise_is_finite_for_the_largest_draw(monkeypatch):
    largest = SimpleNamespace(random_raw=lambda size: np.full(size, 2**64 - 1, np.uint64))
    monkeypatch.setattr(np.random, "Philox", lambda sequence: largest)
    assert gumbel_noise([(0,)], 1, 1).isfinite().all()


def test_symbols_that_agree_with_the_known_pixels_keep_their_score(tokenizer):
    image, known = random_pixels(0, ())
    processor = KnownPixelsLogitsProcessor(tokenizer, torch.from_numpy(image), known)
    scores = torch.randn(2, 75)
    before = scores.clone()
    for position in (1, 7, 93, 150):
        masked = processor(torch.zeros(2, position, dtype=torch.long), scores)
        row, column = divmod(6 * (position - 1), 30)
        pixels = [(image[row, column + bit], bit) for bit in range(6) if known[row, column + bit]]
        agreeing = [
            10 + symbol for symbol in range(64) if all(int(f"{symbol:06b}"[bit]) == pixel for pixel, bit in pixels)
        ]
        assert len(agreeing) == 2 ** (6 - len(pixels))
        assert torch.equal(masked[:, agreeing], scores[:, agreeing])
        assert masked.isfinite().sum() == 2 * len(agreeing)
    for position in (0, 151, 152):
        assert torch.equal(processor(torch.zeros(2, position, dtype=torch.long), scores), scores)
    assert torch.equal(scores, before)


def test_masks_that_do_not_fit_are_refused(tokenizer):
    images, known = random_pixels(3, (3,))
    for arguments, message in [
        ((images, known[:2]), r"`known` must have one mask or one per image \(3\), got 2"),
        ((images[0], known), r"`known` must have one mask or one per image \(1\), got 3"),
        ((images, known.astype(float)), "`known` must have dtype bool, got float64"),
        ((images[:, :29], known), r"`images` must have shape \[30, 30\] or .*, got \[3, 29, 30\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            KnownPixelsLogitsProcessor(tokenizer, *arguments)
    of_three = KnownPixelsLogitsProcessor(tokenizer, images, known)
    with pytest.raises(ValueError, match="`scores` must be of 3 texts, one per image, got 2"):
        of_three.at_positions(torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, 1, 75))


@pytest.mark.parametrize("kind", ["grammar", "pixels", "noise"])
def test_padding_on_the_left_does_not_count(tokenizer, kind):
    images, known = random_pixels(0, (2,))
    processor = {
        "grammar": lambda: MnistTextLogitsProcessor(tokenizer),
        "pixels": lambda: KnownPixelsLogitsProcessor(tokenizer, images, known),
        "noise": lambda: GumbelNoiseLogitsProcessor(gumbel_noise([(0,), (1,)], 150, 64), tokenizer.pixel_ids),
    }[kind]()
    scores = torch.zeros(2, 75)
    texts = torch.full((2, 151), 12)
    texts[:, 0] = 3
    for lengths in ((1, 11), (150, 140), (151, 141)):
        width = max(lengths)
        padded = torch.full((2, width), tokenizer.pad_token_id)
        for row, length in enumerate(lengths):
            padded[row, width - length :] = texts[row, :length]
        found = processor(padded, scores)
        for row, length in enumerate(lengths):
            expected = processor(texts[:, :length], scores)[row]
            assert torch.equal(found[row], expected), (lengths, row)
