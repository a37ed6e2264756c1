"""A JPEG or PNG that came over the wire, as the tracker wants it."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.serving.refusals import Refusal

_FORMATS = ("JPEG", "PNG")


def decode_picture(data: bytes, most_pixels: int) -> NDArray[np.uint8]:
    """The picture as [H, W, 3] uint8 RGB, upright as its EXIF orientation says.

    Raises Refusal for what is no whole JPEG or PNG, and, by its header, for one of more than `most_pixels`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > most_pixels:
                raise Refusal(
                    413,
                    "pixels",
                    f"a picture of {picture.width}x{picture.height}; at most {most_pixels} pixels are taken",
                )
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise Refusal(422, "frame", f"{len(data)} bytes that are no JPEG and no PNG") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:  # all that Pillow says damage with
        raise Refusal(422, "frame", f"a picture that cannot be decoded: {error}") from error
