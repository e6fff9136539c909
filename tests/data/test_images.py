# Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
"""The reader of images: every kind of file that people have, read alike by the corpus and by the example page."""

import inspect
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import to_png, write_classes
from PIL import Image

from mnist_text_gen.data import images as reader
from mnist_text_gen.data import load_images
from mnist_text_gen.data.images import ImageCollector, check_total, read_image


@pytest.fixture(scope="module")
def uploads():
    """The reader of the page, which runs as a Space without this package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "examples" / "app")
        import uploads

        yield uploads


@pytest.fixture(scope="module")
def digit(mnist_5k):
    """A 7 of 28×28 grey pixels, bright on dark, which no rotation leaves as it is."""
    images, labels = mnist_5k["train"]
    return np.array(images[np.flatnonzero(labels == 7)[0]])


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def palette(image, **options):
    """Two of its 256 grey values, written as colours of a palette in the opposite order."""
    colours = Image.fromarray((image < 128).astype(np.uint8), mode="P")
    colours.putpalette([255] * 3 + [0] * 3)
    return encode(colours, **options)


def ink_on_nothing(image, ink, mode="RGBA"):
    layers = Image.new("L", image.shape[::-1], ink)
    return Image.merge(mode, [layers] * (len(mode) - 1) + [Image.fromarray(image)])


def oriented(kind, orientation, **options):
    """A file of which a viewer shows the image, since its EXIF data say how it lies."""
    undo, exif = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation), Image.Exif()
    exif[0x0112] = orientation

    def write(image):
        image = Image.fromarray(image)
        return encode(image if undo is None else image.transpose(Image.Transpose(undo)), kind, exif=exif, **options)

    return write


SAME = {
    "grey PNG": to_png,
    "opaque RGBA PNG": lambda image: encode(Image.fromarray(image).convert("RGBA"), "PNG"),
    "opaque LA PNG": lambda image: encode(Image.fromarray(image).convert("LA"), "PNG"),
    "16 bit PNG": lambda image: encode(Image.fromarray(image.astype(np.uint16) * 257), "PNG"),
    "16 bit TIFF": lambda image: encode(Image.fromarray(image.astype(np.uint16) * 257), "TIFF"),
    "16 bit big-endian TIFF": lambda image: encode(
        Image.fromarray((image.astype(np.uint16) * 257).astype(">u2")), "TIFF"
    ),
    "16 bit PGM": lambda image: b"P5 28 28 65535\n" + (image.astype(">u2") * 257).tobytes(),
    "white on transparent PNG": lambda image: encode(ink_on_nothing(image, 255), "PNG"),
    "white on transparent LA PNG": lambda image: encode(ink_on_nothing(image, 255, "LA"), "PNG"),
    "white on transparent WEBP": lambda image: encode(ink_on_nothing(image, 255), "WEBP", lossless=True, exact=True),
    "GIF": lambda image: encode(Image.fromarray(image), "GIF"),
    "TIFF": lambda image: encode(Image.fromarray(image), "TIFF", compression="tiff_lzw"),
    "plain PGM": lambda image: b"P2 28 28 255\n" + " ".join(map(str, image.ravel())).encode(),
    "WEBP": lambda image: encode(Image.fromarray(image), "WEBP", lossless=True),
    **{f"PNG with EXIF {number}": oriented("PNG", number) for number in range(1, 9)},
    "TIFF with EXIF 6": oriented("TIFF", 6),
    "WEBP with EXIF 8": oriented("WEBP", 8, lossless=True),
}
BINARY = {
    "1 bit PNG": lambda image: encode(Image.fromarray(image > 127), "PNG"),
    "1 bit TIFF": lambda image: encode(Image.fromarray(image > 127), "TIFF", compression="group4"),
    "PBM": lambda image: encode(Image.fromarray(image > 127), "PPM"),
    "palette PNG": lambda image: palette(image, kind="PNG"),
    "palette GIF": lambda image: palette(image, kind="GIF"),
    "palette PNG, transparent paper": lambda image: palette(image, kind="PNG", transparency=b"\xff\x00"),
}
NEAR = {
    "JPEG": lambda image: encode(Image.fromarray(image), "JPEG", quality=95),
    "JPEG with EXIF 6": oriented("JPEG", 6, quality=95),
    "CMYK JPEG": lambda image: encode(Image.fromarray(image).convert("CMYK"), "JPEG", quality=95),
    "CMYK TIFF": lambda image: encode(Image.fromarray(image).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("kind", [*SAME, *BINARY, *NEAR])
def test_every_kind_of_file_gives_what_a_viewer_shows(digit, uploads, tokenizer, tmp_path, kind):
    path = tmp_path / "picture.png"
    path.write_bytes((SAME | BINARY | NEAR)[kind](digit))
    pixels = read_image(path, "x")
    wanted = np.where(digit > 127, 255, 0) if kind in BINARY else digit
    assert pixels.dtype == np.uint8
    assert abs(pixels.astype(int) - wanted).max() <= (24 if kind in NEAR else 0)
    # and the page makes the same pixels of it that the corpus makes of the same grey values
    (text,) = tokenizer.encode_images(pixels[None], [0])
    np.testing.assert_array_equal(uploads.read_picture(str(path), tokenizer), tokenizer.decode_images([text])[0])


def test_the_page_and_the_package_have_the_same_reader(uploads):
    assert inspect.getsource(uploads.read_grey) == inspect.getsource(reader.read_grey)
    assert (uploads.FORMATS, uploads.MAX_MEGAPIXELS) == (reader.FORMATS, reader.MAX_MEGAPIXELS)


def test_dark_ink_on_nothing_is_on_white_paper(digit):
    for mode in ("RGBA", "LA"):
        data = encode(ink_on_nothing(digit, 0, mode), "PNG")
        np.testing.assert_array_equal(read_image(io.BytesIO(data), "x"), 255 - digit)


def test_a_folder_and_rows_give_the_same_images(tmp_path, digit):
    data = oriented("JPEG", 6)(digit)
    for path in write_classes(tmp_path / "folder", [digit] * 30, ending="jpg").rglob("*.jpg"):
        path.write_bytes(data)
    pq.write_table(pa.table({"image": [data] * 30, "label": [0, 1, 2] * 10}), tmp_path / "rows.parquet")
    folder, rows = load_images(tmp_path / "folder"), load_images(str(tmp_path / "rows.parquet"))
    np.testing.assert_array_equal(folder["train"].images, rows["train"].images)
    assert abs(folder["train"].images[0].astype(int) - digit).max() <= 60


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda image: encode(Image.fromarray(image.astype(np.float32)), "TIFF"), "its mode is F"),
        (lambda image: encode(Image.fromarray(image.astype(np.int32) * 100_000), "TIFF"), "its mode is I"),
        (lambda image: encode(Image.fromarray(image), "PCX"), "cannot identify"),
        (lambda image: b"", "cannot identify"),
    ],
    ids=["float", "32 bits", "PCX", "empty"],
)
def test_what_is_not_read_is_named(digit, write, message):
    with pytest.raises(ValueError, match=f"^my file has no image that can be read: .*{message}"):
        read_image(io.BytesIO(write(digit)), "my file")


@pytest.mark.parametrize("values", [(0, 1), (100, 127), (255, 255)])
def test_a_blank_upload_says_its_grey_values(digit, uploads, tokenizer, tmp_path, values):
    low, high = values
    for size in (28, 60):
        pixels = np.asarray(Image.fromarray(digit).resize((size, size)))
        Image.fromarray(np.where(pixels > 127, high, low).astype(np.uint8)).save(tmp_path / "x.png")
        with pytest.raises(ValueError, match=f"ink must be much darker .*, got grey values from {low} to {high} of"):
            uploads.read_picture(str(tmp_path / "x.png"), tokenizer)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(5_100, 5_000), (60_000, 60_000)])
def test_large_images_are_refused_before_they_are_decoded(tmp_path, monkeypatch, width, height):
    path = tmp_path / "a.png"
    data = bytearray(to_png(np.zeros((8, 8), np.uint8)))
    data[16:24] = struct.pack(">II", width, height)  # the header is enough
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=f"^{path} has no image that can be read: .*(megapixels|limit)"):
        read_image(path, str(path))


def test_large_images_are_reduced_as_they_are_read(tmp_path, digit):
    large = Image.fromarray(digit).resize((1120, 1120), Image.Resampling.NEAREST)
    data = to_png(np.asarray(large))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(15):
            (tmp_path / name / f"{number}.png").write_bytes(data)
    tracemalloc.start()
    images = load_images(tmp_path)["train"].images
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert images.shape == (24, 256, 256)
    assert peak < 12 * 1120**2, "as they are, they would take 30 times that of one"
    np.testing.assert_array_equal(images[0], np.asarray(large.resize((256, 256), Image.Resampling.BOX)))


@pytest.mark.parametrize("size", [28, 64, 256])
def test_images_up_to_256_pixels_are_kept_as_they_are(digit, size):
    image = np.asarray(Image.fromarray(digit).resize((size, size)))
    images = ImageCollector()
    images.add(image, "a")
    np.testing.assert_array_equal(images.stack()[0], image)


def test_large_images_that_are_not_square_are_refused_with_their_size():
    with pytest.raises(ValueError, match=r"^images must be square, got photo of 3000×4000$"):
        ImageCollector().add(np.zeros((3000, 4000), np.uint8), "photo")


@pytest.mark.parametrize(
    ("num_images", "shape"), [(1_000_001, (8, 8)), (100_000, (128, 128)), (2**32, (2**32, 2**32))]
)
def test_more_than_a_split_may_have_is_refused(num_images, shape):
    with pytest.raises(ValueError, match="at most 1,000,000 images and 1,073,741,824 pixels"):
        check_total(num_images, shape, "x:")
    check_total(60_000, (28, 28), "x:")
