# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: from texts and the wanted digits to the share of valid texts and the errors."""

import json
from pathlib import Path

import evaluate
import gradio as gr


BLANK = ":" * 150

# in memory, because after an error a metric on disk waits a second for its own lock
metric = evaluate.load(str(Path(__file__).with_name("mnist_text_validity.py")), keep_in_memory=True)


def compute(predictions: str, references: str, image_size: float) -> dict:
    try:
        # one text per line instead of JSON, in which the pixel symbol \ would have to be doubled
        return metric.compute(
            predictions=predictions.split("\n"), references=json.loads(references), image_size=int(image_size)
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise gr.Error(f"predictions must be one text per line, references a list of digits: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox(f"5{BLANK})\n0{BLANK}", label="predictions: one text per line"),
        gr.Textbox("[5, 0]", label="references: a list of the wanted digits"),
        gr.Dropdown(list(range(6, 49, 6)), value=30, label="image_size: height and width of the images"),
    ],
    outputs=gr.JSON(label="validity, interval, num_samples, errors"),
    title="MNIST text validity",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
