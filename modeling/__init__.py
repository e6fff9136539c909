"""Models, decoding and reranking.

The modules import only their siblings: they also travel to the Hub, as remote code.
"""

from transformers import AutoConfig, AutoModelForImageClassification

from .causal_attention import CAUSAL
from .class_names import DIGITS, check_class_names, class_word, find_class, label_maps, name_classes, read_class_names
from .completion import sample_particles
from .configuration_mnist_cnn import MnistCnnConfig
from .hub import open_repository, upload_folder
from .initialization import initialize_from_text_form
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
    symbol_nats,
)
from .logits_process import (
    GumbelNoiseLogitsProcessor,
    KnownPixelsLogitsProcessor,
    MnistTextLogitsProcessor,
    gumbel_noise,
)
from .model_card import (
    CARD_FILE,
    CLASSIFIER_FOLDER,
    GENERATED,
    PICTURES_FOLDER,
    QUALITY_FILE,
    RUN_FILE,
    build_model_card,
    escape_markdown,
    hash_weights,
    read_quality,
    read_run,
    write_quality,
    write_run,
)
from .modeling_mnist_cnn import MnistCnnForImageClassification
from .pipeline_mnist_text_generation import (
    BLOCK_SIZE,
    DECODINGS,
    TASK,
    MnistTextGenerationPipeline,
    check_sampling_arguments,
    load_classifier,
    read_classes,
)
from .predictive_sampling import decode


AutoConfig.register(MnistCnnConfig.model_type, MnistCnnConfig)
AutoModelForImageClassification.register(MnistCnnConfig, MnistCnnForImageClassification)

__all__ = [
    "BLOCK_SIZE",
    "CARD_FILE",
    "CAUSAL",
    "CLASSIFIER_FOLDER",
    "DECODINGS",
    "DIGITS",
    "GENERATED",
    "PICTURES_FOLDER",
    "QUALITY_FILE",
    "RUN_FILE",
    "TASK",
    "GumbelNoiseLogitsProcessor",
    "KnownPixelsLogitsProcessor",
    "MnistCnnConfig",
    "MnistCnnForImageClassification",
    "MnistTextGenerationPipeline",
    "MnistTextLogitsProcessor",
    "build_generation_config",
    "build_language_model_config",
    "build_model_card",
    "check_class_names",
    "check_language_model_config",
    "check_sampling_arguments",
    "class_log_likelihoods",
    "class_posterior",
    "class_word",
    "decode",
    "escape_markdown",
    "find_class",
    "gumbel_noise",
    "hash_weights",
    "initialize_from_text_form",
    "label_maps",
    "load_classifier",
    "log_likelihood",
    "marginal_log_likelihood",
    "name_classes",
    "open_repository",
    "read_class_names",
    "read_classes",
    "read_quality",
    "read_run",
    "sample_particles",
    "symbol_nats",
    "token_losses",
    "upload_folder",
    "write_quality",
    "write_run",
]
