"""Draws the pictures that the unit tests of wit-classify compare with. Needs Pillow (11 or newer) and NumPy.

    python3 make_pictures.py [DIRECTORY]

`wheel.png` has fine spokes, hard edges and smooth colour, so that a resampler that differs from Pillow's in weights,
rounding, order or clamping shows. The results of resizing its central square by Pillow stand beside it.
"""

import pathlib
import sys

import numpy as np
from PIL import Image


def wheel(width=67, height=50):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    angle = np.arctan2(y - height / 2, x - width / 2)
    red = 127.5 + 127.5 * np.sign(np.sin(24 * angle))
    green = 255 * x / width
    blue = 127.5 + 127.5 * np.sin(x * y / 40)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def resized_square(picture, side):
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    square = picture.crop((left, top, left + edge, top + edge))
    return square.resize((side, side), Image.Resampling.BICUBIC)


def main(directory):
    picture = wheel()
    picture.save(directory / "wheel.png", optimize=True)
    for side in (24, 75):
        resized_square(picture, side).save(directory / f"wheel-pillow-{side}.png", optimize=True)

    palette = picture.resize((9, 7)).quantize(8)
    palette.save(directory / "palette.png", transparency=0)
    reopened = Image.open(directory / "palette.png")
    reopened.convert("RGBA").save(directory / "palette-as-rgba.png")

    grey = Image.fromarray(np.array([[0, 0x80FF]], dtype=np.uint16))
    grey.save(directory / "grey16.png")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
