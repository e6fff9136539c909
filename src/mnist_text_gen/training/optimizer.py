# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The optimizer of the language model: Adam, or Muon for the matrices of the blocks."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from transformers import GPT2LMHeadModel, TrainingArguments


@dataclass
class OptimizerArguments:
    """The optimizer. Learning rate, betas and epsilon of Adam are in `TrainingArguments`."""

    optimizer: Literal["adam", "muon"] = field(
        default="adam",
        metadata={"help": "adam: Adam for all weights; muon: Muon for the matrices of the blocks, Adam for the rest."},
    )
    muon_learning_rate: float = field(
        default=4e-3, metadata={"help": "Learning rate of Muon, scaled by 0.2 * sqrt(max(rows, columns))."}
    )

    def __post_init__(self):
        if not self.muon_learning_rate > 0:
            raise ValueError(f"`muon_learning_rate` must be above 0, got {self.muon_learning_rate}")


def build_optimizer(
    model: GPT2LMHeadModel, args: OptimizerArguments, training_args: TrainingArguments
) -> torch.optim.Optimizer:
    learning_rate, weight_decay = training_args.learning_rate, training_args.weight_decay
    betas, eps = (training_args.adam_beta1, training_args.adam_beta2), training_args.adam_epsilon
    if args.optimizer == "adam":
        return torch.optim.Adam(
            model.parameters(), lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, fused=True
        )
    from pytorch_optimizer import Muon

    # Muon (https://kellerjordan.github.io/posts/muon) is for hidden matrices; embeddings, norms and biases use Adam
    matrices = [parameter for parameter in model.transformer.h.parameters() if parameter.ndim == 2]
    of_muon = set(map(id, matrices))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in of_muon]
    return Muon(
        [
            {"params": matrices, "use_muon": True, "lr": args.muon_learning_rate, "weight_decay": weight_decay},
            {"params": rest, "use_muon": False, "lr": learning_rate, "betas": betas, "eps": eps},
        ],
        # Conv1D of GPT-2 stores [in, out], but this factor is the same for a matrix and its transpose (Liu et al.
        # 2025, arXiv:2502.16982, equation 4)
        use_adjusted_lr=True,
    )
