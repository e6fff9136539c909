# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The page of the metric's Space: from token losses to nats and bits."""

import json
from pathlib import Path

import evaluate
import gradio as gr


metric = evaluate.load(str(Path(__file__).with_name("image_nats.py")))


def compute(token_losses: str, num_pixels: float) -> dict[str, float]:
    try:
        return metric.compute(token_losses=json.loads(token_losses), num_pixels=int(num_pixels))
    except (ValueError, TypeError, OverflowError) as error:
        raise gr.Error(f"`token_losses` must be a list with one list of numbers per image: {error}") from error


page = gr.Interface(
    compute,
    inputs=[
        gr.Textbox("[[1.0, 2.0], [3.0, 0.0]]", label="token_losses: one list of nats per image"),
        gr.Number(900, label="num_pixels", minimum=1, precision=0),
    ],
    outputs=gr.JSON(label="nats_per_image, bits_per_pixel"),
    title="Image nats",
    description=metric.description,
)

if __name__ == "__main__":
    page.launch()
