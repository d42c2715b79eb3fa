"""A small bilingual byte-level BPE tokenizer for models that start from nothing.

Three choices make tiny models learn (docs/log.md has the numbers):

* Hangul is decomposed (NFD) and every jamo is one token, so a decoder that learns to read needs 67 letters rather than
  11,172 syllables. What comes out is put together again (NFC) by `varco_vision.chat.decode`.
* Merges grow only from a blank: running text becomes whole words (" 어디에" is one token), while a bare string, which is
  what OCR transcribes between <char> and </char>, stays spelled out in letters whatever the words of the corpus were.

* With `syllables`, the commonest syllables are tokens too: a word that is read has then as many tokens as letters in the
  picture, and the place in it is not lost (docs/log.md). Their rows begin as sums of their jamo's (`syllable_parts`).

* The commonest words that texts begin with ("빨간색", "Where") are whole tokens where they stand alone. Bare, they would
  be spelled out too, which made the average question and answer a fifth longer.

Numbers "0.0" ... "1.0" in hundredths are one token each, so that a box is four numbers and not twelve digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from varco_vision.chat import CHAT_TEMPLATE
from varco_vision.markup import MARKERS, format_number

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
ROLES = ("system", "user", "assistant")
JAMO = [
    chr(c) for first, last in ((0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2)) for c in range(first, last + 1)
]
# A comma with its blank is one piece only where nothing follows, which is between two numbers of a box.
WORD_PATTERN = (
    r",\s(?!\S)|[^\r\n\p{L}\p{M}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKED = re.compile("|".join(map(re.escape, MARKERS)))
_TRANSCRIBED = re.compile(r"<char>.*?</char>", re.DOTALL)
_FIRST_WORD = re.compile(r"\s*([^\W\d_]+)(?!\w)")
NUMBERS = [format_number(k / 100, digits=2) for k in range(101)]


def byte_alphabet() -> dict[int, str]:
    """byte -> the printable character that stands for it in a byte-level vocabulary (the GPT-2 table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in printable}
    spare = (b for b in range(256) if b not in table)
    table.update({b: chr(256 + n) for n, b in enumerate(spare)})
    return table


def _spell(text: str, alphabet: dict[int, str], whole: Iterable[str] = ()) -> tuple[str, ...]:
    """Text as the letters that the forced merges leave: one item a byte, a jamo or a syllable (part) of `whole` (NFD)."""
    letters: list[str] = []
    last = ""  # the decomposed syllable, as far as it is one item
    for character in text:
        data = "".join(alphabet[b] for b in character.encode())
        if last and last + character in whole:
            letters[-1] += data
            last += character
        else:
            letters.extend([data] if character in JAMO else data)
            last = character if character in JAMO else ""
    return tuple(letters)


def _letter_merges(alphabet: dict[int, str]) -> list[tuple[str, str]]:
    merges = dict.fromkeys([(alphabet[ord(",")], alphabet[ord(" ")])])
    for jamo in JAMO:
        a, b, c = (alphabet[x] for x in jamo.encode())
        merges[(a, b)] = None
        merges[(a + b, c)] = None
    return list(merges)


def _whole_syllables(syllables: Iterable[str]) -> list[str]:
    """The decomposed syllables that become tokens: those given, and what they begin with ("가" for "각"), shorter first."""
    whole = dict.fromkeys(unicodedata.normalize("NFD", s) for s in syllables)
    whole.update(dict.fromkeys(s[:2] for s in list(whole)))
    return sorted(whole, key=len)


def _syllable_merges(whole: Iterable[str], alphabet: dict[int, str]) -> list[tuple[str, str]]:
    def data(text: str) -> str:
        return "".join(alphabet[b] for b in text.encode())

    return [(data(s[:-1]), data(s[-1])) for s in whole]


