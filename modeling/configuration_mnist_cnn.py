# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the CNN classifier."""

from transformers import PreTrainedConfig


class MnistCnnConfig(PreTrainedConfig):
    """Configuration of [`MnistCnnForImageClassification`].

    Args:
        image_size (`int`, defaults to 30): height and width of an image.
        num_channels (`int`, defaults to 1): channels of an image.
        hidden_sizes (`list[int]`, defaults to `[32, 64, 128]`):
            Channels of each stage; a stage is two 3×3 convolutions and a 2×2 max pooling.
        hidden_dropout_prob (`float`, defaults to 0.3): dropout before the last layer, which is linear.
        kwargs: arguments of `PreTrainedConfig`. `id2label` is the ten digits by default, and `label2id` its inverse.

    Raises:
        ValueError: if a size is below 1, the dropout is outside [0, 1), or there are more stages than the image can be
            halved.
    """

    model_type = "mnist_cnn"

    def __init__(
        self,
        image_size: int = 30,
        num_channels: int = 1,
        hidden_sizes: list[int] | None = None,
        hidden_dropout_prob: float = 0.3,
        **kwargs,
    ):
        self.image_size = image_size
        self.num_channels = num_channels
        self.hidden_sizes = [32, 64, 128] if hidden_sizes is None else list(hidden_sizes)
        self.hidden_dropout_prob = hidden_dropout_prob
        if "num_labels" not in kwargs and "id2label" not in kwargs:
            kwargs["id2label"] = {label: str(label) for label in range(10)}
        if kwargs.get("id2label") and not kwargs.get("label2id"):
            kwargs["label2id"] = {name: int(label) for label, name in kwargs["id2label"].items()}
        if min(image_size, num_channels, *self.hidden_sizes) < 1 or not self.hidden_sizes:
            raise ValueError(
                f"`image_size`, `num_channels` and `hidden_sizes` must be 1 or more, got {image_size}, {num_channels} "
                f"and {self.hidden_sizes}"
            )
        if not 0 <= hidden_dropout_prob < 1:
            raise ValueError(f"`hidden_dropout_prob` must be at least 0 and below 1, got {hidden_dropout_prob}")
        if image_size >> len(self.hidden_sizes) < 1:
            raise ValueError(
                f"`hidden_sizes` must have at most {image_size.bit_length() - 1} stages for an image size of "
                f"{image_size}, which each stage halves, got {len(self.hidden_sizes)}"
            )
        super().__init__(**kwargs)


MnistCnnConfig.register_for_auto_class()
