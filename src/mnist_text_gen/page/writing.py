# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Write the page: one HTML file with code and settings, and the weights in pieces beside it.

A page that was opened as a file can only read scripts, so the weights are scripts: gzip in base 85, which needs 7 %
less space than base 64, in pieces of a megabyte, so that the page can show its progress. `data/fast-*.js` has the
matrices of the transformer blocks in 8 bits, and everything else in float32. `data/exact-*.js` has these matrices in
float32, and is read only for the decoding "exact".
"""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from mnist_text_gen.modeling import MnistCnnForImageClassification, MnistTextGenerationPipeline
from mnist_text_gen.modeling.sampling_arguments import DEFAULTS


FOLDER = Path(__file__).parent
PIECE_SIZE = 200_000  # numbers of four bytes, which are a megabyte of text
ACTIVATIONS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu_erf"}
MATRICES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
# the files that replace /*name*/ in index.html
PARTS = {
    "page.css": ("page.css",),
    "engine.js": ("bytes.js", "engine.js"),
    "worker.js": ("worker.js",),
    "page.js": ("bytes.js", "picture.js", "pad.js", "loading.js", "selection.js", "page.js"),
}


def check_model(pipe: MnistTextGenerationPipeline, name: str) -> None:
    """Raise a `ValueError` unless the engine can run the language model."""
    config = pipe.model.config
    if not isinstance(pipe.model, GPT2LMHeadModel) or config.add_cross_attention:
        raise ValueError(
            f"{name} must be a GPT-2 without cross-attention for the page, got a {type(pipe.model).__name__}"
        )
    if config.activation_function not in ACTIVATIONS:
        raise ValueError(
            f"`activation_function` of {name} must be one of {', '.join(ACTIVATIONS)} for the page, got "
            f"{config.activation_function!r}"
        )


def write_page(pipe: MnistTextGenerationPipeline, folder: Path) -> None:
    """Write the page into an empty folder. The models of the pipeline must be in float32 and on the CPU."""
    tensors = read_language_model(pipe.model) | read_classifier(pipe.classifier)
    is_matrix = {f"h.{layer}.{part}.weight" for layer in range(pipe.model.config.n_layer) for part in MATRICES}
    fast, exact = {}, {}
    for name, values in tensors.items():
        if name in is_matrix:
            fast[name], fast[f"{name}.scales"] = quantize(values)
            exact[name] = values
        else:
            fast[name] = values
    (folder / "data").mkdir()
    files = {name: write_tensors(folder / "data", name, part) for name, part in (("fast", fast), ("exact", exact))}
    parts = {name: read_parts(*names) for name, names in PARTS.items()}
    parts["settings"] = json.dumps(read_settings(pipe) | {"files": files}).replace("<", "\\u003c")
    parts["engine.wasm"] = base64.b64encode((FOLDER / "engine.wasm").read_bytes()).decode()
    page = re.sub(r"/\*([\w.]+)\*/", lambda match: parts[match[1]], read_parts("index.html"))
    (folder / "index.html").write_text(page, encoding="utf-8")


def read_parts(*names: str) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def read_settings(pipe: MnistTextGenerationPipeline) -> dict[str, Any]:
    """What the page needs to know about the text form, the models and the classes."""
    tokenizer, config = pipe.tokenizer, pipe.model.config
    scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
    by_layer = config.scale_attn_by_inverse_layer_idx
    return {
        "symbols": tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))),
        "endSymbol": tokenizer.eos_token,
        "firstPixelId": tokenizer.pixel_ids.start,
        "numSymbolValues": len(tokenizer.pixel_ids),
        "numPixelSymbols": tokenizer.num_pixel_symbols,
        "imageSize": tokenizer.image_size,
        "classNames": list(pipe.class_names),
        "classWord": pipe.class_word,
        "temperature": DEFAULTS["temperature"],
        "classifierTemperature": DEFAULTS["classifier_temperature"],
        "numCandidates": DEFAULTS["num_candidates"],
        "numShown": DEFAULTS["num_return_sequences"],
        "minScore": DEFAULTS["min_score"],
        "channels": pipe.classifier.config.hidden_sizes,
        "model": {
            "width": config.n_embd,
            "heads": config.n_head,
            "layers": config.n_layer,
            "inner": config.n_inner or 4 * config.n_embd,
            "positions": tokenizer.model_max_length,
            "vocabulary": config.vocab_size,
            "activation": ACTIVATIONS[config.activation_function],
            "epsilon": config.layer_norm_epsilon,
            "attentionScales": [scale / (layer + 1 if by_layer else 1) for layer in range(config.n_layer)],
        },
    }


def read_language_model(model: GPT2LMHeadModel) -> dict[str, np.ndarray]:
    """Maps names to float32 arrays; matrices are `[in, out]`."""
    tensors = {name: tensor.detach().numpy() for name, tensor in model.transformer.state_dict().items()}
    return tensors | {"lm_head.weight": model.lm_head.weight.detach().numpy().T}


def read_classifier(classifier: MnistCnnForImageClassification) -> dict[str, np.ndarray]:
    """Maps names to float32 arrays. Convolutions include their batch norm and are `[9·in, out]`, tap after tap."""
    tensors = {}
    for stage, layers in enumerate(classifier.eval().stages):
        for part, (convolution, norm) in enumerate(((layers[0], layers[1]), (layers[3], layers[4]))):
            factor = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = convolution.weight * factor[:, None, None, None]  # [out, in, 3, 3]
            tensors[f"stages.{stage}.{part}.weight"] = weight.permute(2, 3, 1, 0).reshape(-1, len(factor))
            tensors[f"stages.{stage}.{part}.bias"] = norm.bias - norm.running_mean * factor
    linear, channels = classifier.classifier, classifier.config.hidden_sizes[-1]
    weight = linear.weight.view(len(linear.weight), channels, -1).permute(2, 1, 0)  # [pixels, channels, labels]
    # in the engine, pixels have a multiple of four channels
    weight = torch.nn.functional.pad(weight, (0, 0, 0, -channels % 4))
    tensors["classifier.weight"], tensors["classifier.bias"] = weight.reshape(-1, len(linear.weight)), linear.bias
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def quantize(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix `[K, N]` as int8 from -127 to 127, and the scale of each column, float32 `[N]`."""
    scales = np.maximum(np.abs(matrix).max(axis=0), np.finfo(np.float32).tiny) / np.float32(127)
    return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)


