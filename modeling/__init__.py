"""Models, decoding and reranking.

A good order to read the files:

1. `logits_process`: the grammar, and noise that turns greedy decoding into sampling.
2. `candidates`: generate texts, decode their images, judge and select them.
3. `pipeline_mnist_text_generation`: the pipeline. `sample_texts` draws and judges, `__call__` is what users call.
4. `modeling_mnist_cnn` with its configuration, `selection`, `sampling_arguments`, `class_names`: what it uses.
5. `given_images`, `completion`, `likelihood`: what the pipeline does with images that it is given.
6. `predictive_sampling`, `cached_gpt2`: the fast loop. It does the same as Transformers' own, so you can skip it.
7. `language_model`, `weights`, `streaming`: sizes, checks when loading, and long iterables of classes.

These modules import only their siblings, because they are also uploaded to the Hub as remote code.
"""

from transformers import AutoConfig, AutoModelForImageClassification

from .candidates import BLOCK_SIZE, Candidates, generate_candidates, judge_images
from .class_names import class_word, find_class, label_maps, name_classes, read_class_names, read_classes
from .completion import complete_images, sample_particles
from .configuration_mnist_cnn import MnistCnnConfig
from .language_model import (
    build_generation_config,
    build_language_model_config,
    check_language_model_config,
    token_losses,
)
from .likelihood import (
    class_log_likelihoods,
    class_posterior,
    log_likelihood,
    marginal_log_likelihood,
    pixel_nats,
    symbol_nats,
)
from .logits_process import (
    GumbelNoiseLogitsProcessor,
    KnownPixelsLogitsProcessor,
    MnistTextLogitsProcessor,
    gumbel_noise,
)
from .modeling_mnist_cnn import CLASSIFIER_FOLDER, MnistCnnForImageClassification, load_classifier
from .pipeline_mnist_text_generation import TASK, MnistTextGenerationPipeline
from .predictive_sampling import decode
from .sampling_arguments import DECODINGS, DEFAULTS, Decoding, check_sampling_arguments
from .selection import SELECTIONS, Selection, select_best, select_diverse
from .weights import load_weights, reading


AutoConfig.register(MnistCnnConfig.model_type, MnistCnnConfig)
AutoModelForImageClassification.register(MnistCnnConfig, MnistCnnForImageClassification)

__all__ = [
    "BLOCK_SIZE",
    "CLASSIFIER_FOLDER",
    "DECODINGS",
    "DEFAULTS",
    "SELECTIONS",
    "TASK",
    "Candidates",
    "Decoding",
    "GumbelNoiseLogitsProcessor",
    "KnownPixelsLogitsProcessor",
    "MnistCnnConfig",
    "MnistCnnForImageClassification",
    "MnistTextGenerationPipeline",
    "MnistTextLogitsProcessor",
    "Selection",
    "build_generation_config",
    "build_language_model_config",
    "check_language_model_config",
    "check_sampling_arguments",
    "class_log_likelihoods",
    "class_posterior",
    "class_word",
    "complete_images",
    "decode",
    "find_class",
    "generate_candidates",
    "gumbel_noise",
    "judge_images",
    "label_maps",
    "load_classifier",
    "load_weights",
    "log_likelihood",
    "marginal_log_likelihood",
    "name_classes",
    "pixel_nats",
    "read_class_names",
    "read_classes",
    "reading",
    "sample_particles",
    "select_best",
    "select_diverse",
    "symbol_nats",
    "token_losses",
]
