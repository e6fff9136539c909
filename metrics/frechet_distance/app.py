# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: from features to the distance and its floor."""

import json
from pathlib import Path

import evaluate
import gradio as gr


metric = evaluate.load(str(Path(__file__).with_name("frechet_distance.py")))


def compute(predictions: str, references: str, floor_references: str, num_folds: float) -> dict:
    try:
        return metric.compute(
            predictions=json.loads(predictions),
            references=json.loads(references),
            floor_references=json.loads(floor_references) if floor_references.strip() else None,
            num_folds=int(num_folds),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise gr.Error(f"features must be a list with one list of numbers per image: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox("[[0.0], [2.0], [1.0], [4.0]]", label="predictions: one list of features per generated image"),
        gr.Textbox("[[3.0], [5.0], [4.0], [7.0]]", label="references: the features of as many real images"),
        gr.Textbox("[[2.0], [4.0], [3.0], [5.0]]", label="floor_references: those of as many other real images"),
        gr.Number(0, label="num_folds of the jackknife; 0 gives no intervals", minimum=0, precision=0),
    ],
    outputs=gr.JSON(label="frechet_distance, floor, ratio, and their intervals"),
    title="Fréchet distance",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
