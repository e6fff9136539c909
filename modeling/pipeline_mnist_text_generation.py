# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Pipeline `mnist-text-gen`: a class in, the best of many drawn images out; and images completed and scored."""

import hashlib
import inspect
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import CommitInfo
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessorList,
    Pipeline,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
)
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import cached_file

from .cached_gpt2 import CachedGPT2, multiplies_bfloat16, unwrap_model
from .class_names import DIGITS, class_word, find_class, name_classes, read_class_names
from .completion import resample, sample_particles
from .hub import open_repository, upload_folder
from .language_model import check_language_model_config
from .likelihood import class_log_likelihoods, class_posterior, log_likelihood, symbol_nats
from .logits_process import (
    GumbelNoiseLogitsProcessor,
    KnownPixelsLogitsProcessor,
    MnistTextLogitsProcessor,
    check_images,
    gumbel_noise,
    uniform_noise,
)
from .model_card import CARD_FILE, CLASSIFIER_FOLDER, copy_run, has_own_card, write_model_card
from .modeling_mnist_cnn import MnistCnnForImageClassification
from .predictive_sampling import decode


TASK = "mnist-text-gen"
# Candidates are decoded in whole blocks of this size, also where fewer are wanted: the last bits of a matrix product
# depend on its shape, and with them, now and then, a token. So candidate 3 is the same among 8, 64 and 128.
BLOCK_SIZE = 64
# How many of them at the same time: a block alone fills a CPU, and a quarter of a GPU.
BLOCKS_TOGETHER = {"cuda": 10}
DECODINGS = ("exact", "bf16", "generate")
# Measured with benchmarks/generation.py: more drafts a step, and a longer blank beginning, cost what they gain.
NUM_DRAFT_TOKENS = 5
BLANK_SHARE = 4 / 15  # 40 of 150 symbols


