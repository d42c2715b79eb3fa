"""What a model still knows without pictures: the same questions before training and after every stage.

Three views, each against the first model (the backbones before stage 1): right answers, paired question by question;
the divergence of next-token distributions on a fixed text, in nats a token; how replies behave (language, loops). The
harness of others adds a fourth: `paired_samples` reads the sample logs of lm-evaluation-harness, which `lm_eval_adapter`
lets run our models as text models.

Letters: B rows of a batch, T tokens of a text, C vocabulary size.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from varco_vision import chat
from varco_vision.data.sample import LANGUAGES, Sample
from varco_vision.errors import InputError
from varco_vision.eval import behaviour, metrics, own
from varco_vision.eval.statistics import Kept, bootstrap_ratio, compare

if TYPE_CHECKING:
    from varco_vision.model.checkpoint import Loaded

BASE = "backbones"  # the folder of the composed model before stage 1


@dataclass(frozen=True)
class Text:
    """Token ids of a text, and which tokens count (those that are predicted, never the first)."""

    ids: tuple[int, ...]
    counted: tuple[bool, ...]


@dataclass(frozen=True)
class Divergence:
    """KL(before || after) per counted token in nats, with a 95 % interval over texts; `same_top`: share of tokens at which
    both would say the same next; perplexities of the text under each."""

    kl: float
    low: float
    high: float
    same_top: float
    perplexity_before: float
    perplexity_after: float
    tokens: int
    texts: int


# --- models and questions ------------------------------------------------------------------------------------------


def stage_models(out: str | Path) -> dict[str, Path]:
    """Models of a training folder in the order of its recipe: {"backbones": ..., stage: ...}, those that exist."""
    import yaml

    out = Path(out)
    try:
        recipe = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
        names = [BASE, *(stage["name"] for stage in recipe["stages"])]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{out} is no folder of a training: its recipe.yaml cannot be read ({error!r})") from error
    found = {name: out / name / "model" for name in names if (out / name / "model" / "config.json").exists()}
    if len(found) < 2:
        raise InputError(f"{out} holds the models {list(found)}; at least two are needed to say what was kept")
    return found


def taught_facts(record: Mapping[str, Any]) -> int | None:
    """How many facts of the text world a training record's recipe taught (None: all, or not a recipe of ours)."""
    stages = record.get("recipe", {}).get("stages", ())
    sources = [s for stage in stages for s in stage["mixture"].values() if s["source"] == "synth:text"]
    limits = [s["options"].get("facts") for s in sources]
    return None if None in limits else max(limits, default=None)


def text_questions(count: int | None = None, facts: int | None = None) -> list[Sample]:
    """Questions of the project's own text world that training never saw in this wording, `count` in each language.

    facts: only about the first so many facts, as a recipe with the option of that name teaches them.
    """
    from varco_vision.synth.text_world import as_sample, pairs

    return [
        as_sample(fact, wording, lang, f"{fact.id}/{wording}/{lang}")
        for lang in LANGUAGES
        for fact, wording in pairs("eval", lang, facts)[:count]
    ]


def texts_from_samples(samples: Sequence[Sample], tokenizer: Any) -> list[Text]:
    """Conversations without pictures; the assistant's tokens count."""
    texts = []
    for sample in samples:
        if sample.images:
            raise InputError(f"sample {sample.id!r} has pictures; divergence is measured on text alone")
        rendered = chat.render(list(sample.messages), tokenizer)
        texts.append(Text(tuple(rendered.ids), (False, *rendered.supervised[1:])))
    return texts


def texts_from_file(path: str | Path, tokenizer: Any, longest: int = 512) -> list[Text]:
    """A plain text file, cut into stretches of at most `longest` tokens; every token but the first of each counts."""
    try:
        content = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from error
    ids = tokenizer(content, add_special_tokens=False)["input_ids"]
    pieces = [tuple(ids[k : k + longest]) for k in range(0, len(ids), longest)]
    texts = [Text(piece, (False, *[True] * (len(piece) - 1))) for piece in pieces if len(piece) > 1]
    if not texts:
        raise InputError(f"{path} has fewer than two tokens; there is nothing to predict")
    return texts


def digest(texts: Sequence[Text]) -> str:
    """16 hexadecimal digits that stand for the texts, their tokens and what counts."""
    whole = json.dumps([[t.ids, t.counted] for t in texts])
    return hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()


# --- divergence ----------------------------------------------------------------------------------------------------


