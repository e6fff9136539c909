# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""CNN that classifies binary 30×30 images; it judges what the language model draws."""

from itertools import pairwise

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import cached_file, can_return_tuple

from .configuration_mnist_cnn import MnistCnnConfig
from .weights import load_weights


# the folder of the classifier beside its language model
CLASSIFIER_FOLDER = "classifier"


class MnistCnnStage(nn.Sequential):
    """Two 3×3 convolutions with batch norm and ReLU, then max pooling: `[B, C, S, S]` → `[B, C', S/2, S/2]`."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )


class MnistCnnForImageClassification(PreTrainedModel):
    """Stages of convolutions, then dropout and a linear layer over the flattened features.

    Args:
        config ([`MnistCnnConfig`]): sizes, dropout and classes.

    Examples:

    ```python
    >>> import torch
    >>> from mnist_text_gen import MnistCnnConfig, MnistCnnForImageClassification

    >>> classifier = MnistCnnForImageClassification(MnistCnnConfig()).eval()
    >>> classifier(torch.zeros(2, 1, 30, 30)).logits.shape
    torch.Size([2, 10])
    ```
    """

    config_class = MnistCnnConfig
    main_input_name = "pixel_values"
    input_modalities = ["image"]

    def __init__(self, config: MnistCnnConfig):
        super().__init__(config)
        channels = [config.num_channels, *config.hidden_sizes]
        self.stages = nn.Sequential(*(MnistCnnStage(*pair) for pair in pairwise(channels)))
        size = config.image_size >> len(config.hidden_sizes)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(channels[-1] * size * size, config.num_labels)  # type: ignore[arg-type]  # never None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            super()._init_weights(module)

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs
    ) -> ImageClassifierOutput:
        """Classify images.

        Args:
            pixel_values (`torch.Tensor`, float `[B, 1, 30, 30]`): images, values {0, 1}.
            labels (`torch.Tensor`, int64 `[B]`, *optional*): classes for the cross-entropy loss.
            kwargs: `return_dict=False` gives a plain tuple.

        Returns:
            `ImageClassifierOutput`: `logits`, float `[B, num_labels]`, and `loss`, float32 `[]` or `None`.

        Raises:
            ValueError: if `pixel_values` have a wrong shape.
        """
        expected = (self.config.num_channels, self.config.image_size, self.config.image_size)
        if pixel_values.ndim != 4 or pixel_values.shape[1:] != expected:
            raise ValueError(
                f"`pixel_values` must have shape [B, {', '.join(map(str, expected))}], got {list(pixel_values.shape)}"
            )
        hidden_states = self.stages(pixel_values)  # [B, C, S, S]
        logits = self.classifier(self.dropout(hidden_states.flatten(1)))  # [B, num_labels]
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def load_classifier(
    source: str, revision: str | None = None, subfolder: str = CLASSIFIER_FOLDER
) -> MnistCnnForImageClassification:
    """Load a classifier, and check that its weights are complete.

    Args:
        source (`str`): a folder, or an id on the Hub.
        revision (`str`, *optional*): a branch, tag or commit on the Hub.
        subfolder (`str`, defaults to `"classifier"`): the folder of the classifier in the source.

    Raises:
        ValueError: if there is no classifier, or its weights cannot be read or do not fit its configuration.
    """
    where = {"subfolder": subfolder, **({"revision": revision} if revision else {})}
    try:
        # without this file, from_pretrained silently takes the default configuration
        if cached_file(source, "config.json", **where) is None:
            raise OSError("it has no config.json")
        return load_weights(MnistCnnForImageClassification, source, f"the classifier of {source}", **where)
    except OSError as error:
        raise ValueError(
            f"{source} must have a classifier in its folder {subfolder!r}; train one with train_classifier.py: {error}"
        ) from error


MnistCnnForImageClassification.register_for_auto_class("AutoModelForImageClassification")
