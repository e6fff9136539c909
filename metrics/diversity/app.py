# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: images in, their distances out."""

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
        raise gr.Error(f"images are lists of rows of 0 and 1, labels are a list of int: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox(
            "[[[0, 0], [1, 1]], [[0, 1], [1, 1]]]", label="predictions: rows of 0 and 1 for each generated image"
        ),
        gr.Textbox("[7, 7]", label="labels: the class of each"),
        gr.Textbox("[[[0, 0], [1, 1]], [[1, 1], [0, 0]]]", label="train_images: the training images"),
        gr.Textbox("[[[1, 1], [1, 0]], [[1, 0], [0, 0]]]", label="test_images: real images that the model never saw"),
        gr.Textbox("[7, 7]", label="test_labels: the class of each"),
    ],
    outputs=gr.JSON(label="figures of the generated and of the test images"),
    title="Diversity",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