def write_tensors(folder: Path, name: str, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """Write tensors in pieces, each tensor at a multiple of 4 bytes; return what the page needs to read them."""
    content = b"".join(
        values.tobytes() + bytes(-values.nbytes % 4) for values in map(np.ascontiguousarray, tensors.values())
    )
    # without the time, so that the same weights give the same bytes
    packed = gzip.compress(content, mtime=0)
    numbers = np.frombuffer(packed + bytes(-len(packed) % 4), ">u4")
    fingerprint = hashlib.sha256(content).hexdigest()[:16]
    starts = range(0, len(numbers), PIECE_SIZE)
    for index, start in enumerate(starts):
        piece = numbers[start : start + PIECE_SIZE]
        checksum = int(piece.sum(dtype=np.uint64) % 2**32)
        values = json.dumps([name, index, fingerprint, checksum, encode_base85(piece)])
        (folder / f"{name}-{index:02}.js").write_text(f"receive(...{values});\n", encoding="ascii")
    return {
        "fingerprint": fingerprint,
        "numPieces": len(starts),
        "numBytes": len(packed),
        "tensors": [[key, str(values.dtype), list(values.shape)] for key, values in tensors.items()],
    }


def encode_base85(numbers: np.ndarray) -> str:
    """Numbers below 2³² as five digits each, with the characters from `#` to `x` except the backslash."""
    digits = (numbers[:, None] // 85 ** np.arange(4, -1, -1) % 85).astype(np.uint8)  # [N, 5]
    return (digits + np.uint8(35) + (digits >= 57)).astype(np.uint8).tobytes().decode("ascii")
