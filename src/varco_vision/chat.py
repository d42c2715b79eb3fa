"""One rendering: a conversation to token ids and the mask of what is learned, for training, evaluation and serving.

The form of a conversation (roles, and which parts are pictures or text) goes through the tokenizer's own chat template
once, with a placeholder for each text, and is kept. Special tokens are recognised in the template's own text only, so
whatever a user types stays text, with one exception: the location markers, where markup is allowed.

Ids equal those of `tokenizer.apply_chat_template` for ordinary text, except that a token boundary always stands where an
answer begins: otherwise an answer that starts with a newline would melt into the prompt, and what is trained would not
be what is served. For the same reason the last answer follows the generation prompt, even if the template puts something
else before a finished answer (the published LLaVA-OneVision template adds a blank there).
"""

from __future__ import annotations

import copy
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from jinja2.exceptions import TemplateError
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerBase

from varco_vision.errors import InputError
from varco_vision.markup import MARKERS

IMAGE_TOKEN = "<image>"
ROLES = ("system", "user", "assistant")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_SLOT = re.compile("\ue000([0-9]+)\ue001")  # private-use characters: no template writes them or cares about them
_PROBE = "가 a 1"
_MOST_FORMS = 4096  # conversation forms kept per tokenizer
_MOST_PIECES = 65536  # encoded short pieces kept per tokenizer
_SHORT = 24  # characters; pieces between two markers ("\n", ", ", " next to ") recur, sentences do not

Message = Mapping[str, Any]
Shape = tuple[tuple[str, tuple[str, ...] | None], ...]  # per message: role, and part types (None: content is a string)


@dataclass(frozen=True)
class Rendered:
    """Token ids; for each whether it is a training target; and where each picture's tokens start.

    Targets are the assistant's texts, each with the special token that ends its turn, and nothing else.
    """

    ids: list[int]
    supervised: list[bool]
    image_starts: list[int]


@dataclass(frozen=True)
class _Stretch:
    """What stands between two special tokens, encoded as one string: template text (str) and text slots (int)."""

    pieces: tuple[str | int, ...]
    supervised: bool


@dataclass(frozen=True)
class _Fixed:
    """Ids that are the same in every conversation of this form."""

    ids: tuple[int, ...]
    supervised: tuple[bool, ...]


class _Picture:
    """The place of the next picture's tokens."""


_PICTURE = _Picture()
_Step = _Stretch | _Fixed | _Picture


def render(
    messages: Sequence[Message],
    tokenizer: PreTrainedTokenizerBase,
    image_tokens: Sequence[int] = (),
    add_generation_prompt: bool = False,
    markup: bool = True,
) -> Rendered:
    """Token ids and training targets of a conversation.

    messages: [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "..."}]}, ...]; content may be a
        string. Text is composed (NFC), nothing else about it changes.
    image_tokens: for each image part, in order, how many <image> tokens stand for it.
    add_generation_prompt: end with the start of the assistant's turn.
    markup: whether the nine location markers in texts are tokens; False spells them out.
    Raises `InputError` for malformed messages and for tokenizers or templates that cannot render them.
    """
    encoder = _encoder(tokenizer)
    shape, texts = _read(messages)
    _check_counts(shape, image_tokens)
    ids: list[int] = []
    supervised: list[bool] = []
    starts: list[int] = []
    for step in encoder.form(tokenizer, shape, add_generation_prompt):
        if isinstance(step, _Fixed):
            ids.extend(step.ids)
            supervised.extend(step.supervised)
            continue
        if isinstance(step, _Stretch):
            _encode(step, texts, encoder, markup, ids)
        else:
            starts.append(len(ids))
            ids.extend([encoder.specials[IMAGE_TOKEN]] * image_tokens[len(starts) - 1])
        flag = isinstance(step, _Stretch) and step.supervised
        supervised.extend([flag] * (len(ids) - len(supervised)))
    return Rendered(ids, supervised, starts)


