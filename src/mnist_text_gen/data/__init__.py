"""Reads MNIST-like images and turns them into data sets for training."""

from .augmentation import augment_images
from .binarization import Binarization, binarize, check_binarization, sample_images
from .corpus import Layout, load_corpus, load_image_corpus, make_binary, set_epoch
from .sources import HUB_SOURCE, PACKAGED_SOURCE, LabelledImages, identify_source, load_images


__all__ = [
    "HUB_SOURCE",
    "PACKAGED_SOURCE",
    "Binarization",
    "LabelledImages",
    "Layout",
    "augment_images",
    "binarize",
    "check_binarization",
    "identify_source",
    "load_corpus",
    "load_image_corpus",
    "load_images",
    "make_binary",
    "sample_images",
    "set_epoch",
]
