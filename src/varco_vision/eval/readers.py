"""Gold and told answers of other people's evaluation files, in two shapes: pages of text regions, and boxes of phrases.

Text: ICDAR 2013 and 2015 (folders or zips of text files), PopEval's own format, CORD, FUNSD, samples of this project and
the JSON that `varco-vision ocr --json` prints. Phrases: RefCOCO/+/g in the layouts it is passed around in, gRefCOCO,
Flickr30k Entities, samples of this project. Nothing is guessed: what does not fit the declared form is an `InputError`
with file and line. Regions without text stay in a page: metrics of places count them.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from varco_vision import markup
from varco_vision.errors import InputError
from varco_vision.geometry import Box

IGNORED = "###"  # the transcription that ICDAR gives to what need not be read
TEXT_FORMS = ("icdar2013", "icdar2015", "popeval", "cord", "funsd", "own")
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """Characters and the polygon x1, y1, x2, y2, ... (pixels) around them; `ignored`: need not be read (don't-care)."""

    text: str
    polygon: tuple[float, ...]
    ignored: bool = False

    @staticmethod
    def rectangle(text: str, corners: Sequence[float], ignored: bool = False) -> Region:
        """The region of x1, y1, x2, y2 as a quadrilateral, clockwise from the top left."""
        x1, y1, x2, y2 = corners
        return Region(text, (x1, y1, x2, y1, x2, y2, x1, y2), ignored)

    @property
    def corners(self) -> Corners:
        """The enclosing x1, y1, x2, y2."""
        return min(self.polygon[::2]), min(self.polygon[1::2]), max(self.polygon[::2]), max(self.polygon[1::2])


@dataclass(frozen=True)
class TextPage:
    """The regions of one picture in the order of the file, which metrics take as the order of reading."""

    id: str
    regions: tuple[Region, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Target:
    """Phrases that mean the same thing, and its boxes (several for "all", none for what is not there).

    `kind`: type of a phrase where a set has types (people, clothing, ...). `content`: the picture's file, where rows hold it.
    """

    id: str
    phrases: tuple[str, ...]
    boxes: tuple[Box, ...]
    size: tuple[int, int] | None = None
    split: str = ""
    kind: tuple[str, ...] = ()
    image: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)


# --- text ----------------------------------------------------------------------------------------------------------


def read_pages(path: str | Path, form: str) -> dict[str, TextPage]:
    """Pages by id, for a form of `TEXT_FORMS`. Ids are file names without gt_ or res_ and without the suffix."""
    path = Path(path)
    if form not in TEXT_FORMS:
        raise InputError(f"the form {form!r} of {path} is unknown; use {', '.join(TEXT_FORMS)}")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder, a zip or a file of the form {form}")
    pages: dict[str, TextPage] = {}
    for page in _PAGES[form](path):
        if page.id in pages:
            raise InputError(f"{path} holds the page {page.id!r} twice; ids must differ")
        pages[page.id] = page
    if not pages:
        raise InputError(f"{path} holds no page of the form {form}")
    return pages


def _text_files(path: Path) -> Iterator[tuple[str, str]]:
    """(id, text) of every .txt file of a folder or zip, in order of names."""
    if path.is_dir():
        files = [(file.name, file.read_bytes()) for file in sorted(path.glob("*.txt"))]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in sorted(archive.namelist()) if n.endswith(".txt") and not n.startswith("__MACOSX")]
            files = [(Path(name).name, archive.read(name)) for name in names]
    else:
        raise InputError(f"{path} is neither a folder nor a zip of text files")
    for name, content in files:
        try:
            yield re.sub(r"^(?:gt_|res_)", "", name.removesuffix(".txt")), content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: {name} is not UTF-8 at byte {error.start}; convert it first") from error


