# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: from classes to agreement, its interval and the confusion table."""

import json
from pathlib import Path

import evaluate
import gradio as gr


# in memory, because after an error a metric on disk waits a second for its own lock
metric = evaluate.load(str(Path(__file__).with_name("class_agreement.py")), keep_in_memory=True)


def compute(predictions: str, references: str, num_classes: float, confidence_level: float) -> dict:
    try:
        return metric.compute(
            predictions=json.loads(predictions),
            references=json.loads(references),
            num_classes=int(num_classes),
            confidence_level=confidence_level,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise gr.Error(f"predictions and references must be lists with one class per image: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox("[3, 3, 8, 7]", label="predictions: a list of the classes that a classifier assigns to the images"),
        gr.Textbox("[3, 3, 3, 7]", label="references: a list of the wanted classes"),
        gr.Number(10, label="num_classes", minimum=1, precision=0),
        gr.Number(0.95, label="confidence_level", minimum=0, maximum=1),
    ],
    outputs=gr.JSON(label="class_agreement, interval, num_samples, per_class, confusion"),
    title="Class agreement",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