def check_same_tokens(before: Loaded, after: Loaded, samples: Sequence[str]) -> int:
    """How many ids both vocabularies share. `InputError` when they cut a text differently: then nothing compares."""
    for text in samples:
        first, second = (m.tokenizer(text, add_special_tokens=False)["input_ids"] for m in (before, after))
        if first != second:
            raise InputError(
                f"the tokenizers of {before.name} and {after.name} cut {text[:40]!r} differently; "
                "divergence needs the same tokens"
            )
    return min(len(before.tokenizer), len(after.tokenizer))


@torch.inference_mode()
def _log_probs(loaded: Loaded, texts: Sequence[Text], vocabulary: int) -> list[Tensor]:
    """Log-probabilities [counted tokens, C] of what stands before each counted token, renormalised over the first C ids."""
    model, longest = loaded.model, max(len(t.ids) for t in texts)
    if longest > loaded.context:
        raise InputError(f"a text has {longest} tokens; {loaded.name} reads at most {loaded.context}")
    ids_BT = torch.zeros(len(texts), longest, dtype=torch.long)
    mask_BT = torch.zeros_like(ids_BT)
    for row, text in enumerate(texts):
        ids_BT[row, : len(text.ids)] = torch.tensor(text.ids)
        mask_BT[row, : len(text.ids)] = 1
    ids_BT, mask_BT = ids_BT.to(loaded.device), mask_BT.to(loaded.device)
    # Padding stands at the end, where causal attention never looks.
    hidden = model.model.language_model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
    found = []
    for row, text in enumerate(texts):
        places = torch.tensor([k - 1 for k, counts in enumerate(text.counted) if counts], device=loaded.device)
        found.append(model.lm_head(hidden[row, places]).float()[:, :vocabulary].log_softmax(-1))
    return found


def divergence(
    before: Loaded,
    after: Loaded,
    texts: Sequence[Text],
    batch_size: int = 16,
    progress: Callable[[int], None] | None = None,
) -> Divergence:
    """KL(before || after) per counted token. Both models must cut texts alike; ids that only one has are left out."""
    texts = [text for text in texts if any(text.counted)]
    if not texts:
        raise InputError("no token of the texts counts, so there is no divergence to measure")
    vocabulary = check_same_tokens(
        before, after, ["가나다 abc 1.5", *(before.tokenizer.decode(t.ids) for t in texts[:8])]
    )
    parts: list[tuple[float, float]] = []
    same = 0
    surprise = [0.0, 0.0]
    for first in range(0, len(texts), batch_size):
        batch = texts[first : first + batch_size]
        for text, p, q in zip(
            batch, _log_probs(before, batch, vocabulary), _log_probs(after, batch, vocabulary), strict=True
        ):
            parts.append((float((p.exp() * (p - q)).sum()), len(p)))
            same += int((p.argmax(-1) == q.argmax(-1)).sum())
            said = torch.tensor(
                [i for i, counts in zip(text.ids, text.counted, strict=True) if counts], device=p.device
            )
            for k, one in enumerate((p, q)):
                surprise[k] -= float(one.gather(-1, said[:, None]).sum())
        if progress is not None:
            progress(min(first + batch_size, len(texts)))
    tokens = int(sum(part[1] for part in parts))
    low, high = bootstrap_ratio(parts)
    return Divergence(
        kl=max(0.0, math.fsum(part[0] for part in parts) / tokens),
        low=low,
        high=high,
        same_top=same / tokens,
        perplexity_before=math.exp(surprise[0] / tokens),
        perplexity_after=math.exp(surprise[1] / tokens),
        tokens=tokens,
        texts=len(parts),
    )


# --- every stage ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StageReport:
    """One model: right answers (paired with the first model), divergence from it, and how it replied."""

    name: str
    right: dict[str, float]
    kept: dict[str, Kept]
    divergence: Divergence | None
    language: dict[str, Any]
    loops: Any
    digest: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    models: Mapping[str, str | Path],
    samples: Sequence[Sample],
    texts: Callable[[Any], list[Text]],
    load: Callable[[str | Path], Loaded],
    note: Callable[[str], None] = lambda _: None,
    batch_size: int = 16,
) -> list[StageReport]:
    """Ask every model the same questions and compare each with the first. Two models are in memory at a time.

    texts: gives the fixed text for a tokenizer. load: opens a model.
    """
    from varco_vision.infer.engine import Engine

    reports: list[StageReport] = []
    base: Loaded | None = None
    first: own.Scores | None = None
    fixed: list[Text] = []
    for name, path in models.items():
        loaded = load(path)
        note(f"{name}: {len(samples)} questions")
        scores = own.score(Engine(loaded, batch_size=batch_size), samples)
        if base is None or first is None:
            base, first, fixed = loaded, scores, texts(loaded.tokenizer)
        found = divergence(base, loaded, fixed, batch_size) if loaded is not base else None
        table = scores.to_dict().get("text_acc", {})
        # The wanted language is that of the gold answer: "사과를 영어로?" wants English.
        wanted = [(r["answer"], metrics.language(r["gold"])) for r in scores.records]
        replies = [(answer, language) for answer, language in wanted if language is not None]
        reports.append(
            StageReport(
                name=name,
                right={lang: cell["value"] for lang, cell in table.items()},
                kept=own.kept(first, scores) if scores is not first else {},
                divergence=found,
                language=behaviour.reply_language(replies),
                loops=behaviour.loop_rate(scores.records),
                digest=f"{own.set_digest(samples)} {digest(fixed)}",
            )
        )
    return reports


