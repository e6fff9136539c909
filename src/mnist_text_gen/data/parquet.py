# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""Reads rows of encoded images and labels from parquet files and data sets on the Hub."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .images import MAX_IMAGES, ImageCollector, check_regular_file, read_image


# Limits for the bytes of encoded images: per row group, and unpacked at a time.
_MAX_ROW_GROUP_BYTES = 2**29
_BATCH_BYTES = 2**27
_MAX_BATCH_SIZE = 1000
_COLUMNS = ("image", "label")
_IS_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
_IS_STRING = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
Rows = tuple[np.ndarray, np.ndarray, tuple[str, ...]]


def read_parquet(files: Sequence[Path]) -> Rows:
    """Images, uint8 `[N, H, W]`, labels, int64 `[N]`, and class names, if any, of all rows of the files.

    The files are opened here, because `datasets` takes `[`, `*` and `::` in a path for a pattern, and reads an old
    copy after a file was replaced.

    Raises:
        ValueError: if a file cannot be read or is too large, a column is missing or has a wrong type, a row has no
            image or label, or [`read_image`] or [`ImageCollector`] raises one.
    """
    rows, class_names, num_rows = _Rows(), None, 0
    for path in files:
        check_regular_file(path)
        try:
            # not mapped into memory, which would change with the file
            with path.open("rb") as source, pq.ParquetFile(source) as file:
                num_rows += file.metadata.num_rows
                names = _read_schema(file.schema_arrow, str(path))
                _check_size(file.metadata, num_rows, str(path))
                if class_names not in (None, names):
                    raise ValueError(
                        f"{path} must have the class names of {files[0]}, {list(class_names)}, got {list(names)}"
                    )
                class_names = names
                rows.add(_iterate(file), str(path))
        except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read as parquet: {error}") from error
    return rows.stack(", ".join(map(str, files)), class_names or ())


def read_dataset(dataset, name: str) -> Rows:
    """Images, labels and class names of a `datasets.Dataset`, as in [`read_parquet`]."""
    class_names = _read_schema(dataset.features.arrow_schema, name)
    if len(dataset) > MAX_IMAGES:
        raise ValueError(f"{name} must have at most {MAX_IMAGES:,} rows, got {len(dataset):,}")
    rows = _Rows()
    rows.add(dataset.select_columns(list(_COLUMNS)).with_format("arrow").iter(batch_size=100), name)
    return rows.stack(name, class_names)


def _read_schema(schema: pa.Schema, name: str) -> tuple[str, ...]:
    """Check the columns, and return the class names, if any."""
    from datasets import Features

    if any(schema.names.count(column) != 1 for column in _COLUMNS):
        raise ValueError(f"{name} must have the columns 'image' and 'label', got {schema.names}")
    image, label = (schema.field(column).type for column in _COLUMNS)
    encoded = image
    if pa.types.is_struct(image) and image.get_field_index("bytes") >= 0:
        encoded = image.field("bytes").type
    allowed = _IS_BINARY + ((pa.types.is_null,) if pa.types.is_struct(image) else _IS_STRING)
    if not any(is_type(encoded) for is_type in allowed):
        raise ValueError(
            f"the column 'image' of {name} must have bytes of encoded images, as binary or as "
            f"struct<bytes: binary, path: string>, got {image}"
        )
    if not pa.types.is_integer(label):
        raise ValueError(f"the column 'label' of {name} must have integers, the labels 0 to 9, got {label}")
    try:
        # of the labels only: not every version knows all types that images may have
        labels = pa.schema([schema.field("label")], schema.metadata)
        names = getattr(Features.from_arrow_schema(labels)["label"], "names", None) or ()
        return tuple(str(class_name) for class_name in names)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"{name} must have metadata that `datasets` can read, got {error!r}") from error


def _check_size(metadata: pq.FileMetaData, num_rows: int, name: str) -> None:
    if num_rows > MAX_IMAGES:
        raise ValueError(f"a split must have at most {MAX_IMAGES:,} rows, got {num_rows:,} up to {name}")
    for index in range(metadata.num_row_groups):
        size = _unpacked_size(metadata, index)
        if size > _MAX_ROW_GROUP_BYTES:
            raise ValueError(
                f"a row group must have at most {_MAX_ROW_GROUP_BYTES:,} bytes of images, got {size:,} in row group "
                f"{index} of {name}; write it in more row groups"
            )


def _unpacked_size(metadata: pq.FileMetaData, index: int) -> int:
    """The bytes of a row group's images, as its metadata says."""
    group = metadata.row_group(index)
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if _is_image(column.path_in_schema))


def _is_image(path: str) -> bool:
    return path == "image" or path.startswith("image.")


def _iterate(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for index in range(file.metadata.num_row_groups):
        # a file may store equal images once, so every row may unpack to as much as the whole row group
        size = max(_unpacked_size(file.metadata, index), 1)
        batch_size = min(_MAX_BATCH_SIZE, max(1, _BATCH_BYTES // size))
        yield from file.iter_batches(batch_size, row_groups=[index], columns=list(_COLUMNS), use_threads=False)


class _Rows:
    """Collects images and labels of rows."""

    def __init__(self):
        self.images, self.labels = ImageCollector(), []

    def add(self, batches: Iterable[pa.RecordBatch | pa.Table], name: str) -> None:
        row = 0
        for batch in batches:
            labels = batch["label"].to_pylist()
            for value, label in zip(batch["image"], labels, strict=True):
                row_name = f"{name}, row {row},"
                if label is None:
                    raise ValueError(f"{row_name} must have a label, got none")
                if label >= 2**63:
                    raise ValueError(f"the label of {row_name} must be from 0 to 9, got {label}")
                self.images.add(read_image(_take_bytes(value, row_name), row_name), row_name)
                self.labels.append(label)
                row += 1

    def stack(self, name: str, class_names: tuple[str, ...]) -> Rows:
        if not self.labels:
            raise ValueError(f"{name} must have 1 row or more, got none")
        return self.images.stack(), np.array(self.labels, dtype=np.int64), class_names


def _take_bytes(value: pa.Scalar, name: str) -> io.BytesIO:
    """The encoded image in a row of a data set.

    A row that names a file instead of its bytes is refused: somebody else's data set would choose a file of this
    machine, which might then be published.
    """
    value = value.as_py()
    encoded, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(encoded, str):
        encoded, path = None, encoded
    if encoded is None:
        found = "none" if path is None else f"the name of a file, {path!r}"
        raise ValueError(f"{name} must have the bytes of an image, got {found}")
    return io.BytesIO(encoded)