def _numbers(parts: Sequence[str], wanted: int, where: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in parts[:wanted])
    except ValueError:
        found = ()
    if len(found) != wanted:
        raise InputError(f"{where} does not begin with {wanted} numbers: {', '.join(parts[:wanted])!r}")
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that hold something. Only line feeds part them: other separators of Unicode may be text."""
    lines = ((number, line.replace("\r", "")) for number, line in enumerate(text.split("\n"), start=1))
    return ((number, line) for number, line in lines if line.strip())


def _transcription(text: str) -> str:
    """Without the quotes around it, where it has them, as the scripts of the Robust Reading Competition read it."""
    quoted = re.fullmatch(r'\s*"(.*)"\s*', text)
    return quoted[1].replace("\\\\", "\\").replace('\\"', '"') if quoted else text


def _icdar2013(path: Path) -> Iterator[TextPage]:
    """`x1, y1, x2, y2, "text"` or, as in the training part, `x1 y1 x2 y2 "text"`; quotes are optional."""
    for id_, text in _text_files(path):
        regions = []
        for number, line in _lines(text):
            cut = line.split(",", 4) if re.match(r"\s*-?\d+\s*,", line) else line.strip().split(" ", 4)
            corners = _numbers(cut, 4, f"{path}: line {number} of {id_}")
            word = _transcription(cut[4]) if len(cut) > 4 else ""
            regions.append(Region.rectangle(word, corners, word == IGNORED))
        yield TextPage(id_, tuple(regions))


def _icdar2015(path: Path) -> Iterator[TextPage]:
    """`x1,y1,x2,y2,x3,y3,x4,y4,text`; the text may hold commas."""
    for id_, text in _text_files(path):
        regions = []
        for number, line in _lines(text):
            cut = line.split(",", 8)
            polygon = _numbers(cut, 8, f"{path}: line {number} of {id_}")
            word = _transcription(cut[8]) if len(cut) > 8 else ""
            regions.append(Region(word, polygon, word == IGNORED))
        yield TextPage(id_, tuple(regions))


def _popeval(path: Path) -> Iterator[TextPage]:
    """`x1 y1 ... x4 y4##::text`; the published gold files have a blank in place of ##::, which is read too."""
    for id_, text in _text_files(path):
        regions = []
        for number, line in _lines(text):
            place, mark, word = line.partition("##::")
            if not mark:
                *cut, word = line.split(" ", 8)
                place = " ".join(cut)
            polygon = _numbers(place.split(), 8, f"{path}: line {number} of {id_}")
            regions.append(Region(word, polygon, word == IGNORED))
        yield TextPage(id_, tuple(regions))


def rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, row) of a .jsonl, .json (a list, or one object) or .parquet file, or of every .json file of a folder."""
    path = Path(path)
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield from ((file.stem, row) for _, row in rows(file))
        return
    try:
        if path.suffix == ".parquet":
            found = _parquet(path)
        else:
            text = path.read_text(encoding="utf-8-sig")
            lines = (line for line in text.splitlines() if line.strip())
            found = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON or not UTF-8: {error}") from error
    for number, row in enumerate(found if isinstance(found, list) else [found]):
        if not isinstance(row, dict):
            raise InputError(f"row {number + 1} of {path} is a {type(row).__name__}; it must be an object")
        yield f"{path.stem}-{number}" if isinstance(found, list) else path.stem, row


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"{path}: parquet needs pyarrow; pip install 'varco-vision-open[eval]'") from error
    return parquet.ParquetFile(path).read().to_pylist()


def _cord(path: Path) -> Iterator[TextPage]:
    """CORD: `valid_line` holds words with a quad; `dontcare` and `repeating_symbol` (cut lines) need not be read.

    Rows of the published parquet keep the annotation as JSON text in `ground_truth`.
    """
    for name, row in rows(path):
        data = json.loads(row["ground_truth"]) if isinstance(row.get("ground_truth"), str) else row
        try:
            words = [word for line in data["valid_line"] for word in line["words"]]
            regions = [Region(word["text"], _quad(word["quad"])) for word in words]
            unread = [quad for group in data.get("dontcare") or () for quad in group]
            unread += [part["quad"] for group in data.get("repeating_symbol") or () for part in group]
            regions += [Region(IGNORED, _quad(quad), ignored=True) for quad in unread]
        except (KeyError, TypeError) as error:
            raise InputError(f"{path}: {name} is not a CORD annotation: {error!r} in valid_line or dontcare") from error
        size = (data.get("meta") or {}).get("image_size")
        yield TextPage(name, tuple(regions), (size["width"], size["height"]) if size else None)


def _quad(quad: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(float(quad[f"{axis}{corner}"]) for corner in range(1, 5) for axis in "xy")


def _funsd(path: Path) -> Iterator[TextPage]:
    """FUNSD: `form` holds blocks, each with words and their box (x1, y1, x2, y2 in pixels)."""
    for name, row in rows(path):
        try:
            words = [word for block in row["form"] for word in block["words"]]
            yield TextPage(name, tuple(Region.rectangle(word["text"], word["box"]) for word in words))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: {name} is not a FUNSD annotation: {error!r} in form") from error


def _own(path: Path) -> Iterator[TextPage]:
    """Samples whose gold has words, or pages as `varco-vision ocr --json` prints them."""
    for name, row in rows(path):
        yield _sample_page(row, path) if "messages" in row else _printed_page(row, name, path)


def _sample_page(row: Mapping[str, Any], path: Path) -> TextPage:
    from varco_vision import pictures
    from varco_vision.data.sample import Sample
    from varco_vision.eval.own import gold_of

    sample = Sample.from_dict(row)
    if len(sample.images) != 1:
        raise InputError(f"{path}: sample {sample.id!r} has {len(sample.images)} pictures; a page is one")
    size = pictures.load(path.parent / str(sample.images[0])).size
    words = gold_of(sample).words
    return TextPage(sample.id, tuple(Region.rectangle(text, box.to_pixels(*size)) for text, box in words), size)


def _printed_page(row: Mapping[str, Any], name: str, path: Path) -> TextPage:
    try:
        size = (int(row["width"]), int(row["height"]))
        words = row["words"] if "words" in row else chars(row["answer"])
        boxes = [Box(*word["box"]).to_pixels(*size) for word in words]
        regions = [Region.rectangle(word["text"], box) for word, box in zip(words, boxes, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {name} is no page ({error!r}); it needs width, height and words with text and box, or answer"
        ) from error
    id_ = row.get("id") or Path(str(row.get("image") or name)).stem
    return TextPage(str(id_), tuple(regions), size)


def chars(answer: str) -> list[dict[str, Any]]:
    """The words of an answer in <char> markup that have a box: {"text", "box"}."""
    found = (item for item in markup.parse(answer) if isinstance(item, markup.Chars))
    return [{"text": i.text, "box": [b.x1, b.y1, b.x2, b.y2]} for i in found for b in i.boxes[:1]]


_PAGES = {
    "icdar2013": _icdar2013,
    "icdar2015": _icdar2015,
    "popeval": _popeval,
    "cord": _cord,
    "funsd": _funsd,
    "own": _own,
}


# --- phrases -------------------------------------------------------------------------------------------------------


def pixel_box(numbers: Sequence[float], size: tuple[int, int], order: str, where: str) -> Box:
    """A gold box in pixels, "xyxy" or "xywh", cut at the edges of the picture."""
    if len(numbers) != 4:
        raise InputError(f"{where} has the box {list(numbers)!r}; four numbers are needed")
    x1, y1, x2, y2 = map(float, numbers)
    if order == "xywh":
        x2, y2 = x1 + x2, y1 + y2
    try:
        return Box.from_pixels(x1, y1, x2, y2, *size, clip=True)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def read_refcoco(path: str | Path, apart: bool = True) -> list[Target]:
    """RefCOCO/+/g rows (.jsonl, .json, .parquet), one target for every expression; not `apart`, one for every row.

    Two layouts: `answer` (a text or several) with `bbox` as x, y, width, height, as on the hub; `sent` with `bbox` as
    x1, y1, x2, y2, `width`, `height`, as in the lists of several model projects. Both in pixels.
    """
    targets = []
    for number, (_, row) in enumerate(rows(path), start=1):
        where = f"row {number} of {path}"
        if "bbox" not in row or ("answer" not in row and "sent" not in row):
            raise InputError(f"{where} has the fields {sorted(row)}; 'bbox' and either 'answer' or 'sent' are needed")
        size = _size_of(row, where)
        said = row["sent"] if "sent" in row else row["answer"]
        box = pixel_box(row["bbox"], size, "xyxy" if "sent" in row else "xywh", where)
        id_ = str(row.get("question_id", row.get("id", number - 1)))
        many = [said] if isinstance(said, str) else list(said)
        inside = row["image"].get("bytes") if isinstance(row.get("image"), Mapping) else None
        image = row["image"] if isinstance(row.get("image"), str) else ""
        rest = {"split": str(row.get("split", Path(path).stem)), "image": image, "content": inside or b""}
        if not apart:
            targets.append(Target(id_, tuple(many), (box,), size, **rest))
            continue
        for place, phrase in enumerate(many):
            name = id_ if len(many) == 1 else f"{id_}/{place}"
            targets.append(Target(name, (phrase,), (box,), size, **rest))
    return targets


def _size_of(row: Mapping[str, Any], where: str) -> tuple[int, int]:
    for wide, high in (("width", "height"), ("image_width", "image_height")):
        if row.get(wide) and row.get(high):
            return int(row[wide]), int(row[high])
    image = row.get("image")
    content = image.get("bytes") if isinstance(image, Mapping) else None
    if not content:
        raise InputError(f"{where} has neither width and height nor a picture inside; boxes in pixels need its size")
    from PIL import Image

    return Image.open(io.BytesIO(content)).size


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, dicts, texts and numbers; anything that would call code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise InputError(f"a file of references holds {module}.{name}; only plain lists, texts and numbers are read")


def read_refer(refs: str | Path, instances: str | Path, split: str) -> list[Target]:
    """The distributed files of RefCOCO/+/g and gRefCOCO: refs(...).p or .json, and instances.json.

    gRefCOCO's `ann_id` lists several boxes or is [-1] for an expression that means nothing in the picture.
    """
    refs, instances = Path(refs), Path(instances)
    known = json.loads(instances.read_text(encoding="utf-8"))
    sizes = {i["id"]: (i["width"], i["height"], i.get("file_name", "")) for i in known["images"]}
    boxes = {a["id"]: a["bbox"] for a in known["annotations"]}
    if refs.suffix == ".json":
        entries = json.loads(refs.read_text(encoding="utf-8"))
    else:
        with refs.open("rb") as file:
            entries = _PlainUnpickler(file, encoding="latin1").load()
    targets = []
    for ref in entries:
        if ref["split"] != split:
            continue
        where = f"reference {ref['ref_id']} of {refs}"
        wanted = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        if missing := [a for a in wanted if a != -1 and a not in boxes]:
            raise InputError(f"{where} names the annotation {missing[0]}, which {instances} lacks")
        width, height, image = sizes[ref["image_id"]]
        found = tuple(pixel_box(boxes[a], (width, height), "xywh", where) for a in wanted if a != -1)
        for sentence in ref["sentences"]:
            id_ = f"{ref['ref_id']}/{sentence['sent_id']}"
            targets.append(Target(id_, (sentence["sent"],), found, (width, height), split, image=image))
    if not targets:
        raise InputError(
            f"{refs} has no expression of the split {split!r}; it has {sorted({r['split'] for r in entries})}"
        )
    return targets


_ENTITY = re.compile(r"\[/EN#(?P<chain>\d+)(?P<types>(?:/\w+)+) (?P<phrase>[^\]]*)\]")


def read_flickr(folder: str | Path, ids: Iterable[str] | None = None) -> list[Target]:
    """Flickr30k Entities: Sentences/ID.txt and Annotations/ID.xml, one target for every phrase that has boxes.

    Phrases without boxes are left out, as in published evaluations, and counted in `counts["without_box"]` of the first
    target of their sentence. Corners count from 1 in the files and from 0 here.
    """
    folder = Path(folder)
    names = list(ids) if ids is not None else [file.stem for file in sorted((folder / "Sentences").glob("*.txt"))]
    targets: list[Target] = []
    for name in names:
        boxes, size = _flickr_boxes(folder / "Annotations" / f"{name}.xml")
        lines = (folder / "Sentences" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(line for line in lines if line.strip()):
            found = list(_ENTITY.finditer(line))
            left_out = sum(m["chain"] not in boxes for m in found)
            for place, m in enumerate(m for m in found if m["chain"] in boxes):
                kinds = tuple(m["types"].strip("/").split("/"))
                counts = {"without_box": left_out} if place == 0 else {}
                id_ = f"{name}/{number}/{place}"
                box = tuple(boxes[m["chain"]])
                targets.append(Target(id_, (m["phrase"],), box, size, kind=kinds, image=f"{name}.jpg", counts=counts))
    if not targets:
        raise InputError(f"{folder} holds no phrase with a box; it needs the folders Sentences and Annotations")
    return targets


def _flickr_boxes(path: Path) -> tuple[dict[str, list[Box]], tuple[int, int]]:
    try:
        root = ET.parse(path).getroot()
        size = int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))
    except (OSError, ET.ParseError, ValueError) as error:
        raise InputError(f"{path} is no annotation of Flickr30k Entities: {error}") from error
    boxes: dict[str, list[Box]] = {}
    for thing in root.iter("object"):
        corners = [thing.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
        if None not in corners:
            box = pixel_box([float(edge) - 1 for edge in corners if edge], size, "xyxy", str(path))
            for name in thing.findall("name"):
                boxes.setdefault(name.text or "", []).append(box)
    return boxes, size


def read_samples(path: str | Path) -> list[Target]:
    """Targets of this project's own samples: those of the task "grounding"."""
    from varco_vision.data import jsonl
    from varco_vision.data.sample import text_of
    from varco_vision.eval.own import gold_of, prompt_of

    targets = []
    for sample in jsonl.read(path):
        if sample.task == "grounding":
            boxes = tuple(box for _, box in gold_of(sample).objects)
            asked = text_of(prompt_of(sample)[-1])
            kind = (str(sample.meta["kind"]),) if "kind" in sample.meta else ()
            targets.append(Target(sample.id, (asked,), boxes, None, sample.lang, kind))
    if not targets:
        raise InputError(f"{path} holds no sample of the task 'grounding'")
    return targets
