# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Pipeline `mnist-text-gen`: draws images of a class and returns the best ones; completes and scores given images."""

import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import CommitInfo
from transformers import AutoModelForCausalLM, Pipeline, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.pt_utils import PipelineIterator

from .cached_gpt2 import CachedGPT2, unwrap_model
from .candidates import BLOCK_SIZE, Candidates, generate_candidates, judge_images
from .class_names import class_word, find_class, read_classes
from .given_images import GivenImagesMixin
from .language_model import check_language_model_config
from .modeling_mnist_cnn import CLASSIFIER_FOLDER, MnistCnnForImageClassification, load_classifier
from .predictive_sampling import decode
from .sampling_arguments import (
    CHOICE,
    DEFAULTS,
    check_loading_arguments,
    check_sampling_arguments,
    draw_seed,
    to_python,
)
from .streaming import DrawnOutputs, is_iterable, number_labels
from .weights import check_finite, check_own_weights


TASK = "mnist-text-gen"


# `Pipeline` is annotated with another tokenizer class, and its methods take arguments of any kind
class MnistTextGenerationPipeline(GivenImagesMixin, Pipeline):  # type: ignore[misc]
    """Draw handwritten digits: generate candidates, let a classifier judge their images, return the best.

    The classes of the shipped weights are the ten digits. With a classifier whose `id2label` names 2 to 10 other
    classes, the pipeline draws those. With a tokenizer of another `image_size`, it draws images of that size: 30, 150
    and 152 below become size, size² / 6 and 2 + size² / 6.

    Args:
        model (`GPT2LMHeadModel`): the language model, with the tokenizer's 75 ids and a context of 152 or more.
        tokenizer (`MnistTextTokenizer`): converts between images and texts.
        classifier (`MnistCnnForImageClassification`, *optional*):
            Judges the candidates. By default the one in the folder `classifier` beside the language model.
        kwargs: defaults for the arguments of a call, and arguments of [`~transformers.Pipeline`].

    Attributes:
        class_names (`tuple[str, ...]`): the names of the classes, in the order of their numbers.
        class_word (`str`): "digit" if the classes are digits, else "class".
        commit_hash (`str` or `None`): the commit on the Hub that model and tokenizer were loaded from, if any.

    Raises:
        ValueError: if model, tokenizer and classifier do not fit together, there is no classifier, weights are not
            finite, or weights in the language model's folder do not fit its configuration.

    Examples:

    ```python
    >>> import mnist_text_gen
    >>> from transformers import pipeline

    >>> pipe = pipeline("mnist-text-gen")
    >>> best = pipe("7", num_candidates=8, num_return_sequences=2, seed=0)[0]
    >>> best["label"], best["image"].size, len(best["generated_text"])
    ('7', (30, 30), 152)
    ```
    """

    # `Pipeline` sets them to None
    _load_tokenizer = True  # type: ignore[assignment]
    _load_processor = _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = _load_feature_extractor = False  # type: ignore[assignment]
    # `mnist_text_gen.publishing`, which writes card, records and pictures; None in remote code, which does not have it
    publisher: Any = None

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        classifier: MnistCnnForImageClassification | None = None,
        **kwargs,
    ):
        if not hasattr(tokenizer, "decode_images"):
            raise ValueError(
                "the tokenizer must be a MnistTextTokenizer, which needs `import mnist_text_gen` or "
                f"`trust_remote_code=True`, got a {type(tokenizer).__name__}"
            )
        name = model.config.name_or_path or "the language model"
        check_language_model_config(model.config, tokenizer, name)
        check_loading_arguments(kwargs.get("batch_size"), kwargs.get("num_workers"))
        source = model.config.name_or_path
        # the model does not know its commit, but the tokenizer does
        self.commit_hash = getattr(tokenizer, "commit_hash", None) if tokenizer.name_or_path == source else None
        check_own_weights(unwrap_model(model), self.commit_hash)
        classifier = classifier or self._load_own_classifier(source)
        check_finite(unwrap_model(model), name)
        check_finite(classifier, "the classifier")
        self.class_names = read_classes(classifier.config, model.config, tokenizer)
        self.class_word = class_word(self.class_names)
        super().__init__(model=model, tokenizer=tokenizer, **kwargs)  # type: ignore[arg-type]
        self.classifier = classifier.eval().to(self.device)

    def _load_own_classifier(self, source: str | None) -> MnistCnnForImageClassification:
        if not source:
            raise ValueError(
                "`classifier` must be given for a language model that was not loaded from a folder or the Hub"
            )
        return load_classifier(source, self.commit_hash)

    def __call__(  # type: ignore[override]
        self,
        digits: str | int | Iterable[str | int],
        *,
        num_candidates: int | None = None,
        num_return_sequences: int | None = None,
        selection: str | None = None,
        min_score: float | None = None,
        temperature: float | None = None,
        classifier_temperature: float | None = None,
        decoding: str | None = None,
        callback: Callable[[int, int, np.ndarray], None] | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **kwargs,
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]] | PipelineIterator:
        """Draw one digit, or each of several.

        An argument that is missing has the value that was given to [`~transformers.pipeline`], else its default.

        Args:
            digits (`str`, `int`, or an iterable of them):
                `"0"` to `"9"` or 0 to 9, also as numpy's or torch's integers. For other classes names or numbers:
                `"Bag"`, 8 or `"8"`. A `float` is an error even if it is whole, because it may be a missing value.
            num_candidates (`int`, defaults to 64): how many candidates are generated per digit.
            num_return_sequences (`int`, defaults to 8): how many of them are returned, at most `num_candidates`.
            selection (`str`, defaults to `"best"`):
                `"best"` returns the candidates with the highest scores. `"diverse"` returns the best of those that
                pass and then the ones that differ most, see [`select_diverse`].
            min_score (`float`, defaults to 0.999):
                A candidate passes if the classifier assigns it to the digit with at least this score, in [0, 1]. If
                too few pass, `"diverse"` adds those of the others with the highest scores, and warns.
            temperature (`float`, defaults to 0.8): divides the logits of the language model.
            classifier_temperature (`float`, defaults to 0.8): divides the logits of the classifier.
            decoding (`str`, defaults to `"exact"`):
                `"exact"` decodes several tokens per step, in the model's own dtype. `"bf16"` does the same with
                bfloat16 products in the transformer blocks, if the machine has instructions for them: it is faster
                and gives slightly different texts. `"generate"` is Transformers' own loop.
            callback (`Callable[[int, int, np.ndarray], None]`, *optional*):
                Called with the label, the index of a block's first candidate, and uint8 `[64, R, 30]` images in {0, 1}
                whenever more rows R are drawn in the whole block. With `"generate"`, or if memory is short, it is
                called once per block, at the end.
            seed (`int`, *optional*):
                From 0 to 2**64 - 1. The noise of a candidate depends only on the seed, its label, how often the label
                came before in this call, and its own index. With the same device, dtype and number of threads, a seed
                always gives the same images. By default a seed is drawn from torch's global generator.
            batch_size (`int`, *optional*):
                How many digits are drawn at the same time; it changes no result. By default 1 on a CPU and 10 on a
                GPU, but 1 for an iterable without a length. With a `callback` it is always 1.
            num_workers (`int`, defaults to 0):
                Processes that read a data set of digits. An iterable without a length is read by this process.

        Returns:
            `list[dict]` for one digit, best first, each with `label` (`str`, the name of the class), `generated_text`
            (`str`, 152 characters), `image` (`PIL.Image.Image`, 30×30, mode L, 0 or 255), `score` (`float`, the
            classifier's probability of the digit), `rank` (`int`, the rank of the score among all candidates, from 1)
            and `passed` (`bool`, see `min_score`). For a list, tuple, array or tensor a list of such lists, and for
            any other iterable an iterator over them, which has a length if the iterable does.

        Raises:
            ValueError: if a digit or an argument is not allowed; the error names its value.
        """
        given = {
            "num_candidates": num_candidates,
            "num_return_sequences": num_return_sequences,
            "selection": selection,
            "min_score": min_score,
            "temperature": temperature,
            "classifier_temperature": classifier_temperature,
            "decoding": decoding,
            "callback": callback,
            "seed": seed,
        }
        arguments = {name: value for name, value in given.items() if value is not None} | kwargs
        if check_sampling_arguments(**{**self._forward_params, **arguments})["seed"] is None:
            arguments["seed"] = draw_seed()
        check_loading_arguments(batch_size, num_workers)
        wanted = to_python(digits)
        if isinstance(wanted, str | bytes | Mapping) or not is_iterable(wanted):
            return super().__call__(next(number_labels([wanted], self.class_names)), **arguments)
        if isinstance(wanted, list | tuple):
            # check a whole list before drawing its first image
            wanted = [item["label"] for item in number_labels(wanted, self.class_names)]
        num_workers = self._num_workers if num_workers is None else num_workers
        how = (num_workers or 0, batch_size or self._batch_size, DEFAULTS | self._forward_params | arguments)
        results = PipelineIterator(DrawnOutputs(self, wanted, *how), self.postprocess, {})
        return list(results) if isinstance(wanted, list) else results

    def _sanitize_parameters(self, **kwargs):
        return {}, check_sampling_arguments(**kwargs, fill=False), {}

    def preprocess(self, inputs: dict[str, int]) -> dict[str, int]:  # type: ignore[override]
        return inputs

    def _forward(self, model_inputs: dict[str, Any], **arguments) -> dict[str, Any]:  # type: ignore[override]
        arguments = DEFAULTS | arguments
        choice = {name: arguments.pop(name) for name in CHOICE}
        return {**model_inputs, "candidates": self.sample(**model_inputs, **arguments), "choice": choice}

    def postprocess(self, model_outputs: dict[str, Any]) -> list[dict[str, Any]]:  # type: ignore[override]
        candidates, label = model_outputs["candidates"], model_outputs["label"]
        return candidates.choose(label, self.class_names, **model_outputs["choice"])

    def sample(
        self,
        label: str | int,
        num_candidates: int = 64,
        temperature: float = 0.8,
        classifier_temperature: float = 0.8,
        seed: int | None = 0,
        occurrence: int = 0,
        decoding: str = "exact",
        callback: Callable[[int, int, np.ndarray], None] | None = None,
    ) -> Candidates:
        """Generate candidates of a digit, decode them and judge their images. `__call__` ranks these candidates.

        Args:
            label (`str` or `int`): the class by its name or number, `"0"` to `"9"` or 0 to 9 for digits.
            occurrence (`int`, defaults to 0): distinguishes draws of the same label with the same seed.
            num_candidates, temperature, classifier_temperature, seed, decoding, callback: see `__call__`.

        Returns:
            [`Candidates`]: `num_candidates` of them, in the order of their indices.

        Raises:
            ValueError: if a label or an argument is not allowed; the error names its value.
        """
        how = {
            "num_candidates": num_candidates,
            "temperature": temperature,
            "classifier_temperature": classifier_temperature,
            "seed": draw_seed() if seed is None else seed,
            "decoding": decoding,
            "callback": callback,
        }
        check_sampling_arguments(fill=False, **how)
        item = {"label": find_class(to_python(label), self.class_names), "occurrence": occurrence}
        return self.sample_items([item], **how)[0]

    def sample_items(
        self, items, num_candidates, temperature, classifier_temperature, seed, decoding, callback
    ) -> list[Candidates]:
        """[`sample`] for several items `{"label": int, "occurrence": int}` at the same time."""
        num_drawn = -(-num_candidates // BLOCK_SIZE) * BLOCK_SIZE  # per item, in whole blocks
        seed_keys = [(seed, *item.values(), index) for item in items for index in range(num_drawn)]
        labels = [item["label"] for item in items for _ in range(num_drawn)]
        show = None if callback is None else lambda start, images: callback(labels[0], start, images)
        candidates = self.sample_texts(labels, seed_keys, temperature, classifier_temperature, decoding, show)
        starts = range(0, len(labels), num_drawn)
        return [candidates.take(slice(start, start + num_candidates)) for start in starts]

    def sample_texts(
        self,
        labels: Sequence[int],
        seed_keys: Sequence[Sequence[int]],
        temperature: float = 0.8,
        classifier_temperature: float = 0.8,
        decoding: str = "exact",
        callback: Callable[[int, np.ndarray], None] | None = None,
    ) -> Candidates:
        """Generate one candidate per label, decode and judge them.

        Args:
            labels, seed_keys, temperature, decoding, callback: see [`generate_candidates`].
            classifier_temperature (`float`, defaults to 0.8): divides the logits of the classifier.

        Returns:
            [`Candidates`]: one per label, in this order.
        """
        start = time.perf_counter()
        input_ids = generate_candidates(
            self.model, self.tokenizer, labels, seed_keys, temperature, decoding, callback
        ).cpu()  # waits for the device, so that all its work counts as generating
        generated = time.perf_counter()
        texts = self.tokenizer.batch_decode(input_ids)
        images = self.tokenizer.decode_images(texts)
        probabilities = judge_images(self.classifier, images, classifier_temperature)
        seconds = {"generate": generated - start, "judge": time.perf_counter() - generated}
        return Candidates(texts, images, probabilities, seconds)

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> None:
        """Save everything that the pipeline is loaded from: model, tokenizer, code, and the classifier in its folder.

        If the package `mnist_text_gen` is imported, this also saves the card, the records and the pictures.

        Args:
            save_directory (`str` or `os.PathLike`): a folder, which is created if it is missing.
            push_to_hub (`bool`, defaults to `False`):
                Also publish it, as `repo_id` or under the folder's name.
            kwargs: arguments of `save_pretrained` of the models, and of `push_to_hub`.

        Raises:
            ValueError: if `save_directory` is a file.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise ValueError(f"`save_directory` must be a folder, got {str(folder)!r}, a file")
        names = ("private", "token", "revision", "commit_message", "commit_description", "create_pr", "tags")
        publishing = {name: kwargs.pop(name) for name in names if name in kwargs}
        repo_id = kwargs.pop("repo_id", folder.resolve().name)
        super().save_pretrained(folder, **kwargs)
        self.classifier.save_pretrained(folder / CLASSIFIER_FOLDER, **kwargs)
        # for model.generate(..., custom_generate="owner/repository")
        code = folder / "custom_generate"
        code.mkdir(exist_ok=True)
        for name, content in (("generate.py", inspect.unwrap(decode)), ("cached_gpt2.py", CachedGPT2)):
            code.joinpath(name).write_bytes(Path(inspect.getfile(content)).read_bytes())
        if self.publisher is not None:
            self.publisher.add_records(self, folder, publishing.get("tags") or ())
        if push_to_hub:
            self.push_to_hub(repo_id, **publishing)

    def push_to_hub(self, repo_id: str, **kwargs) -> CommitInfo:
        """Publish on the Hub what `save_pretrained` saves.

        This calls [`~mnist_text_gen.publishing.push_pipeline`] if the package `mnist_text_gen` is imported, else
        Transformers' own [`~transformers.utils.PushToHubMixin.push_to_hub`].

        Args:
            repo_id (`str`): `"owner/name"`, or `"name"` for the owner of the token; it is created if it is missing.
            kwargs: `commit_message`, `commit_description`, `private`, `token`, `revision`, `create_pr`,
                `max_shard_size` and `tags`.

        Returns:
            `CommitInfo`: the commit.
        """
        if self.publisher is None:
            return super().push_to_hub(repo_id, **kwargs)  # type: ignore[return-value]  # its annotation is `str`
        return self.publisher.push_pipeline(self, repo_id, **kwargs)


# Registered here and not in `__init__.py`, so that a pipeline that was loaded as remote code can be saved again.
PIPELINE_REGISTRY.register_pipeline(
    TASK, pipeline_class=MnistTextGenerationPipeline, pt_model=AutoModelForCausalLM, type="text"
)
