"""Making a thumbnail from an image, in a thread (client-server API, Thumbnails)."""

import io
from pathlib import Path

import msgspec
from PIL import Image, ImageOps, ImageSequence

from chamberlain.media.sizes import Size

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
MAX_FRAMES = 100
"""An animation of more frames is cut off."""
JPEG_QUALITY = 80
WEBP_QUALITY = 75

Image.MAX_IMAGE_PIXELS = None  # the number of pixels is checked below, before anything is decoded


class TooManyPixels(Exception):
    """The image is too large to be decoded."""


class NoImage(Exception):
    """The file is no image that can be decoded."""


class Rendered(msgspec.Struct, frozen=True):
    """A thumbnail."""

    content_type: str
    image: bytes


def render(path: Path, size: Size | None, *, animated: bool, max_pixels: int) -> Rendered | None:
    """The thumbnail; None where there is no `size` or the image is smaller: the original is the answer then.

    Raises:
        TooManyPixels: the image has more than `max_pixels`, counting the frames of an animation that is asked for.
        NoImage: the file is no image of a known format, or a broken one.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise TooManyPixels
            if size is None or _is_smaller(image, size):
                return None
            frames = min(getattr(image, "n_frames", 1), MAX_FRAMES)
            if animated and frames > 1:
                if image.width * image.height * frames > max_pixels * 4:
                    raise TooManyPixels
                return _animation(image, size)
            return _still(image, size)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise NoImage from error


def _is_smaller(image: Image.Image, size: Size) -> bool:
    if size.method == "crop":
        return image.width < size.width or image.height < size.height
    return image.width <= size.width and image.height <= size.height


def _still(image: Image.Image, size: Size) -> Rendered:
    image.draft("RGB", _needed(image, size))
    small = _resize(ImageOps.exif_transpose(image), size)
    output = io.BytesIO()
    if small.has_transparency_data:
        small.convert("RGBA").save(output, "PNG")
        return Rendered("image/png", output.getvalue())
    small.convert("RGB").save(output, "JPEG", quality=JPEG_QUALITY, progressive=True)
    return Rendered("image/jpeg", output.getvalue())


def _animation(image: Image.Image, size: Size) -> Rendered:
    frames: list[Image.Image] = []
    durations: list[int] = []
    for number, frame in enumerate(ImageSequence.Iterator(image)):
        if number == MAX_FRAMES:
            break
        frames.append(_resize(frame.convert("RGBA"), size))
        durations.append(int(frame.info.get("duration", 100)))
    output = io.BytesIO()
    frames[0].save(
        output,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=image.info.get("loop", 0),
        quality=WEBP_QUALITY,
    )
    return Rendered("image/webp", output.getvalue())


def _needed(image: Image.Image, size: Size) -> tuple[int, int]:
    """The size that must be decoded at least, twice what is shown, so that the shrinking stays smooth."""
    if size.method == "crop":
        factor = max(size.width / image.width, size.height / image.height)
    else:
        factor = min(size.width / image.width, size.height / image.height)
    factor = min(1.0, 2 * factor)
    return max(1, int(image.width * factor)), max(1, int(image.height * factor))


def _resize(image: Image.Image, size: Size) -> Image.Image:
    if image.mode in ("P", "1", "I;16", "CMYK", "LA", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if size.method == "crop":
        return ImageOps.fit(image, (size.width, size.height), Image.Resampling.LANCZOS)
    image.thumbnail((size.width, size.height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image