def render_batch(
    conversations: Sequence[Sequence[Message]],
    tokenizer: PreTrainedTokenizerBase,
    image_tokens: Sequence[Sequence[int]] | None = None,
    add_generation_prompt: bool = False,
    markup: bool = True,
) -> list[Rendered]:
    """`render` for each conversation; `image_tokens` holds one list for each, and may be left out without pictures.

    One after the other on purpose: handing the backend many texts at once was measured to be slower for short texts.
    """
    counts = [()] * len(conversations) if image_tokens is None else image_tokens
    if len(counts) != len(conversations):
        raise InputError(
            f"image_tokens has {len(counts)} entries for {len(conversations)} conversations; one is for each"
        )
    pairs = zip(conversations, counts, strict=True)
    return [render(turns, tokenizer, count, add_generation_prompt, markup) for turns, count in pairs]


def decode(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase, keep_markers: bool = True) -> str:
    """Text of ids, composed (NFC), without special tokens; the nine location markers stay unless `keep_markers` is off."""
    encoder = _encoder(tokenizer)
    hidden = encoder.hidden if keep_markers else encoder.hidden | set(encoder.markers.values())
    kept = [i for i in map(int, ids) if i not in hidden]
    text = tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return unicodedata.normalize("NFC", text)


def _read(messages: Sequence[Message]) -> tuple[Shape, list[str]]:
    """The form of a conversation and its texts in order. `InputError` names the message that is malformed."""
    if not messages:
        raise InputError("a conversation without messages was given; it needs at least one turn")
    shape: list[tuple[str, tuple[str, ...] | None]] = []
    texts: list[str] = []
    for number, message in enumerate(messages, start=1):
        try:
            role, content = message["role"], message["content"]
        except (KeyError, TypeError):
            raise InputError(f'message {number} is {message!r:.80}; it needs "role" and "content"') from None
        if role not in ROLES:
            raise InputError(f"message {number} has the unknown role {role!r}; known are {', '.join(ROLES)}")
        if isinstance(content, str):
            texts.append(unicodedata.normalize("NFC", content))
            shape.append((role, None))
        else:
            shape.append((role, tuple(_read_part(part, number, texts) for part in _parts(content, number))))
    return tuple(shape), texts


def _parts(content: Any, number: int) -> Sequence[Any]:
    if not isinstance(content, list | tuple):
        raise InputError(f"message {number} has content of type {type(content).__name__}; give text or a list of parts")
    return content