def page(reports: Sequence[StageReport], title: str) -> str:
    """One page of Markdown: what each stage kept."""
    base = reports[0].name
    lines = [
        f"# What each stage kept: {title}",
        "",
        f"Text-only questions, paired with `{base}`; digests of questions and fixed text: {reports[0].digest}.",
        f"Protocol {own.PROTOCOL}. Difference: right answers now minus before, 95 % interval; p: McNemar, exact.",
        "",
        "| stage | language | n | right before | right now | difference | kept of what was right | lost / gained | p |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for report in reports[1:]:
        for lang, k in report.kept.items():
            kept = "-" if k.kept is None else f"{100 * k.kept:.1f} %"
            lines.append(
                f"| {report.name} | {lang} | {k.n} | {100 * k.before:.1f} % | {100 * k.after:.1f} % | "
                f"{100 * k.difference:+.1f} ({100 * k.low:+.1f} to {100 * k.high:+.1f}) | {kept} | "
                f"{k.lost} / {k.gained} | {k.p:.3g} |"
            )
    lines += [
        "",
        f"Divergence from `{base}` on the fixed text: mean over tokens of KL(before || now), in nats.",
        "",
        "| stage | KL a token | same next token | perplexity before | perplexity now | tokens |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for report in reports[1:]:
        d = report.divergence
        assert d is not None
        lines.append(
            f"| {report.name} | {d.kl:.4f} ({d.low:.4f} to {d.high:.4f}) | {100 * d.same_top:.1f} % | "
            f"{d.perplexity_before:.2f} | {d.perplexity_after:.2f} | {d.tokens} |"
        )
    lines += [
        "",
        "| stage | Korean where Korean was wanted | English where English was wanted | loops |",
        "| --- | --- | --- | --- |",
    ]
    for report in reports:
        cells = [report.language["ko"], report.language["en"], report.loops]
        shown = ["-" if c is None else f"{100 * c.value:.1f} % of {c.n}" for c in cells]
        lines.append(f"| {report.name} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


# --- logs of lm-evaluation-harness ---------------------------------------------------------------------------------


def paired_samples(before: str | Path, after: str | Path, metric: str = "acc") -> dict[str, Kept]:
    """Per task: the same items in two folders of `samples_TASK_*.jsonl` (lm-evaluation-harness, --log_samples), paired.

    `metric` must be 0 or 1 for each item. The newest log of a task counts; tasks that only one folder has are an
    `InputError`, as are items that differ.
    """
    first, second = _logs(Path(before)), _logs(Path(after))
    if first.keys() != second.keys() or not first:
        raise InputError(
            f"{before} has the tasks {sorted(first)} and {after} has {sorted(second)}; both must have the same"
        )
    found = {}
    for task in sorted(first):
        old, new = (_items(log[task], metric) for log in (first, second))
        if old.keys() != new.keys():
            raise InputError(f"the items of {task} differ in {before} and {after}; run both on the same items")
        keys = sorted(old)
        found[task] = compare([old[k] for k in keys], [new[k] for k in keys])
    return found


def _logs(folder: Path) -> dict[str, Path]:
    """{task: its newest log}. The file is named samples_TASK_2026-01-01T00-00-00.000000.jsonl."""
    files = sorted(folder.rglob("samples_*.jsonl"), key=lambda f: f.stem.rpartition("_")[2])
    return {file.stem.removeprefix("samples_").rpartition("_")[0]: file for file in files}


def _items(path: Path, metric: str) -> dict[tuple[str, str], bool]:
    items = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        value = row.get(metric)
        if value not in (0, 1):
            raise InputError(
                f"line {number} of {path} has {metric} = {value!r}; 0 or 1 is needed, choose another metric"
            )
        items[str(row["doc_id"]), str(row.get("filter", ""))] = value == 1
    return items
