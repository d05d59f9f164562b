"""Images for tests."""

import io

from PIL import Image


def image(
    width: int, height: int, kind: str = "PNG", color: object = (200, 30, 30), mode: str = "RGB"
) -> bytes:
    """An image of one color."""
    output = io.BytesIO()
    Image.new(mode, (width, height), color).save(output, kind)  # type: ignore[arg-type]
    return output.getvalue()


def animation(width: int, height: int, frames: int = 3) -> bytes:
    """A GIF that moves."""
    output = io.BytesIO()
    pictures = [Image.new("RGB", (width, height), (n * 60, 0, 0)) for n in range(frames)]
    pictures[0].save(output, "GIF", save_all=True, append_images=pictures[1:], duration=50, loop=0)
    return output.getvalue()


def look_at(data: bytes) -> tuple[str | None, int, int, int]:
    """Format, width, height and number of frames."""
    with Image.open(io.BytesIO(data)) as opened:
        return opened.format, opened.width, opened.height, getattr(opened, "n_frames", 1)
