# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: from images to their distances."""

import json
from pathlib import Path

import evaluate
import gradio as gr


metric = evaluate.load(str(Path(__file__).with_name("diversity.py")))


def compute(predictions: str, labels: str, train_images: str, test_images: str, test_labels: str) -> dict:
    try:
        return metric.compute(
            predictions=json.loads(predictions),
            labels=json.loads(labels),
            train_images=json.loads(train_images),
            test_images=json.loads(test_images),
            test_labels=json.loads(test_labels),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise gr.Error(f"images must be lists of rows of 0 and 1, and labels lists of int: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox(
            "[[[0, 0], [1, 1]], [[0, 1], [1, 1]]]", label="predictions: the generated images, as rows of 0 and 1"
        ),
        gr.Textbox("[7, 7]", label="labels: the class of each generated image"),
        gr.Textbox("[[[0, 0], [1, 1]], [[1, 1], [0, 0]]]", label="train_images: the training images"),
        gr.Textbox("[[[1, 1], [1, 0]], [[1, 0], [0, 0]]]", label="test_images: real images that the model never saw"),
        gr.Textbox("[7, 7]", label="test_labels: the class of each test image"),
    ],
    outputs=gr.JSON(label="figures of the generated and of the test images"),
    title="Diversity",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