def _word_merges(
    counts: Counter[str], limit: int, alphabet: dict[int, str], whole: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Up to `limit` merges, the most frequent first, each of which lengthens a piece that begins with a blank."""
    words = {word: list(_spell(word, alphabet, whole)) for word in counts if word.startswith(" ")}
    pairs: Counter[tuple[str, str]] = Counter()
    holders: dict[tuple[str, str], list[str]] = {}
    for word, letters in words.items():
        if len(letters) > 1:
            pairs[(letters[0], letters[1])] += counts[word]
            holders.setdefault((letters[0], letters[1]), []).append(word)
    merges = []
    while pairs and len(merges) < limit:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs.pop(best) < 2:
            break
        merges.append(best)
        for word in holders.pop(best):
            letters = words[word]
            letters[:2] = [letters[0] + letters[1]]
            if len(letters) > 1:
                pair = (letters[0], letters[1])
                pairs[pair] += counts[word]
                holders.setdefault(pair, []).append(word)
    return merges


def common_first_words(texts: Iterable[str], limit: int) -> list[str]:
    """The words that texts, and the parts of texts between markers, most often begin with; not what is transcribed."""
    counts: Counter[str] = Counter()
    for text in texts:
        for piece in _MARKED.split(_TRANSCRIBED.sub("", unicodedata.normalize("NFC", text))):
            if (found := _FIRST_WORD.match(piece)) and len(found[1]) > 1:
                counts[found[1]] += 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [word for word in ranked[:limit] if counts[word] > 1]


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Words with the blank in front of them, decomposed, with how often they occur."""
    splitter = pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(unicodedata.normalize("NFD", text)))
    return counts


def build_tokenizer(
    texts: Iterable[str], merges: int = 4000, first_words: int = 96, syllables: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    """A tokenizer from a corpus: bytes, 67 jamo, the given whole syllables (and what they begin with), at most `merges`
    pieces of words and `first_words` whole words, 101 numbers, the ChatML tokens.

    Every text is representable (bytes), so are all 11,172 Hangul syllables (jamo). The nine location markers are not in
    it: `varco_vision.model.compose` adds them, as it does to a published language model's tokenizer.
    """
    texts = list(texts)
    alphabet = byte_alphabet()
    whole = dict.fromkeys(_whole_syllables(syllables))
    pairs = _letter_merges(alphabet) + _syllable_merges(whole, alphabet)
    pairs += _word_merges(count_words(texts), merges, alphabet, whole)
    pieces = dict.fromkeys(alphabet.values())
    pieces.update(dict.fromkeys(a + b for a, b in pairs))
    vocabulary = {piece: n for n, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    backend.normalizer = normalizers.NFD()
    backend.pre_tokenizer = _pre_tokenizer()
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(t, normalized=False) for t in (END_OF_TEXT, TURN_START, TURN_END)])
    words = dict.fromkeys((*ROLES, *NUMBERS, *common_first_words(texts, first_words)))
    plain = [AddedToken(t, single_word=True, normalized=False) for t in words]
    backend.add_tokens(plain)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def number_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the one-token numbers 0.00, 0.01 ... 1.00, or an empty list where the tokenizer spells numbers in digits."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[n] for n in NUMBERS] if all(n in vocabulary for n in NUMBERS) else []


def syllable_parts(tokenizer: PreTrainedTokenizerFast) -> dict[int, list[int]]:
    """Id of every token that is a bare syllable of several jamo -> the ids of those jamo, in order."""
    alphabet, vocabulary = byte_alphabet(), tokenizer.get_vocab()
    jamo = {"".join(alphabet[b] for b in j.encode()): j for j in JAMO}
    ids = {j: vocabulary[piece] for piece, j in jamo.items() if piece in vocabulary}
    parts = {}
    for piece, n in vocabulary.items():
        letters = [jamo.get(piece[k : k + 3], "") for k in range(0, len(piece), 3)]
        if 2 <= len(letters) <= 3 and all(letters) and len(unicodedata.normalize("NFC", "".join(letters))) == 1:
            parts[n] = [ids[j] for j in letters]
    return parts
