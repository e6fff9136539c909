# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The GPT-2 of the specification, its check, and the loss of its tokens."""

import pytest
import torch
from transformers import GPT2Config, PreTrainedConfig

from mnist_text_gen.modeling import build_language_model_config, check_language_model_config, token_losses


SPECIFICATION = {"vocab_size": 75, "n_positions": 152, "n_embd": 256, "n_head": 8, "n_layer": 8}
SPECIFICATION |= {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1, "activation_function": "gelu_new"}
SPECIFICATION |= {"tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": 74, "pad_token_id": 74}


def test_config_is_plain_gpt2_but_for_the_specification(tokenizer):
    assert build_language_model_config(tokenizer).to_dict() == GPT2Config(**SPECIFICATION).to_dict()


def test_overrides_change_the_config_and_are_checked(tokenizer):
    config = build_language_model_config(tokenizer, n_layer=2, resid_pdrop=0.0, n_positions=200)
    assert (config.n_layer, config.resid_pdrop, config.n_positions, config.n_embd) == (2, 0.0, 200, 256)
    with pytest.raises(ValueError, match="the configuration must have the tokenizer's vocabulary of 75, got 74"):
        build_language_model_config(tokenizer, vocab_size=74)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GPT2Config(vocab_size=80, n_positions=152), r"^weights must have the tokenizer's vocabulary of 75, got 80"),
        (GPT2Config(vocab_size=75, n_positions=151), r"^weights must have a context of 152 tokens .*, got 151"),
        (PreTrainedConfig(), r"^weights must have the tokenizer's vocabulary of 75, got None"),
        (PreTrainedConfig(vocab_size=75), r"^weights must have a context of 152 tokens .* or more, got None"),
    ],
)
def test_check_names_what_does_not_fit(tokenizer, config, message):
    with pytest.raises(ValueError, match=message):
        check_language_model_config(config, tokenizer, "weights")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_token_losses_are_the_gathered_log_probabilities(dtype):
    torch.manual_seed(0)
    logits = torch.randn(3, 152, 75).to(dtype)
    labels = torch.randint(75, (3, 152))
    losses = token_losses(logits, labels)
    # the logits at a position are about the token after it
    log_p = logits[:, :-1].double().log_softmax(-1)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses.double(), -log_p.gather(2, labels[:, 1:, None])[..., 0], rtol=1e-5, atol=1e-5)


def test_token_losses_keep_the_end_token_although_it_is_the_pad_token():
    logits = torch.zeros(1, 152, 75)
    labels = torch.full((1, 152), 74)
    torch.testing.assert_close(token_losses(logits, labels), torch.full((1, 151), torch.tensor(75.0).log().item()))