def _read_part(part: Any, number: int, texts: list[str]) -> str:
    """The part's type; its text goes to `texts`."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(text := part.get("text"), str):
        texts.append(unicodedata.normalize("NFC", text))
    elif kind != "image":
        wanted = '{"type": "image"} or {"type": "text", "text": "..."}'
        raise InputError(f"message {number} has the part {part!r:.80}; a part is {wanted}")
    return kind


def _check_counts(shape: Shape, counts: Sequence[int]) -> None:
    places = _places(shape)
    if places != len(counts):
        raise InputError(
            f"the messages have {places} image parts, image_tokens has {len(counts)} counts; one is for each"
        )
    if places and min(counts) < 1:
        raise InputError(f"image_tokens is {list(counts)}; every picture has at least 1 token")


def _places(shape: Shape) -> int:
    return sum(kinds.count("image") for _, kinds in shape if kinds)


def _encode(stretch: _Stretch, texts: Sequence[str], encoder: _Encoder, markup: bool, ids: list[int]) -> None:
    """Append the ids of a stretch: one string between two special tokens, except for markers inside its texts."""
    plain = ""
    for piece in stretch.pieces:
        text = piece if isinstance(piece, str) else texts[piece]
        if isinstance(piece, str) or "<" not in text or not (markup and encoder.markers):
            plain += text
            continue
        for place, run in enumerate(encoder.marker_pattern.split(text)):
            if place % 2:
                ids.extend(encoder.encode(plain))
                ids.append(encoder.markers[run])
                plain = ""
            else:
                plain += run
    ids.extend(encoder.encode(plain))


@dataclass
class _Encoder:
    """A tokenizer's backend with special tokens switched off, and what is known about its tokens and its template.

    specials: every token that only the template may write, with its id. markers: those of the nine that exist.
    """

    original: Tokenizer
    size: int
    backend: Tokenizer
    specials: dict[str, int]
    markers: dict[str, int]
    forms: dict[tuple, list[_Step]] = field(default_factory=dict)
    short: dict[str, Sequence[int]] = field(default_factory=dict)

    @staticmethod
    def of(tokenizer: PreTrainedTokenizerBase) -> _Encoder:
        original = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(original, Tokenizer):
            raise InputError(f"{type(tokenizer).__name__} has no fast backend; load the tokenizer with AutoTokenizer")
        backend = copy.deepcopy(original)
        backend.no_truncation()
        backend.no_padding()
        added = backend.get_added_tokens_decoder()
        own = {token.content: i for i, token in added.items() if token.content in (IMAGE_TOKEN, *MARKERS)}
        # Some tokenizers register these without the special flag; then plain text would match them.
        backend.add_special_tokens([AddedToken(content, special=True, normalized=False) for content in own])
        backend.encode_special_tokens = True
        specials = {token.content: i for i, token in added.items() if token.special} | own
        markers = {marker: own[marker] for marker in MARKERS if marker in own}
        return _Encoder(original, original.get_vocab_size(), backend, specials, markers)

    @cached_property
    def hidden(self) -> frozenset[int]:
        """Ids that a decoded text does not show."""
        return frozenset(self.specials.values()) - frozenset(self.markers.values())

    @cached_property
    def marker_pattern(self) -> re.Pattern[str]:
        return re.compile("(" + "|".join(map(re.escape, self.markers)) + ")")

    @cached_property
    def atom_pattern(self) -> re.Pattern[str]:
        """A text slot (group 1) or a special token (group 2), the longest that fits."""
        longest_first = sorted(self.specials, key=len, reverse=True)
        return re.compile(f"{_SLOT.pattern}|({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

    def encode(self, text: str) -> Sequence[int]:
        """Ids of text in which nothing is special."""
        if len(text) > _SHORT:
            return self.backend.encode(text, add_special_tokens=False).ids
        ids = self.short.get(text)
        if ids is None:
            if len(self.short) >= _MOST_PIECES:
                self.short.clear()
            ids = self.short[text] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def form(self, tokenizer: PreTrainedTokenizerBase, shape: Shape, add_generation_prompt: bool) -> list[_Step]:
        """The steps that render conversations of this form, made once."""
        template = tokenizer.chat_template
        if not template:
            raise InputError(
                "the tokenizer has no chat template; set tokenizer.chat_template = varco_vision.chat.CHAT_TEMPLATE"
            )
        key = (template if isinstance(template, str) else repr(template), shape, add_generation_prompt)
        if key not in self.forms:
            if len(self.forms) >= _MOST_FORMS:
                self.forms.clear()
            self.forms[key] = _Compiler(tokenizer, self, shape, add_generation_prompt).steps()
        return self.forms[key]


_ENCODERS: WeakKeyDictionary[PreTrainedTokenizerBase, _Encoder] = WeakKeyDictionary()


def _encoder(tokenizer: PreTrainedTokenizerBase) -> _Encoder:
    """The cached encoder of a tokenizer; a tokenizer that got more tokens since then gets a new one."""
    known = _ENCODERS.get(tokenizer)
    if known is None or known.size != known.original.get_vocab_size():
        known = _ENCODERS[tokenizer] = _Encoder.of(tokenizer)
    return known


@dataclass
class _Compiler:
    """Turns the form of a conversation into steps."""

    tokenizer: PreTrainedTokenizerBase
    encoder: _Encoder
    shape: Shape
    generation_prompt: bool

    def steps(self) -> list[_Step]:
        """Steps for the whole conversation; every text exactly once, every picture at its place."""
        full, messages = self._written()
        self._check_splitting(_SLOT.sub(_PROBE, full))
        full, regions = self._regions(full, messages)
        pictures = self._count(full)
        if pictures != _places(self.shape):
            raise InputError(
                f"the chat template writes {pictures} {IMAGE_TOKEN} for {_places(self.shape)} image parts, or the "
                f"tokenizer has no {IMAGE_TOKEN} token; this model's template does not know pictures"
            )
        return self._fixed(list(self._stretches(full, regions)))

    def _written(self) -> tuple[str, list[dict[str, Any]]]:
        """The template's output with placeholders, and the messages it was given.

        Some templates take content only as a list of parts, others only as a string: both are tried, and the one that
        keeps every text is taken.
        """
        complaint = ""
        for form in ("given", "parts", "string"):
            messages = self._skeleton(form)
            try:
                full = self._template(messages, self.generation_prompt)
            except InputError as error:
                complaint = complaint or str(error)
                continue
            found = sorted(int(match[1]) for match in _SLOT.finditer(full))
            if found == list(range(self._texts())):
                return full, messages
            complaint = "the chat template drops or repeats the text of some message"
        raise InputError(f"{complaint} (roles {', '.join(role for role, _ in self.shape)})")

    def _texts(self) -> int:
        return sum(1 if kinds is None else kinds.count("text") for _, kinds in self.shape)

    def _skeleton(self, form: str) -> list[dict[str, Any]]:
        """Messages of this shape whose texts are placeholders, with one-text contents in the wanted form."""
        numbers = iter(range(self._texts()))
        messages: list[dict[str, Any]] = []
        for role, kinds in self.shape:
            if (kinds is None and form != "parts") or (kinds == ("text",) and form == "string"):
                messages.append({"role": role, "content": _slot(next(numbers))})
                continue
            content = [
                {"type": "image"} if kind == "image" else {"type": "text", "text": _slot(next(numbers))}
                for kind in (("text",) if kinds is None else kinds)
            ]
            messages.append({"role": role, "content": content})
        return messages

    def _template(self, messages: list[dict[str, Any]], generation_prompt: bool) -> str:
        try:
            return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation_prompt)
        except (TemplateError, TypeError, AttributeError, LookupError, ValueError) as error:
            raise InputError(f"the chat template cannot render these messages: {error}") from error

    def _check_splitting(self, text: str) -> None:
        """Ours rests on stretches between special tokens being encoded on their own; not every tokenizer does that."""
        ids: list[int] = []
        for place, piece in enumerate(re.split(self.encoder.atom_pattern.pattern, text)):
            if piece and place % 3 == 2:  # every split gives text, slot number (never here), special token
                ids.append(self.encoder.specials[piece])
            elif piece:
                ids.extend(self.encoder.encode(piece))
        if ids != self.encoder.original.encode(text, add_special_tokens=False).ids:
            raise InputError(
                f"{type(self.tokenizer).__name__} does not encode text between special tokens on its own; "
                "tokenizers of the Qwen kind (byte-level BPE, no blank put in front) are supported"
            )

    def _regions(self, full: str, messages: list[dict[str, Any]]) -> tuple[str, list[tuple[int, int]]]:
        """Where the model speaks: [start, end) for every answer, from the end of its prompt through its end token.

        The text itself may change: a last answer is put right behind the generation prompt (see the module's head).
        """
        slots = {int(match[1]): match.span() for match in _SLOT.finditer(full)}
        regions = []
        number = 0  # of the first text of a message
        for place, (role, kinds) in enumerate(self.shape):
            own = range(number, number + (1 if kinds is None else kinds.count("text")))
            number = own.stop
            if role != "assistant":
                continue
            if not own:
                raise InputError(f"message {place + 1} is the assistant's and has no text part; an answer is text")
            first, last = slots[own[0]][0], slots[own[-1]][1]
            start = first
            prompt = self._prompt(messages[:place])
            if prompt is not None and full.startswith(prompt):
                start = len(prompt) if self._is_plain(full[len(prompt) : first]) else first
            elif prompt is not None and place == len(self.shape) - 1 and not self.generation_prompt:
                self._check_history(prompt, full, end=max((slots[n][1] for n in range(own.start)), default=0))
                full = prompt + full[first:]
                start, last = len(prompt), last + len(prompt) - first
            regions.append((start, self._end_token(full, last, place)))
        return full, regions

    def _prompt(self, messages: list[dict[str, Any]]) -> str | None:
        """What would be served to get the next answer; None where the template has no such prompt (no user's turn)."""
        if not any(message["role"] == "user" for message in messages):
            return None
        return self._template(messages, generation_prompt=True)

    def _is_plain(self, text: str) -> bool:
        """False where a turn begins in `text`: a template without a generation prompt leaves that to the answer."""
        return not any(match[2] for match in self.encoder.atom_pattern.finditer(text))

    @staticmethod
    def _check_history(prompt: str, full: str, end: int) -> None:
        if len(os.path.commonprefix([prompt, full])) < end:
            raise InputError(
                "the chat template writes the turns before an answer differently once the answer is there, "
                "so such a conversation cannot be trained on as it is served"
            )

    def _end_token(self, full: str, place: int, message: int) -> int:
        """The end of the first special token behind an answer."""
        for match in self.encoder.atom_pattern.finditer(full, place):
            if match[2]:
                return match.end()
        raise InputError(
            f"the chat template puts no special token behind the assistant's message {message + 1}, "
            "so a model could not learn where to stop; use a template that ends turns, such as ChatML"
        )

    def _count(self, full: str) -> int:
        return sum(match[2] == IMAGE_TOKEN for match in self.encoder.atom_pattern.finditer(full))

    def _atoms(self, full: str, cuts: Sequence[int]) -> Iterator[tuple[int, str | int, bool]]:
        """(place, content, special) of everything in order: slots as int, text cut at `cuts`, special tokens."""
        at = 0
        for match in [*self.encoder.atom_pattern.finditer(full), None]:
            end = match.start() if match else len(full)
            inside = [cut for cut in cuts if at < cut < end]
            for start, stop in zip([at, *inside], [*inside, end], strict=True):
                if start < stop:
                    yield start, full[start:stop], False
            if match:
                yield match.start(), int(match[1]) if match[1] else match[2], bool(match[2])
                at = match.end()

    def _stretches(self, full: str, regions: Sequence[tuple[int, int]]) -> Iterator[_Step]:
        starts = {start for start, _ in regions}
        pieces: list[str | int] = []
        speaking = False
        for place, content, special in self._atoms(full, sorted(starts)):
            if pieces and (special or place in starts):
                yield _Stretch(tuple(pieces), speaking)
                pieces = []
            speaking = any(start <= place < end for start, end in regions)
            if not special:
                pieces.append(content)
            elif content == IMAGE_TOKEN:
                yield _PICTURE
            else:
                yield _Fixed((self.encoder.specials[str(content)],), (speaking,))
        if pieces:
            yield _Stretch(tuple(pieces), speaking)

    def _fixed(self, steps: Sequence[_Step]) -> list[_Step]:
        """Encode what holds no text slot, and join neighbours."""
        joined: list[_Step] = []
        for step in steps:
            if isinstance(step, _Stretch) and all(isinstance(piece, str) for piece in step.pieces):
                ids = tuple(self.encoder.encode("".join(map(str, step.pieces))))
                step = _Fixed(ids, (step.supervised,) * len(ids))
            if isinstance(step, _Fixed) and joined and isinstance(before := joined[-1], _Fixed):
                joined[-1] = _Fixed(before.ids + step.ids, before.supervised + step.supervised)
            else:
                joined.append(step)
        return joined


def _slot(number: int) -> str:
    return f"\ue000{number}\ue001"