class MnistTextGenerationPipeline(Pipeline):
    """Draw handwritten digits: generate candidates, let a classifier judge their images, return the best.

    Digits are the classes of the shipped weights. A classifier whose `id2label` names others, 2 to 10 of them, makes
    this a pipeline of those, and a tokenizer with another `image_size` one of smaller or larger images: where 30, 150
    and 152 stand below, it is size, size² / 6 and 2 + size² / 6.

    Args:
        model (`GPT2LMHeadModel`): the language model, with the tokenizer's 75 ids and a context of 152 or more.
        tokenizer (`MnistTextTokenizer`): goes between images and texts.
        classifier (`MnistCnnForImageClassification`, *optional*):
            Judges the candidates. By default the one in the folder `classifier` beside the language model.
        kwargs: defaults of the call's arguments, and what [`~transformers.Pipeline`] takes.

    Attributes:
        class_names (`tuple[str, ...]`): the names of the classes 0, 1, and so on, those of the classifier.
        class_word (`str`): "digit" where they are digits, or "class".
        commit_hash (`str` or `None`): the commit on the Hub that model and tokenizer were loaded from, if they were.

    Raises:
        ValueError: for a language model, tokenizer or classifier that does not fit, or no classifier.

    Examples:

    ```python
    >>> import mnist_text_gen
    >>> from transformers import pipeline

    >>> draw = pipeline("mnist-text-gen")
    >>> best = draw("7", num_candidates=8, num_return_sequences=2, seed=0)[0]
    >>> best["label"], best["image"].size, len(best["generated_text"])
    ('7', (30, 30), 152)
    ```
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        classifier: MnistCnnForImageClassification | None = None,
        **kwargs,
    ):
        if not hasattr(tokenizer, "decode_images"):
            raise ValueError(
                f"the tokenizer is a {type(tokenizer).__name__}; allowed is a MnistTextTokenizer, which comes with "
                "`import mnist_text_gen` or `trust_remote_code=True`"
            )
        check_language_model_config(model.config, tokenizer, model.config.name_or_path or "the language model")
        source = model.config.name_or_path
        # of the tokenizer, for the model does not know it
        self.commit_hash = getattr(tokenizer, "commit_hash", None) if tokenizer.name_or_path == source else None
        classifier = classifier or self._load_own_classifier(source)
        self.class_names = read_classes(classifier.config, model.config, tokenizer.image_size)
        self.class_word = class_word(self.class_names)
        super().__init__(model=model, tokenizer=tokenizer, **kwargs)
        self.classifier = classifier.eval().to(self.device)

    def _load_own_classifier(self, source: str) -> MnistCnnForImageClassification:
        if not source:
            raise ValueError(
                "the language model was not loaded from anywhere, so there is no classifier: give classifier="
            )
        return load_classifier(source, self.commit_hash)

    def __call__(self, digits: str | int | Iterable[str | int], **kwargs) -> Any:
        """Draw one digit, or each of several.

        Args:
            digits (`str`, `int`, or an iterable of them):
                `"0"` to `"9"` or 0 to 9. Of other classes, names or numbers: `"Bag"`, 8 or `"8"`.
            num_candidates (`int`, defaults to 64): how many are generated for a digit.
            num_return_sequences (`int`, defaults to 8): how many of them, the best, are returned.
            temperature (`float`, defaults to 0.8): divides the logits of the language model.
            classifier_temperature (`float`, defaults to 0.8): divides the logits of the classifier.
            decoding (`str`, defaults to `"exact"`):
                `"exact"`: several tokens a step, in the model's own arithmetic; `"bf16"`: the same with the blocks'
                products in bfloat16, faster and a little different; `"generate"`: Transformers' own loop.
            callback (`Callable[[int, int, np.ndarray], None]`, *optional*):
                Sees a block of images grow: called with the label, the index of the block's first candidate, and uint8
                `[64, R, 30]` images of 0 and 1, whenever more rows R are drawn in all of them. With `"generate"`,
                and where memory is short, it is called once, at the end.
            seed (`int`, *optional*):
                A candidate's noise depends only on the seed, its label, how often the label came before in this call,
                and its own index. On one device, dtype and number of threads the same seed gives the same images. By
                default a seed is drawn from torch's global generator.

        Returns:
            `list[dict]` for one digit, best first, each with `label` (`str`, the class's name), `generated_text`
            (`str`, 152 characters), `image` (`PIL.Image.Image`, 30×30, mode L, 0 or 255) and `score` (`float`, the
            classifier's probability of the digit). A list of them for a list or tuple, an iterator for any other
            iterable.

        Raises:
            ValueError: for a digit or an argument that is not allowed; it names both.
        """
        parameters = check_sampling_arguments(**{**self._forward_params, **kwargs})
        if parameters["seed"] is None:
            kwargs["seed"] = _draw_seed()
        if isinstance(digits, str | Integral):
            return super().__call__(next(self._number_labels([digits])), **kwargs)
        if isinstance(digits, list | tuple):
            # a list is checked whole before the first image is drawn
            items = list(self._number_labels(digits))
            if items and self.device.type in BLOCKS_TOGETHER:
                return self._draw_together(items, **{**parameters, **kwargs})
            return super().__call__(items, **kwargs) if items else []
        return super().__call__(self._number_labels(digits), **kwargs)

    def _number_labels(self, classes: Iterable[str | int]) -> Iterator[dict[str, int]]:
        """Check names or numbers of classes, and count how often each came before."""
        seen = Counter()
        for wanted in classes:
            label = find_class(wanted, self.class_names)
            yield {"label": label, "occurrence": seen[label]}
            seen[label] += 1

    def _sanitize_parameters(self, **kwargs):
        return {}, check_sampling_arguments(**kwargs, fill=False), {}

    def preprocess(self, inputs: dict[str, int]) -> dict[str, int]:
        return inputs

    def _forward(
        self,
        model_inputs: dict[str, int],
        num_candidates: int = 64,
        num_return_sequences: int = 8,
        temperature: float = 0.8,
        classifier_temperature: float = 0.8,
        seed: int = 0,
        **how,
    ) -> dict[str, Any]:
        label, occurrence = model_inputs["label"], model_inputs["occurrence"]
        input_ids = self.generate_candidates(label, num_candidates, temperature, seed, occurrence, **how)
        probabilities = self.classify_candidates(input_ids, classifier_temperature)
        return self.rerank(label, input_ids, probabilities, num_return_sequences)

    def _draw_together(
        self, items: list[dict[str, int]], num_candidates, num_return_sequences, classifier_temperature, **how
    ) -> list[list[dict[str, Any]]]:
        """What the base class would do with one item after the other."""
        with self.device_placement():
            results = []
            for item, input_ids in zip(items, self._generate_candidates(items, num_candidates, **how), strict=True):
                probabilities = self.classify_candidates(input_ids, classifier_temperature)
                best = self.rerank(item["label"], input_ids, probabilities, num_return_sequences)
                results.append(self.postprocess(self._ensure_tensor_on_device(best, torch.device("cpu"))))
            return results

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:
        texts = self.tokenizer.batch_decode(model_outputs["input_ids"])
        images = self.tokenizer.decode_images(texts)
        return [
            {
                "label": self.class_names[int(text[0])],
                "generated_text": text,
                "image": Image.fromarray(image * 255),
                "score": score,
            }
            for text, image, score in zip(texts, images, model_outputs["scores"].tolist(), strict=True)
        ]

    def generate_candidates(
        self,
        label: int,
        num_candidates: int = 64,
        temperature: float = 0.8,
        seed: int = 0,
        occurrence: int = 0,
        decoding: str = "exact",
        callback: Callable[[int, int, np.ndarray], None] | None = None,
    ) -> torch.LongTensor:
        """Generate texts of a digit, a block at the same time.

        Args:
            label (`int`): the number of the class, of digits 0 to 9.
            num_candidates, temperature, seed, decoding, callback: see `__call__`.
            occurrence (`int`, defaults to 0): tells apart the draws of one label with one seed.

        Returns:
            `torch.LongTensor`: `[num_candidates, 152]`, ids of valid texts, on the model's device.
        """
        how = {"temperature": temperature, "seed": seed, "decoding": decoding, "callback": callback}
        return self._generate_candidates([{"label": label, "occurrence": occurrence}], num_candidates, **how)[0]

    def _generate_candidates(
        self, items: list[dict[str, int]], num_candidates, temperature, seed, decoding, callback
    ) -> torch.LongTensor:
        """Texts `[I, num_candidates, 152]` of I items, some blocks at the same time."""
        starts = range(0, num_candidates, BLOCK_SIZE)
        blocks = [(item["label"], item["occurrence"], start) for item in items for start in starts]
        alone = decoding == "generate" or callback is not None
        step = 1 if alone else BLOCKS_TOGETHER.get(self.device.type, 1)
        input_ids = []
        for first in range(0, len(blocks), step):
            rows = [
                (label, (seed, label, occurrence, index))
                for label, occurrence, start in blocks[first : first + step]
                for index in range(start, start + BLOCK_SIZE)
            ]
            labels, entropies = zip(*rows, strict=True)
            label, _, start = blocks[first]
            show = _row_callback(self.tokenizer, label, start, callback) if callback else None
            input_ids.append(self.generate_texts(labels, entropies, temperature, decoding, show))
        return torch.cat(input_ids).view(len(items), -1, self.tokenizer.model_max_length)[:, :num_candidates]

    def generate_texts(
        self,
        labels: Sequence[int],
        entropies: Sequence[Sequence[int]],
        temperature: float = 0.8,
        decoding: str = "exact",
        callback: Callable[[torch.LongTensor], None] | None = None,
    ) -> torch.LongTensor:
        """Generate one text for each label, all at the same time.

        A text is a function of its label and its noise, up to the last bits of matrix products, which depend on how
        many are decoded together: the same lists give the same texts. Where a batch does not fit in memory, its halves
        are decoded one after the other.

        Args:
            labels (`Sequence[int]`, length B): numbers of classes, of digits 0 to 9.
            entropies (`Sequence[Sequence[int]]`, length B): what the noise of each depends on; see [`gumbel_noise`].
            temperature, decoding: see `__call__`.
            callback (`Callable[[torch.LongTensor], None]`, *optional*):
                Called with the ids `[B, T]` that are sure in all texts, T growing; only at the end where the batch was
                halved.

        Returns:
            `torch.LongTensor`: `[B, 152]`, ids of valid texts, on the model's device.
        """
        try:
            return self._generate_texts(labels, entropies, temperature, decoding, callback)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error) or len(labels) == 1:
                raise
        # whole blocks, as long as there are several
        size = BLOCK_SIZE if len(labels) > BLOCK_SIZE else 1
        half = max(len(labels) // size // 2, 1) * size
        parts = ((labels[:half], entropies[:half]), (labels[half:], entropies[half:]))
        input_ids = torch.cat([self.generate_texts(*part, temperature, decoding, None) for part in parts])
        if callback is not None:
            callback(input_ids)
        return input_ids

    @torch.no_grad()
    def _generate_texts(self, labels, entropies, temperature, decoding, callback) -> torch.LongTensor:
        tokenizer = self.tokenizer
        noise = gumbel_noise(entropies, tokenizer.num_pixel_symbols, len(tokenizer.pixel_ids)).to(self.device)
        processors = [
            MnistTextLogitsProcessor(tokenizer),
            TemperatureLogitsWarper(temperature),
            GumbelNoiseLogitsProcessor(noise, tokenizer.pixel_ids),
        ]
        config = GenerationConfig(
            # The noise in the logits makes the greedy choice a sample. Temperature and top_k are said because what is
            # left out here would be taken from the model's own generation configuration.
            do_sample=False,
            temperature=1.0,
            top_k=50,
            max_length=tokenizer.model_max_length,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        prompts = torch.tensor([tokenizer.class_ids[label] for label in labels], device=self.device)[:, None]
        how = {} if decoding == "generate" else self._decoding_arguments(decoding, callback)
        # the method of the class: loaded as remote code, the model has one of its own from custom_generate/
        model = unwrap_model(self.model)
        input_ids = type(model).generate(
            model,
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=config,
            logits_processor=LogitsProcessorList(processors),
            **how,
        )
        if decoding == "generate" and callback is not None:
            callback(input_ids)
        return input_ids

    def _decoding_arguments(self, decoding: str, callback: Callable | None) -> dict[str, Any]:
        tokenizer = self.tokenizer
        return {
            "custom_generate": decode,
            "num_draft_tokens": NUM_DRAFT_TOKENS,
            # a symbol is guessed to be the one above it, and an image to begin with blank rows
            "draft_lookback": tokenizer.num_pixel_symbols // tokenizer.image_size,
            "prefix_draft": [tokenizer.pixel_ids[0]] * int(BLANK_SHARE * tokenizer.num_pixel_symbols),
            "block_size": BLOCK_SIZE,
            "linear_dtype": torch.bfloat16 if decoding == "bf16" and multiplies_bfloat16(self.device) else None,
            "callback": callback,
        }

    @torch.no_grad()
    def classify_candidates(
        self, input_ids: torch.LongTensor, classifier_temperature: float = 0.8
    ) -> torch.FloatTensor:
        """Judge the images of texts.

        Args:
            input_ids (`torch.LongTensor`, `[N, 152]`): ids of valid texts.
            classifier_temperature (`float`, defaults to 0.8): divides the classifier's logits.

        Returns:
            `torch.FloatTensor`: float32 `[N, 10]`, probabilities of the digits, or `[N, C]` of C classes.
        """
        images = self.tokenizer.decode_images(self.tokenizer.batch_decode(input_ids))
        pixel_values = torch.from_numpy(images)[:, None].to(self.classifier.device, self.classifier.dtype)
        # whole blocks here too, so that a score does not depend on how many candidates are judged
        logits = torch.cat([self.classifier(block).logits for block in pixel_values.split(BLOCK_SIZE)])
        return (logits.float() / classifier_temperature).softmax(dim=-1)

    @staticmethod
    def rerank(
        label: int, input_ids: torch.LongTensor, probabilities: torch.FloatTensor, num_return_sequences: int = 8
    ) -> dict[str, Any]:
        """The best candidates by the probability of the wanted digit, best first, the earlier one first of equals.

        Args:
            label (`int`): the number of the wanted class, of digits 0 to 9.
            input_ids (`torch.LongTensor`, `[N, 152]`): the candidates.
            probabilities (`torch.FloatTensor`, `[N, 10]`): what `classify_candidates` says of them.
            num_return_sequences (`int`, defaults to 8): how many are kept.

        Returns:
            `dict`: `label`, `input_ids` (`[num_return_sequences, 152]`) and `scores` (`[num_return_sequences]`).
        """
        scores, best = probabilities[:, label].sort(descending=True, stable=True)
        best = best[:num_return_sequences]
        return {"label": label, "input_ids": input_ids[best], "scores": scores[:num_return_sequences]}

    def complete(
        self,
        image: np.ndarray | torch.Tensor,
        label: str | int | Sequence[str | int] | None = None,
        known: np.ndarray | torch.Tensor | None = None,
        seed: int | None = None,
        num_return_sequences: int = 1,
        num_particles: int = 64,
        temperature: float = 1.0,
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """Complete images of which some pixels are known, as the model would have gone on.

        A result is a draw from p(image | known pixels, label), and without a label from p(image, label | known pixels)
        with all classes equally likely before. Where the known pixels come first, down to any row, that is exact;
        otherwise it is the better, the more particles there are (see [`sample_particles`]). Several results of one
        call come from the same particles: each is such a draw, but they have more in common than those of calls with
        different seeds, above all where much is unknown and what is known comes late.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1}):
                What is unknown may have either value.
            label (`str` or `int`, *optional*): the class, as `__call__` takes it; a sequence of N for N images.
            known (`np.ndarray` or `torch.Tensor`, bool `[30, 30]` or `[N, 30, 30]`, *optional*):
                The pixels of the image that are kept. By default the upper half, rows 0 to 14.
            seed (`int`, *optional*):
                The noise of an image depends on the seed, the image's known pixels, its mask, its label, and how often
                the same came before in this call. By default a seed is drawn from torch's global generator.
            num_return_sequences (`int`, defaults to 1): how many results an image.
            num_particles (`int`, defaults to 64):
                How many texts are drawn to choose from; without a label as many as classes, 10, or more. Time and
                memory grow with it. Where what is known comes last, as with the lower half, 64 are few.
            temperature (`float`, defaults to 1.0): divides the logits of the language model.

        Returns:
            `list[dict]` for one image, in no order, as `__call__` gives them; the score is the classifier's
            probability of the result's label. A list of N of them for N images.

        Raises:
            ValueError: for images, masks, labels and arguments that are not allowed, no known pixel, a language model
                that is no GPT-2, and known pixels that it thinks impossible.
        """
        images = check_images(image, self.tokenizer.image_size, "image")
        labels = [None] * len(images) if label is None else _check_labels(label, len(images), self.class_names)
        _check_seed(seed)
        _check_temperature(temperature, "temperature")
        _check_count(num_return_sequences, "num_return_sequences")
        _check_count(num_particles, "num_particles")
        if num_return_sequences > num_particles:
            raise ValueError(
                f"num_return_sequences is {num_return_sequences}; allowed is 1 to num_particles, {num_particles}"
            )
        known_pixels = self._read_known_pixels(images, known)
        seed, seen, results = _draw_seed() if seed is None else seed, Counter(), []
        for of_image, digit in zip(known_pixels, labels, strict=True):
            task = hashlib.sha256(repr(digit).encode() + of_image.allowed.numpy().tobytes()).digest()
            entropy = (seed, int.from_bytes(task[:8], "big"), seen[task])
            seen[task] += 1
            candidates = range(len(self.class_names)) if digit is None else [digit]
            particles = sample_particles(
                self.model, self.tokenizer, of_image, candidates, entropy, num_particles, temperature
            )
            results.append(self._choose_particles(*particles, entropy, num_return_sequences))
        return results if np.ndim(image) == 3 else results[0]

    def _read_known_pixels(self, images, known) -> list[KnownPixelsLogitsProcessor]:
        """Check images and masks, all before the first is completed."""
        size = self.tokenizer.image_size
        if known is None:
            known = np.arange(size)[:, None].repeat(size, axis=1) < size // 2
        # all together, so that an error names the image
        KnownPixelsLogitsProcessor(self.tokenizer, images, known)
        masks = check_images(known, size, "known")
        for index, mask in enumerate(masks):
            if not mask.any():
                raise ValueError(
                    f"known has no pixel in mask {index}; allowed is 1 or more (to draw without, call draw(label))"
                )
        return [
            KnownPixelsLogitsProcessor(self.tokenizer, image, masks[index % len(masks)])
            for index, image in enumerate(images)
        ]

    def _choose_particles(self, input_ids, log_weights, entropy, num_return_sequences) -> list[dict[str, Any]]:
        """Draw results from weighted texts, and let the classifier judge them."""
        # the particles have the numbers from 1 on and 0 is that of their resampling
        ((uniform,),) = uniform_noise([(*entropy, 1 + len(input_ids))], 1)
        chosen = input_ids[torch.from_numpy(resample(log_weights, num_return_sequences, uniform))]
        temperature = self._forward_params.get("classifier_temperature", 0.8)
        scores = self.classify_candidates(chosen, temperature).gather(1, chosen[:, :1].to(self.classifier.device))
        return self.postprocess({"input_ids": chosen, "scores": scores[:, 0]})

    def log_likelihood(self, images: np.ndarray | torch.Tensor, labels: str | int | Sequence[str | int]) -> np.ndarray:
        """log p(image | label) under the language model itself: temperature 1, and without the grammar.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1}): what is scored.
            labels (`str` or `int`, or a sequence of N of them): the class of each image, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64 `[N]`, nats, 0 or less: the sum over the 150 pixel symbols and the end token. One
            image gives `[1]`.

        Raises:
            ValueError: for images and labels of another shape, number or value.
        """
        return log_likelihood(self.model, self._encode_images(images, labels)).numpy()

    def classify(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        """p(label | image) by Bayes' rule from a likelihood a class, all of them equally likely before.

        Args:
            images (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1}): what is classified.

        Returns:
            `np.ndarray`: float64 `[N, 10]`, or `[N, C]` of C classes; rows that sum to 1. One image gives `[1, C]`.

        Raises:
            ValueError: for images of another shape or value.
        """
        images = check_images(images, self.tokenizer.image_size, "images")
        num_classes = len(self.class_names)
        log_likelihoods = class_log_likelihoods(self.model, self.tokenizer, images, num_classes=num_classes)
        return class_posterior(log_likelihoods).numpy()

    def surprise(self, image: np.ndarray | torch.Tensor, label: str | int | Sequence[str | int]) -> np.ndarray:
        """Where the language model did not expect what it sees: −log p of each symbol, spread over its six pixels.

        A pixel has a sixth of its symbol's nats. So a map, with the nats of the end token, which has no pixel, sums to
        minus the log-likelihood, and a symbol's nats are six times those of each of its pixels.

        Args:
            image (`np.ndarray` or `torch.Tensor`, `[30, 30]` or `[N, 30, 30]` in {0, 1}): what is looked at.
            label (`str` or `int`, or a sequence of N of them): the class, as `__call__` takes it.

        Returns:
            `np.ndarray`: float64, the shape of `image`, nats a pixel, 0 or more.

        Raises:
            ValueError: for images and labels of another shape, number or value.
        """
        nats = symbol_nats(self.model, self._encode_images(image, label, "image"))[:, :-1].double()
        pixels_a_symbol = self.tokenizer.image_size**2 // self.tokenizer.num_pixel_symbols
        return (nats / pixels_a_symbol).repeat_interleave(pixels_a_symbol, dim=1).view(np.shape(image)).numpy()

    def _encode_images(self, images, labels, name: str = "images") -> torch.LongTensor:
        images = check_images(images, self.tokenizer.image_size, name)
        texts = self.tokenizer.encode_images(images, _check_labels(labels, len(images), self.class_names))
        return self.tokenizer(texts, return_tensors="pt")["input_ids"]

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> None:
        """Save everything that the pipeline needs: model, tokenizer, code, the classifier in its folder, and the card.

        Args:
            save_directory (`str` or `os.PathLike`): a folder, made where it is missing.
            push_to_hub (`bool`, defaults to `False`):
                Also publish it, as `repo_id` or the folder's name.
            kwargs: what `save_pretrained` of the models takes, and the arguments of `push_to_hub`.

        Raises:
            ValueError: for a path that is a file.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise ValueError(f"save_directory is {str(folder)!r}, a file; allowed is a folder")
        names = ("private", "token", "revision", "commit_message", "commit_description", "create_pr", "tags")
        publishing = {name: kwargs.pop(name) for name in names if name in kwargs}
        repo_id = kwargs.pop("repo_id", folder.resolve().name)
        self._save_files(folder, **kwargs)
        write_model_card(folder, publishing.get("tags") or ())
        if push_to_hub:
            self.push_to_hub(repo_id, **publishing)

    def _save_files(self, folder: Path, **kwargs) -> None:
        super().save_pretrained(folder, **kwargs)
        self.save_classifier(folder, **kwargs)
        # for model.generate(..., custom_generate="owner/repository")
        code = folder / "custom_generate"
        code.mkdir(exist_ok=True)
        for name, content in (("generate.py", inspect.unwrap(decode)), ("cached_gpt2.py", CachedGPT2)):
            code.joinpath(name).write_bytes(Path(inspect.getfile(content)).read_bytes())
        source = self.model.config.name_or_path
        if source:
            copy_run(source, self.commit_hash, folder)

    def save_classifier(self, save_directory: str | os.PathLike, **kwargs) -> None:
        """Save the classifier, and the record of its training, to its folder in `save_directory`."""
        folder = Path(save_directory, CLASSIFIER_FOLDER)
        self.classifier.save_pretrained(folder, **kwargs)
        source = self.classifier.config.name_or_path
        if source:
            revision = self.commit_hash if source == self.model.config.name_or_path else None
            copy_run(source, revision, folder, CLASSIFIER_FOLDER)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str = "50GB",
        tags: Sequence[str] | None = None,
    ) -> CommitInfo:
        """Publish everything that the pipeline needs on the Hub, in one commit; none where nothing has changed.

        Args:
            repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token; made where it is missing.
            commit_message (`str`, defaults to `"Upload pipeline"`), commit_description (`str`, *optional*):
                What the commit says.
            private (`bool`, *optional*): of a new repository.
            token (`bool` or `str`, *optional*): by default that of `hf auth login` or of the environment.
            revision (`str`, *optional*): a branch, made where it is missing; `main` by default.
            create_pr (`bool`, defaults to `False`): open a pull request with the commit.
            max_shard_size (`int` or `str`, defaults to `"50GB"`): how large a file of weights may be.
            tags (`Sequence[str]`, *optional*): more tags for the card.

        Returns:
            `CommitInfo`: the commit. A `README.md` there that was not written by this method is left as it is.

        Raises:
            ValueError: for a name that the Hub refuses, a missing token, or one that may not write there.
            ConnectionError: where the Hub cannot be reached, or stays busy.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._save_files(Path(folder), max_shard_size=max_shard_size)
            # nothing is made on the Hub before all is saved
            repo_id = open_repository(repo_id, private=private, token=token)
            write_model_card(Path(folder), tags or (), repo_id)
            return upload_folder(
                Path(folder),
                repo_id,
                token=token,
                revision=revision,
                create_pr=create_pr,
                commit_message=commit_message or "Upload pipeline",
                commit_description=commit_description,
                ignore_patterns=[CARD_FILE] if has_own_card(repo_id, revision, token) else None,
            )


def _row_callback(tokenizer, label: int, start: int, callback: Callable) -> Callable[[torch.LongTensor], None]:
    """Turn ids, as they become sure, into whole rows of images."""
    symbols_a_row = tokenizer.num_pixel_symbols // tokenizer.image_size
    num_seen = 0

    def show(input_ids: torch.LongTensor) -> None:
        nonlocal num_seen
        num_rows = min((input_ids.shape[1] - 1) // symbols_a_row, tokenizer.image_size)
        if num_rows > num_seen:
            num_seen = num_rows
            texts = tokenizer.batch_decode(input_ids[:, : 1 + num_rows * symbols_a_row])
            callback(label, start, tokenizer.decode_images(texts, partial=True)[:, :num_rows])

    return show


def _is_out_of_memory(error: Exception) -> bool:
    # the CPU's allocator raises a plain RuntimeError
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def load_classifier(
    source: str, revision: str | None = None, subfolder: str = CLASSIFIER_FOLDER
) -> MnistCnnForImageClassification:
    """Load a classifier, with weights for all of it.

    Args:
        source (`str`): a folder, or an id on the Hub.
        revision (`str`, *optional*): a branch, tag or commit on the Hub.
        subfolder (`str`, defaults to `"classifier"`): where in the source it is.

    Raises:
        ValueError: where there is none, or weights that cannot be read or do not fit.
    """
    where = {"subfolder": subfolder, **({"revision": revision} if revision else {})}
    try:
        # where this file is missing, from_pretrained takes the default configuration and says nothing
        if cached_file(source, "config.json", **where) is None:
            raise OSError("it has no config.json")
        classifier, report = MnistCnnForImageClassification.from_pretrained(
            source, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, **where
        )
    except SafetensorError as error:
        raise ValueError(f"the classifier of {source} has weights that cannot be read: {error}") from error
    except OSError as error:
        raise ValueError(
            f"{source} has no classifier in its folder {subfolder!r}; train_classifier.py makes one: {error}"
        ) from error
    unfit = [key for keys in ("missing_keys", "mismatched_keys", "unexpected_keys") for key in report[keys]]
    if unfit:
        raise ValueError(f"the classifier of {source} has weights that do not fit its configuration: {unfit[0]}")
    return classifier


def read_classes(config: PreTrainedConfig, model_config: PreTrainedConfig, image_size: int) -> tuple[str, ...]:
    """The names of the classes that a language model and its classifier have in common.

    Args:
        config (`PreTrainedConfig`): the classifier's.
        model_config (`PreTrainedConfig`): the language model's.
        image_size (`int`): height and width of the images that the language model writes.

    Raises:
        ValueError: for a classifier of images of another size, or of other classes than the language model names.
    """
    found = (config.num_labels, config.num_channels, config.image_size)
    if not 2 <= found[0] <= len(DIGITS) or found[1:] != (1, image_size):
        raise ValueError(
            f"the classifier has {found[0]} labels, {found[1]} channels and images of {found[2]} pixels; allowed is "
            f"2 to {len(DIGITS)}, 1 and {image_size}"
        )
    class_names = name_classes(config)
    of_model = read_class_names(model_config) or class_names
    if of_model != class_names:
        raise ValueError(
            f"the language model has the classes {', '.join(map(repr, of_model))}, and the classifier "
            f"{', '.join(map(repr, class_names))}; allowed are the same"
        )
    return class_names


def _check_labels(labels: str | int | Sequence[str | int], num_images: int, class_names: Sequence[str]) -> list[int]:
    """The numbers of the classes of as many images; one class alone is that of one image."""
    labels = labels if np.ndim(labels) else [labels]
    # a tensor or an array of one number is that number
    labels = [label.item() if hasattr(label, "item") and np.ndim(label) == 0 else label for label in labels]
    labels = [find_class(label, class_names) for label in labels]
    if len(labels) != num_images:
        raise ValueError(f"there are {len(labels)} labels; allowed are {num_images}, one for each image")
    return labels


def _draw_seed() -> int:
    return int(torch.randint(2**63 - 1, ()))


def check_sampling_arguments(fill: bool = True, **arguments) -> dict[str, Any]:
    """Check the arguments of a call, alone and, where `fill` adds the defaults of the missing ones, together.

    Raises:
        ValueError: for an argument that does not exist, a count below 1, a temperature that is not above 0 and finite,
            a seed outside 0 to 2**64 - 1, and more images to return than candidates.
    """
    defaults = {
        "num_candidates": 64,
        "num_return_sequences": 8,
        "temperature": 0.8,
        "classifier_temperature": 0.8,
        "seed": None,
        "decoding": "exact",
        "callback": None,
    }
    for name, value in arguments.items():
        if name not in defaults:
            raise ValueError(f"argument {name!r} does not exist; allowed are {', '.join(defaults)}")
        elif name == "seed":
            _check_seed(value)
        elif "temperature" in name:
            _check_temperature(value, name)
        elif name == "decoding":
            _check_decoding(value)
        elif name == "callback":
            _check_callback(value)
        else:
            _check_count(value, name)
    if not fill:
        return arguments
    arguments = defaults | arguments
    candidates, returned = arguments["num_candidates"], arguments["num_return_sequences"]
    if returned > candidates:
        raise ValueError(f"num_return_sequences is {returned}; allowed is 1 to num_candidates, {candidates}")
    return arguments


def _check_count(value: int, name: str) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} is {value!r}; allowed is an integer of 1 or more")


def _check_temperature(value: float, name: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; allowed is a finite number above 0")


def _check_decoding(value: str) -> None:
    if value not in DECODINGS:
        raise ValueError(f"decoding is {value!r}; allowed are {', '.join(DECODINGS)}")


def _check_callback(value: Callable | None) -> None:
    if value is not None and not callable(value):
        raise ValueError(f"callback is {value!r}; allowed is a function, or None")


def _check_seed(value: int | None) -> None:
    if value is not None and (not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= value < 2**64):
        raise ValueError(f"seed is {value!r}; allowed is an integer from 0 to 2**64 - 1, or None")


# Registered here and not in the package, so that the pipeline can be saved again, with its code, where it was itself
# loaded as remote code.
PIPELINE_REGISTRY.register_pipeline(
    TASK, pipeline_class=MnistTextGenerationPipeline, pt_model=AutoModelForCausalLM, type="text"
)
