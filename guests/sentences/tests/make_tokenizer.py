"""Makes a small tokenizer.json and what the `tokenizers` package makes of some sentences with it.

    python3 make_tokenizer.py [DIRECTORY]

The sentences are chosen for what goes wrong in tokenizers: accents, capitals without a single small letter, marks of
several scripts, ideographs, control characters, words that are too long, words that no pieces cover.
"""

import json
import pathlib
import sys

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

PIECES = """[PAD] [UNK] [CLS] [SEP] a man is eat ##ing food . , ! ? ' " don t stop quoted un ##aff ##able aff
creme brulee naive cafe — œ ##uv ##re uv straße i ##stan ##bul angstrom 東 京 20 ##24 年 の zero ##width tab here nbsp
“ ” … ¿ que $ 5 00 + tax = ~ ` ^ | ο ##δ ##ο ##σ x y ##y [ cl ##s ] क हन""".split()

SENTENCES = [
    "A man is eating food.",
    "Crème brûlée, naïve café—ŒUVRE!",
    "unaffable UNEATABLE uneat",
    "東京 2024年の",
    "tab\there\u00a0nbsp zero\u200bwidth",
    "ÅNGSTRÖM İstanbul Straße ΟΔΟΣ",
    "a" * 100 + " " + "a" * 101 + " a",
    "$5.00+tax=~`^|",
    "don't stop “quoted” … ¿qué?",
    "\ufffd\u0000x\u0007y\u00ady x\u0301",
    "हिन्दी",
    "x\u0383y x\ue000y",
    "",
    " \r\n ",
]


def tokenizer():
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(PIECES))}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = BertNormalizer()
    made.pre_tokenizer = BertPreTokenizer()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    made.enable_truncation(max_length=20)
    return made


def main(directory):
    made = tokenizer()
    made.save(str(directory / "tokenizer.json"), pretty=False)
    expected = [[sentence, made.encode(sentence).ids] for sentence in SENTENCES]
    lines = ",\n".join(json.dumps(pair) for pair in expected)
    (directory / "expected.json").write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
