"""The five sets: which questions they take, in which shares, and what is filtered out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from varco_vision.bench import blind
from varco_vision.bench.abilities import DTC, DTC_CATEGORY, groups
from varco_vision.bench.bank import Bank
from varco_vision.bench.draft import Draft, Picture
from varco_vision.bench.encode import encode
from varco_vision.bench.items import Choice, Open, balance, check, make_choice, need, plain
from varco_vision.errors import InputError
from varco_vision.synth.rng import stream

if TYPE_CHECKING:
    from varco_vision.infer.api import VarcoVision

TASKS = ("k_mmbench", "k_seed", "k_mmstar", "k_dtcbench", "k_llava_w")
FIRST = {
    task: k * 1_000_000 for k, task in enumerate(TASKS)
}  # index of a set's first picture: no picture is in two sets
PER_PICTURE = 2  # questions on one picture at most
SURPLUS = 1.5  # candidates for each question of a set that is filtered
PATIENCE = 60  # pictures looked through for one question
ROUNDS = 6  # times that a filtered set is filled up
DIGITAL_ONLY = ("doc_kind",)  # handwritten pages are all of one kind
LOOKS = ("digital", "handwritten")


@dataclass
class Made:
    """A set before it is written. counters: what was left out and why."""

    task: str
    choices: list[Choice] = field(default_factory=list)
    opens: list[Open] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def items(self) -> Sequence[Choice | Open]:
        return self.choices or self.opens


def source_of(kind: str) -> str:
    """The source whose pictures have questions of this kind."""
    prefixes = {
        "thing": "things",
        "background": "things",
        "word": "words",
        "doc": "documents",
        "table": "tables",
        "chart": "charts",
    }
    return prefixes.get(kind.split("_", maxsplit=1)[0], "scenes")


class Shelf:
    """Pictures of a bank, taken in order, each for `PER_PICTURE` questions at most."""

    def __init__(self, bank: Bank, task: str) -> None:
        self.bank, self.task = bank, task
        self.rng = stream("bench set", task, bank.seed)
        self._open: dict[tuple[str, str], list[tuple[Picture, set[int]]]] = {}
        self._next: Counter[tuple[str, str]] = Counter()
        self._bytes: dict[tuple[str, str, int], bytes] = {}

    def draw(self, kind: str, look: str) -> tuple[Picture, Draft] | None:
        """The next unused draft of a kind that has three wrong options; None when many pictures had none."""
        source = source_of(kind)
        shelf = self._open.setdefault((source, look), [])
        for attempt in range(PATIENCE + len(shelf)):
            if attempt == len(shelf):
                index = FIRST[self.task] + self._next[source, look]
                self._next[source, look] += 1
                shelf.append((self.bank.picture(source, index, look), set()))
            picture, used = shelf[attempt]
            if len(used) >= PER_PICTURE or any(picture.drafts[k].kind == kind for k in used):
                continue
            for k, draft in enumerate(picture.drafts):
                if draft.kind == kind and k not in used and _enough(draft):
                    used.add(k)
                    return picture, draft
        return None

    def bytes_of(self, picture: Picture) -> bytes:
        """The file of a picture, made once."""
        key = (picture.source, picture.look, picture.index)
        if key not in self._bytes:
            self._bytes[key] = encode(picture.image)
        return self._bytes[key]

    def choice(self, picture: Picture, draft: Draft, name: str, category: str, subcategory: str) -> Choice:
        made = make_choice(
            self.rng, draft.right, draft.wrong, name=name, picture=self.bytes_of(picture), question=draft.question,
            category=category, subcategory=subcategory, kind=draft.kind, source=f"{picture.source} ({picture.look})",
        )  # fmt: skip
        assert made is not None
        return made


def _enough(draft: Draft) -> bool:
    return len({plain(text) for text in draft.wrong} - {plain(draft.right)}) >= 3


def shares(count: int, parts: int) -> list[int]:
    """`count` in `parts` whole numbers that differ by one at most."""
    return [count // parts + (k < count % parts) for k in range(parts)]


def build(task: str, bank: Bank, count: int, model: VarcoVision | None = None) -> Made:
    """The set of a task with `count` questions. model: for the sets that are filtered, also asks it without pictures."""
    if task not in TASKS:
        raise InputError(f"{task!r} is no set that can be built; there are {', '.join(TASKS)}")
    if count < 1:
        raise InputError(f"{count} questions asked for; give at least 1")
    made = Made(task)
    if task == "k_llava_w":
        _open_set(made, bank, count)
    elif task == "k_dtcbench":
        _dtc(made, bank, count)
    else:
        _by_class(made, bank, count, task.removeprefix("k_"), model)
    for item in made.choices:
        check(item)
    for mixed in (made.choices, made.opens):  # so that the first questions (--limit) are of all classes
        stream("bench order", task, bank.seed).shuffle(mixed)
    return made


# --- documents, tables, charts ---------------------------------------------------------------------------------------


def _dtc(made: Made, bank: Bank, count: int) -> None:
    shelf = Shelf(bank, made.task)
    sources = [source for source in DTC if source not in bank.without]
    if not sources:
        raise InputError("k_dtcbench needs one of the sources documents, tables and charts")
    cells = [(source, look) for source in sources for look in LOOKS]
    for (source, look), share in zip(cells, shares(count, len(cells)), strict=True):
        barren: set[str] = set()
        n = 0
        while n < share:
            kinds = [kind for kind in DTC[source] if kind not in barren]
            if not kinds:
                raise InputError(f"no more questions on {source} ({look}) could be made; ask for fewer with --count")
            turns = [kinds[0], *kinds]  # the plainest kind twice as often as each of the others
            kind = turns[n % len(turns)]
            if (found := shelf.draw(kind, look)) is None:
                barren.add(kind)
                continue
            name = f"{DTC_CATEGORY[source]}_{look}_{n:03d}"
            made.choices.append(shelf.choice(*found, name, DTC_CATEGORY[source], kind))
            n += 1
    made.choices = balance(made.choices, shelf.rng)


# --- sets of classes -------------------------------------------------------------------------------------------------


def _by_class(made: Made, bank: Bank, count: int, of: str, model: VarcoVision | None) -> None:
    """Questions in even shares over the classes of a set; SEED- and MMStar-type sets lose what needs no picture."""
    shelf = Shelf(bank, made.task)
    classes = {
        name: kinds for name, all_kinds in groups(of).items() if (kinds := [k for k in all_kinds if source_of(k) not in bank.without])
    }  # fmt: skip
    for name in sorted(set(groups(of)) - set(classes)):
        made.notes.append(f"no questions of {' / '.join(name)}: their pictures were left out")
    if not classes:
        raise InputError(f"{made.task} has no question on the pictures that are left; leave fewer sources out")
    wanted = dict(zip(classes, shares(count, len(classes)), strict=True))
    filtered = of != "mmbench"
    pool: dict[tuple[str, ...], list[Choice]] = {name: [] for name in classes}
    seen: dict[str, bool] = {}  # what the text-only run said
    for _ in range(ROUNDS):
        short = [name for name in classes if len(pool[name]) < wanted[name]]
        if not short:
            break
        for name in short:
            lacking = wanted[name] - len(pool[name])
            most = round(lacking * SURPLUS) + 2 if filtered else lacking
            found = _candidates(shelf, name, classes[name], most, made.counters["candidates"])
            made.counters["candidates"] += len(found)
            pool[name] += found
        if filtered:
            _filter(made, pool, model, seen)
    if not filtered:
        del made.counters["candidates"]
    for name, found in pool.items():
        need(found, wanted[name], f"{made.task}, {' / '.join(name)}")
        if filtered:
            made.counters["candidates that were good but not needed"] += len(found) - wanted[name]
        made.choices += found[: wanted[name]]
    made.choices = balance(made.choices, shelf.rng)
    if filtered and model is None:
        made.notes.append("no text-only run of a model was made (give one with --blind-model)")
    if filtered:
        made.notes.append(f"baseline of priors on the set: {prior_line(made.choices)}")


def prior_line(items: Sequence[Choice]) -> str:
    """Accuracy of the baseline of priors, in words."""
    return f"{100 * blind.prior_accuracy(items):.0f} % right of {len(items)} (chance 25 %)"


def _candidates(shelf: Shelf, name: tuple[str, ...], kinds: Sequence[str], count: int, first: int) -> list[Choice]:
    """Up to `count` questions of a class, kinds in turn; kinds that give no more are passed over. Pages in both looks.

    first: number of the first one; numbers tell the questions of a set apart.
    """
    found: list[Choice] = []
    left = list(kinds)
    turn = 0
    while left and len(found) < count:
        kind = left[turn % len(left)]
        look = LOOKS[turn // len(left) % 2] if source_of(kind) in DTC and kind not in DIGITAL_ONLY else "digital"
        drawn = shelf.draw(kind, look)
        if drawn is None:
            left.remove(kind)
            continue
        category, subcategory = (name[-1], name[0]) if len(name) == 2 else (name[0], "")
        label = f"{kind}_{first + len(found):03d}"
        found.append(shelf.choice(*drawn, label, category, subcategory))
        turn += 1
    return found


def _filter(
    made: Made, pool: dict[tuple[str, ...], list[Choice]], model: VarcoVision | None, seen: dict[str, bool]
) -> None:
    """Take out what can be answered without the picture; `pool` is changed. seen: by name, what the model has answered."""
    flat = [(name, item) for name, found in pool.items() for item in found]
    answered = blind.by_priors([item for _, item in flat])
    made.counters["answered by the baseline of priors, left out"] += sum(answered)
    kept = [pair for pair, gone in zip(flat, answered, strict=True) if not gone]
    if model is not None:
        new = [item for _, item in kept if item.name not in seen]
        seen.update(zip((item.name for item in new), blind.by_model(new, model), strict=True))
        made.counters["answered by the text-only run in all four rotations, left out"] += sum(
            seen[item.name] for _, item in kept
        )
        kept = [(name, item) for name, item in kept if not seen[item.name]]
    for name in pool:
        pool[name] = [item for of, item in kept if of == name]


# --- open questions --------------------------------------------------------------------------------------------------

DETAIL = {
    "scenes": "이 그림을 자세히 설명해 주세요.", "things": "이 그림에 무엇이 있는지 자세히 설명해 주세요.", "documents": "이 문서에 어떤 내용이 적혀 있는지 자세히 설명해 주세요.",
    "tables": "이 표의 내용을 자세히 설명해 주세요.", "charts": "이 그래프의 내용을 자세히 설명해 주세요.",
}  # fmt: skip
REASON = " 그렇게 답한 까닭도 함께 설명해 주세요."
CONV = {
    "scenes": ("colour", "quadrant", "shape", "count_all"), "things": ("thing_count", "thing_quadrant", "background"), "documents": ("doc_field", "doc_item"),
    "tables": ("table_cell", "table_topic"), "charts": ("chart_value", "chart_topic", "chart_kind"),
}  # fmt: skip
COMPLEX = {
    "scenes": ("second_place", "count_two", "relation", "corners"), "things": ("thing_relation", "thing_outermost"), "documents": ("doc_most", "doc_count"),
    "tables": ("table_sum", "table_second", "table_count_if", "table_difference"), "charts": ("chart_second", "chart_difference", "chart_sum"),
}  # fmt: skip


def _open_set(made: Made, bank: Bank, count: int) -> None:
    """Conversation, detailed description and reasoning in equal shares, over all kinds of pictures."""
    shelf = Shelf(bank, made.task)
    sources = [source for source in DETAIL if source not in bank.without]
    if not sources:
        raise InputError(f"k_llava_w needs one of the sources {', '.join(DETAIL)}")
    for category, share in zip(("conv", "detail", "complex"), shares(count, 3), strict=True):
        for n in range(share):
            source = sources[n % len(sources)]
            look = LOOKS[n // len(sources) % 2] if source in DTC else "digital"
            turn = n // len(sources)
            if category == "detail":
                picture = bank.picture(source, FIRST[made.task] + 500_000 + turn, look)
                made.opens.append(_detail(shelf, picture, f"detail_{n:03d}"))
                continue
            kinds = (CONV if category == "conv" else COMPLEX)[source]
            order = [kinds[(turn + k) % len(kinds)] for k in range(len(kinds))]
            found = next((drawn for kind in order if (drawn := shelf.draw(kind, look)) is not None), None)
            if found is None and source in DTC:
                found = next((drawn for kind in order if (drawn := shelf.draw(kind, "digital")) is not None), None)
            if found is None:
                raise InputError(f"no more open questions on {source} could be made; ask for fewer with --count")
            made.opens.append(_answered(shelf, *found, category, f"{category}_{n:03d}"))


def _detail(shelf: Shelf, picture: Picture, name: str) -> Open:
    points = tuple(fact.rstrip(".") for fact in picture.facts)
    return Open(
        name, shelf.bytes_of(picture), DETAIL[picture.source], picture.caption, picture.caption, "detail", points, f"{picture.source} ({picture.look})"
    )  # fmt: skip


def _answered(shelf: Shelf, picture: Picture, draft: Draft, category: str, name: str) -> Open:
    reference, question = draft.sentence, draft.question
    points: tuple[str, ...] = (draft.sentence.rstrip("."),)
    if category == "complex":
        question += REASON
        shown = "; ".join(fact.rstrip(".") for fact in picture.facts)
        reference += f" 그림에 나타난 내용은 다음과 같습니다. {shown}."
        points += ("그림에 나타난 근거를 바르게 든다",)
    return Open(
        name, shelf.bytes_of(picture), question, reference, picture.caption, category, points, f"{picture.source} ({picture.look})"
    )  # fmt: skip
