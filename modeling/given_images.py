# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""What the pipeline does with images that it is given: complete, score and classify them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import GPT2LMHeadModel, PreTrainedTokenizerBase

from .candidates import Candidates, judge_images
from .completion import complete_images
from .likelihood import class_log_likelihoods, class_posterior, log_likelihood, pixel_nats
from .logits_process import check_images
from .modeling_mnist_cnn import MnistCnnForImageClassification
from .sampling_arguments import DEFAULTS, check_completion_arguments, check_labels, draw_seed


class GivenImagesMixin:
    """Methods of [`MnistTextGenerationPipeline`]; they use its models, tokenizer and class names."""

    model: GPT2LMHeadModel
    tokenizer: PreTrainedTokenizerBase
    classifier: MnistCnnForImageClassification
    class_names: tuple[str, ...]
    _forward_params: dict[str, Any]

    def complete(
        self,
        image: np.ndarray | torch.Tensor,
        label: str | int | Sequence[str | int] | None = None,
        known: np.ndarray | torch.Tensor | None = None,
        seed: int | None = None,
        num_return_sequences: int = 1,
        num_particles: int = 64,
        temperature: float = 1.0,
        callback: Callable[[int, np.ndarray], None] | None = None,
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Complete images of which some pixels are known, as the model would have gone on.

        A result is a draw from p(image | known pixels, label), and without a label from p(image, label | known pixels)
        with all classes equally likely before. Where the known pixels come first, down to any row, that is exact;
        otherwise it is the better, the more particles there are (see [`sample_particles`]). Several results of one
        call come from the same particles: each is such a draw, but they have more in common than those of calls with
        different seeds, above all where much is unknown and what is known comes late.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                What is unknown may have either value.
            label (`str` or `int`, *optional*): the class, as `__call__` takes it; a sequence of N for N images.
            known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[N, 30, 30]`, *optional*):
                The pixels of the image that are kept. By default the upper half, rows 0 to 14.
            seed (`int`, *optional*):
                The noise of an image depends on the seed, the image's known pixels, its mask, its label, and how often
                the same came before in this call. By default a seed is drawn from torch's global generator.
            num_return_sequences (`int`, defaults to 1): how many results per image.
            num_particles (`int`, defaults to 64):
                How many texts are drawn to choose from; without a label as many as classes, 10, or more. Time and
                memory grow with it. Where what is known comes last, as with the lower half, 64 are few.
            temperature (`float`, defaults to 1.0): divides the logits of the language model.
            callback (`Callable[[int, np.ndarray], None]`, *optional*):
                Called with the index of the image and uint8 `[num_particles, R, 30]` images of 0 and 1, whenever more
                rows R are drawn in all particles. An error that it raises ends the completion.

        Returns:
            `list[dict]` for one image, in no order, each with `label`, `generated_text` and `image` as `__call__`
            gives them, and `score`, the classifier's probability of the result's label. A list of N of them for N
            images.

        Raises:
            ValueError: for images, masks, labels and arguments that are not allowed, no known pixel, a language model
                that is no GPT-2, and known pixels that it thinks impossible.
        """
        images = check_images(image, self.tokenizer, "image")
        labels = [None] * len(images) if label is None else check_labels(label, len(images), self.class_names)
        check_completion_arguments(seed, temperature, num_return_sequences, num_particles, callback)
        seed = draw_seed() if seed is None else seed
        how = (seed, num_return_sequences, num_particles, temperature, callback)
        completed = complete_images(self.model, self.tokenizer, images, known, labels, len(self.class_names), *how)
        results = [self._judge_completions(input_ids) for input_ids in completed]
        return results[0] if _is_one_image(image) else results

    def _judge_completions(self, input_ids: torch.Tensor) -> list[dict[str, Any]]:
        texts = self.tokenizer.batch_decode(input_ids)
        images = self.tokenizer.decode_images(texts)
        temperature = self._forward_params.get("classifier_temperature", DEFAULTS["classifier_temperature"])
        probabilities = judge_images(self.classifier, images, temperature)
        candidates = Candidates(texts, images, probabilities, {})
        return candidates.results(range(len(texts)), input_ids[:, 0].tolist(), self.class_names)

    def log_likelihood(self, images: np.ndarray | torch.Tensor, labels: str | int | Sequence[str | int]) -> np.ndarray:
        """log p(image | label) under the language model itself: temperature 1, and without the grammar.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                What is scored.
            labels (`str` or `int`, or a sequence of N of them): the class of each image, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64 `[N]`, nats, 0 or less: the sum over the 150 pixel symbols and the end token. One
            image gives `[1]`.

        Raises:
            ValueError: for images and labels of another shape, number or value.
        """
        return log_likelihood(self.model, self._encode_images(images, labels)).numpy()

    def classify(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        """p(label | image) by Bayes' rule from a likelihood per class, all of them equally likely before.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                What is classified.

        Returns:
            `np.ndarray`: float64 `[N, 10]`, or `[N, C]` of C classes; rows that sum to 1. One image gives `[1, C]`.

        Raises:
            ValueError: for images of another shape or value.
        """
        images = check_images(images, self.tokenizer, "images")
        num_classes = len(self.class_names)
        log_likelihoods = class_log_likelihoods(self.model, self.tokenizer, images, num_classes=num_classes)
        return class_posterior(log_likelihoods).numpy()

    def surprise(self, image: np.ndarray | torch.Tensor, label: str | int | Sequence[str | int]) -> np.ndarray:
        """Where the language model did not expect what it sees: −log p of each symbol, spread over its six pixels.

        A pixel has a sixth of its symbol's nats. So a map, with the nats of the end token, which has no pixel, sums to
        minus the log-likelihood, and a symbol's nats are six times those of each of its pixels.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                What is looked at.
            label (`str` or `int`, or a sequence of N of them): the class, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64, the shape of `image`, nats per pixel, 0 or more.

        Raises:
            ValueError: for images and labels of another shape, number or value.
        """
        nats = pixel_nats(self.model, self.tokenizer, self._encode_images(image, label, "image"))
        maps = nats.view(-1, self.tokenizer.image_size, self.tokenizer.image_size).numpy()
        return maps[0] if _is_one_image(image) else maps

    def _encode_images(self, images, labels, name: str = "images") -> torch.Tensor:
        images = check_images(images, self.tokenizer, name)
        texts = self.tokenizer.encode_images(images, check_labels(labels, len(images), self.class_names))
        return self.tokenizer(texts, return_tensors="pt")["input_ids"]


def _is_one_image(image) -> bool:
    return isinstance(image, Image.Image) or np.ndim(image) == 2
