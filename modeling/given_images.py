# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Methods of the pipeline that complete, score and classify given images."""

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
    """Methods of [`MnistTextGenerationPipeline`] for given images; they use its models, tokenizer and class names."""

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
        """Complete images of which some pixels are known.

        A result is a draw from p(image | known pixels, label), or without a label from p(image, label | known pixels)
        with all classes equally likely a priori. With a label, this is exact if all known pixels come before all
        unknown ones. Otherwise it is an approximation that improves with the number of particles, see
        [`sample_particles`]. The results of one call come from the same particles, so they are more alike than those
        of calls with different seeds, above all if much is unknown and the known pixels come late.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                The images. Unknown pixels may have either value.
            label (`str` or `int`, *optional*): the class, as `__call__` takes it; a sequence of N for N images.
            known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[N, 30, 30]`, *optional*):
                The pixels of the image that are kept. By default the upper half, rows 0 to 14.
            seed (`int`, *optional*):
                From 0 to 2**64 - 1; by default drawn from torch's global generator. The noise of an image depends on
                the seed, its known pixels, mask and label, and how often the same came before in this call.
            num_return_sequences (`int`, defaults to 1): how many results per image, at most `num_particles`.
            num_particles (`int`, defaults to 64):
                How many texts the results are chosen from; without a label, at least the number of classes. Time and
                memory grow with it. 64 are few if the known pixels come last, as with the lower half.
            temperature (`float`, defaults to 1.0): divides the logits of the language model.
            callback (`Callable[[int, np.ndarray], None]`, *optional*):
                Called with the index of the image and uint8 `[num_particles, R, 30]` images of 0 and 1, whenever more
                rows R are drawn in all particles. An error that it raises ends the completion.

        Returns:
            `list[dict]` for one image, in no particular order, each with `label`, `generated_text` and `image` as in
            `__call__`, and `score`, the classifier's probability of the result's label. A list of N such lists for N
            images.

        Raises:
            ValueError: if an image, mask, label or argument is not allowed, no pixel is known, the language model is
                not GPT-2, or it gives the known pixels the probability 0.
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
        """log p(image | label) under the language model, at temperature 1 and without the grammar.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                The images.
            labels (`str` or `int`, or a sequence of N of them): the class of each image, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64 `[N]`, nats, 0 or less: the sum over the 150 pixel symbols and the end token. `[1]`
            for one image.

        Raises:
            ValueError: if images or labels have a wrong shape, number or value.
        """
        return log_likelihood(self.model, self._encode_images(images, labels)).numpy()

    def classify(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        """p(label | image) under the language model, by Bayes' rule with all classes equally likely a priori.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                The images.

        Returns:
            `np.ndarray`: float64 `[N, C]` for C classes, 10 for digits; each row sums to 1. `[1, C]` for one image.

        Raises:
            ValueError: if images have a wrong shape or value.
        """
        images = check_images(images, self.tokenizer, "images")
        num_classes = len(self.class_names)
        log_likelihoods = class_log_likelihoods(self.model, self.tokenizer, images, num_classes=num_classes)
        return class_posterior(log_likelihoods).numpy()

    def surprise(self, image: np.ndarray | torch.Tensor, label: str | int | Sequence[str | int]) -> np.ndarray:
        """Map of how unexpected each symbol is to the language model: −log p, spread evenly over its six pixels.

        The sum of a map, plus the nats of the end token, which has no pixels, is minus the log-likelihood.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1} or {0, 255}, or PIL images):
                The images.
            label (`str` or `int`, or a sequence of N of them): the class, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64, `[30, 30]` or `[N, 30, 30]` as `image`, nats per pixel, 0 or more.

        Raises:
            ValueError: if images or labels have a wrong shape, number or value.
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
