"""Draws `page.png`, a page of text. Needs Pillow (13.0 drew the one beside this) and the font DejaVu Sans.

    python3 make_page.py FONT.ttf [FILE]
"""

import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

LINES = """
A guest asks its host for
inference: it names a model,
gives tensors and is given
tensors. The daemon keeps the
models; each of them runs in a
process of its own that reaches
one socket, the model's bytes
and the memory shared with it.
What crosses between them is
described in a hundred bytes.
Nothing else is copied twice.
"""


def main():
    font = ImageFont.truetype(sys.argv[1], 22)
    target = sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent / "page.png"
    page = Image.new("L", (448, 448), 255)
    draw = ImageDraw.Draw(page)
    for row, line in enumerate(LINES.strip().splitlines()):
        draw.text((30, 30 + 36 * row), line, font=font, fill=0)
    page.save(target, optimize=True)


main()
