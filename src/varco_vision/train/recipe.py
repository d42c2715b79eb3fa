"""A recipe: one YAML file, read into frozen dataclasses. An unknown key is an error that names the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from varco_vision.data.sample import TASKS
from varco_vision.errors import InputError
from varco_vision.model.compose import LanguageSize, TowerSize, pinpoints
from varco_vision.model.deepen import DEPTHS
from varco_vision.model.freeze import PARTS

Kind = Literal["tower", "language", "sft", "preference"]

# The least value of numbers of a stage; `ABOVE_ZERO` must not be zero either.
LEAST = {
    **dict.fromkeys(
        ("steps", "rows", "micro_rows", "max_tokens", "max_views", "lookahead", "max_tiles", "checkpoint_every", "keep_checkpoints"), 1
    ),
    **dict.fromkeys(("logit_chunk",), 1),
    **dict.fromkeys(("stage", "workers", "learning_rate", "warmup", "final_rate", "weight_decay", "soft_numbers", "sft_weight", "margin"), 0),
}  # fmt: skip
ABOVE_ZERO = ("clip", "beta", "box_start_weight")
TAKEN = ("tokenizer", "backbones", "features")  # folders of a run that are no stage's


@dataclass(frozen=True, kw_only=True)
class VisionRecipe:
    """Shape of a tower: one made in stage 0, or of the one that `tower_from` names (checked when it is read)."""

    width: int
    layers: int
    heads: int
    mlp: int


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """Shape of a language model: one made in stage 0, or of the one that `language_from` names (checked when it is read).

    The keys below `context` describe existing models only; a model made here is of kind qwen2, tied, with its own tokenizer.
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    context: int = 4096
    kind: Literal["qwen2", "qwen3"] = "qwen2"
    vocabulary: int | None = None
    tied: bool = True
    head_width: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """The whole model. `tile`/`patch` in pixels; `max_tiles` bounds the canvases, `cap` is N of anyres_max_N.

    `vision`/`text` say what stage 0 builds. `tower_from`/`language_from` name existing backbones instead; then `vision`/`text`
    may state their shapes, for `estimate`, which downloads nothing. `feature_layer`: which hidden state of the tower the
    projector sees, counted from the end (-1 the last); layers behind it are removed. `merges`, `syllables`: the tokenizer of a
    language model made here has at most that many pieces of words, and so many of the commonest Hangul syllables whole.
    """

    tile: int
    patch: int
    max_tiles: int
    longest_side: int = 6
    cap: int = 9
    vision: VisionRecipe | None = None
    text: TextRecipe | None = None
    tower_from: str | None = None
    language_from: str | None = None
    merges: int = 4000
    syllables: int = 0
    feature_layer: int = -1

    def __post_init__(self) -> None:
        if self.vision is None and self.tower_from is None:
            raise InputError("model needs 'vision' (build a tower) or 'tower_from' (use one)")
        if self.text is None and self.language_from is None:
            raise InputError("model needs 'text' (build a language model) or 'language_from' (use one)")
        if not 0 <= self.syllables <= 2350:
            raise InputError(f"model.syllables: 0 to 2350 (KS X 1001), found {self.syllables}")
        if self.feature_layer >= 0:
            raise InputError(
                f"model.feature_layer counts from the end: -1 or less is needed, found {self.feature_layer}"
            )
        made = self.text is not None and self.language_from is None
        if made and (self.text.kind != "qwen2" or not self.text.tied or self.text.head_width or self.text.vocabulary):
            raise InputError(
                "model.text: kind, vocabulary, tied and head_width describe an existing model (language_from)"
            )

    @property
    def pinpoints(self) -> tuple[tuple[int, int], ...]:
        return pinpoints(self.tile, self.max_tiles, self.longest_side)

    @property
    def tower_size(self) -> TowerSize:
        assert self.vision is not None
        return TowerSize(**dataclasses.asdict(self.vision), tile=self.tile, patch=self.patch)

    @property
    def language_size(self) -> LanguageSize:
        assert self.text is not None
        names = [f.name for f in dataclasses.fields(LanguageSize) if f.name != "rope_theta"]
        return LanguageSize(**{name: getattr(self.text, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class SourceRecipe:
    """One source of a mixture: `source` is "synth:NAME" or a path of JSON lines; `options` go to the generator."""

    source: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoraRecipe:
    """Low-rank adapters on the linear maps of one part: rank, and alpha (the update is scaled by alpha / rank)."""

    rank: int
    alpha: float

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"lora: rank must be at least 1, found {self.rank}")


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """One stage. `rows` packed rows of at most `max_tokens` tokens make a step (for kind "tower": `rows` pictures).

    `learning_rates` overrides `learning_rate` for single parts. Rates rise over `warmup` steps and fall along a cosine to `final_rate` times
    the peak. `soft_numbers` is the standard deviation, in hundredths, of the label smoothing over neighbouring number
    tokens (0: off). `box_start_weight` multiplies the loss of the first number of every box, which alone says which of
    several things is meant: the numbers behind it follow from it. `task_weights` multiplies the loss of all answers of a task
    (`choice: 3`): answers of one letter are few tokens among long ones. `micro_rows` rows go through the model at once. `workers` processes make the rows of each process.
    What the other keys do stands in recipes/README.md and docs/training.md.
    """

    name: str
    stage: int
    kind: Kind = "sft"
    steps: int
    rows: int
    micro_rows: int = 8
    max_tokens: int = 512
    max_views: int = 1_000_000
    lookahead: int = 8
    split_groups: bool = False
    order: Literal["random", "even"] = "random"
    workers: int = 0
    trainable: tuple[str, ...] = ()
    views: Literal["one", "anyres"] = "anyres"
    max_tiles: int | None = None
    deepen: dict[str, int] = field(default_factory=dict)
    mixture: dict[str, SourceRecipe] = field(default_factory=dict)
    dense: dict[str, Any] = field(default_factory=dict)
    learning_rate: float
    learning_rates: dict[str, float] = field(default_factory=dict)
    warmup: int = 50
    final_rate: float = 0.02
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    soft_numbers: float = 0.0
    box_start_weight: float = 1.0
    task_weights: dict[str, float] = field(default_factory=dict)
    beta: float = 0.1
    sft_weight: float = 0.0
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    seed: int = 0
    lora: dict[str, LoraRecipe] = field(default_factory=dict)
    train_markers: bool = False
    frozen_precision: Literal["float32", "bfloat16"] = "float32"
    cache_features: bool = False
    logit_chunk: int = 1024
    length_normalised: bool = False
    reference_free: bool = False
    margin: float = 0.0
    reference_cache: str | None = None
    attention: Literal["auto", "shared_prefix", "flex", "varlen"] = "auto"
    checkpointing: Literal["none", "selective", "full"] = "none"
    compile: bool = False
    shard: bool = False

    def __post_init__(self) -> None:
        where = f"stage '{self.name}'"
        if not self.name or self.name.startswith(".") or "/" in self.name or "\\" in self.name or self.name in TAKEN:
            raise InputError(
                f"{where}: its name is the name of its folder; letters without '/' are needed, and not {' or '.join(TAKEN)}"
            )
        self._check_numbers(where)
        self._check_weights(where)
        unknown = (set(self.trainable) | set(self.learning_rates)) - set(PARTS)
        if unknown:
            raise InputError(f"{where}: unknown part {sorted(unknown)}; the parts are {', '.join(PARTS)}")
        if self.kind in ("sft", "preference") and not (self.trainable or self.lora or self.train_markers):
            raise InputError(f"{where}: 'trainable' is empty; name parts out of {', '.join(PARTS)}")
        self._check_adapters(where)
        self._check_deepen(where)
        self._check_combinations(where)
        if self.kind != "tower" and not self.mixture:
            raise InputError(f"{where}: 'mixture' is empty; name at least one source")

    def _check_numbers(self, where: str) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise InputError(f"{where}: {name} must be at least {least}, found {value}")
        rates = {f"learning_rates.{part}": rate for part, rate in self.learning_rates.items()}
        if wrong := {name: rate for name, rate in rates.items() if not 0 <= rate < math.inf}:
            raise InputError(f"{where}: {' and '.join(wrong)} must be at least 0, found {list(wrong.values())}")
        weights = {f"mixture.{name}.weight": source.weight for name, source in self.mixture.items()}
        for name, value in {**{n: getattr(self, n) for n in ABOVE_ZERO}, **weights}.items():
            if not 0 < value < math.inf:
                raise InputError(f"{where}: {name} must be above 0, found {value}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"{where}: betas must be at least 0 and below 1, found {list(self.betas)}")

    def _check_weights(self, where: str) -> None:
        if unknown := sorted(set(self.task_weights) - set(TASKS)):
            raise InputError(f"{where}: task_weights names {unknown}; the tasks are {', '.join(TASKS)}")
        if wrong := {t: v for t, v in self.task_weights.items() if not 0 <= v < math.inf}:
            raise InputError(f"{where}: task_weights must be at least 0, found {wrong}")

    def _check_adapters(self, where: str) -> None:
        adaptable = [part for part in PARTS if part != "newline"]
        wrong = sorted(set(self.lora) - set(adaptable))
        if wrong:
            raise InputError(f"{where}: lora on {wrong}; adapters go on {', '.join(adaptable)}")
        both = sorted(set(self.lora) & set(self.trainable))
        if both:
            raise InputError(f"{where}: {both} stands in both 'trainable' and 'lora'; choose one")
        if (self.lora or self.train_markers) and self.kind not in ("sft", "preference"):
            raise InputError(f"{where}: lora and train_markers need a whole model, kind sft or preference")
        if self.train_markers and "language" in self.trainable:
            raise InputError(f"{where}: train_markers is for a language model that is frozen or under lora")

    def _check_deepen(self, where: str) -> None:
        if wrong := sorted(set(self.deepen) - set(DEPTHS)):
            raise InputError(f"{where}: deepen names {wrong}; layers are added to {' and '.join(DEPTHS)}")
        if few := {part: count for part, count in self.deepen.items() if count < 1}:
            raise InputError(f"{where}: deepen must be at least 1, found {few}")
        if self.deepen and self.kind not in ("sft", "preference"):
            raise InputError(f"{where}: deepen is for stages of the whole model, kind sft or preference")

    def _check_combinations(self, where: str) -> None:
        moving = set(self.trainable) | set(self.lora)
        if self.cache_features and "tower" in moving:
            raise InputError(f"{where}: cache_features needs a tower that does not train")
        if self.reference_free and self.reference_cache:
            raise InputError(f"{where}: reference_free uses no reference; leave reference_cache out")
        if self.shard and self.kind not in ("sft", "preference"):
            raise InputError(f"{where}: shard is for stages of the whole model, kind sft or preference")
        if self.shard and self.frozen_precision != "float32":
            raise InputError(f"{where}: sharded stages keep all weights in float32; leave frozen_precision out")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that makes a model: sizes and stages, in order. `seed` enters every stream of random numbers."""

    name: str
    model: ModelRecipe
    stages: tuple[StageRecipe, ...]
    seed: int = 0
    evaluation: dict[str, Any] = field(default_factory=dict)

    def model_of(self, stage: StageRecipe) -> ModelRecipe:
        """The sizes of the model that `stage` trains: those of the recipe, with the layers added until then."""
        depth = {p: n for s in self.stages[: self.stages.index(stage) + 1] for p, n in s.deepen.items()}
        shapes = {"tower": ("vision", self.model.vision), "language": ("text", self.model.text)}
        changed = {
            name: dataclasses.replace(shape, layers=depth[part])
            for part, (name, shape) in shapes.items()
            if part in depth and shape is not None
        }
        return dataclasses.replace(self.model, **changed)

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names:
            raise InputError(f"recipe '{self.name}' has no stage; 'stages' needs at least one")
        if len(set(names)) != len(names):
            raise InputError(f"stage names must differ, found {names}")
        if [s.stage for s in self.stages] != sorted(s.stage for s in self.stages):
            raise InputError("stages must stand in the order in which they run (0, 1, 2, 3, 4)")


def find(name: str) -> Path:
    """A recipe by path, or by name among the project's recipes ("nano" -> recipes/nano.yaml)."""
    home = Path(__file__).resolve().parents[3] / "recipes"
    for path in (Path(name), Path("recipes") / f"{name}.yaml", home / f"{name}.yaml"):
        if path.is_file():
            return path
    known = sorted(p.stem for p in home.glob("*.yaml"))
    raise InputError(f"no recipe {name}: neither a file nor one of {', '.join(known)}")


def read(path: str | Path, overrides: typing.Sequence[str] = ()) -> Recipe:
    """A recipe file with `key.path=value` overrides (list members by index or by name: `stages.basic_sft.steps=10`)."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the recipe {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no recipe: a mapping with name, model and stages is needed")
    for override in overrides:
        _override(content, override)
    return from_dict(content, str(path))


def from_dict(content: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain data; every key and type is checked."""
    return _build(Recipe, content, where)


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain data that `from_dict` reads back to an equal recipe (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    return plain(dataclasses.asdict(recipe))


def difference(saved: Recipe, given: Recipe) -> str:
    """The first key in which two recipes differ, with both values: "stages.basic.rows (2, and 4 is given)"; "" for equal ones."""

    def first(a: Any, b: Any, path: str) -> str:
        if isinstance(a, dict) and isinstance(b, dict):
            both = (first(a.get(key), b.get(key), f"{path}.{key}") for key in (*a, *(k for k in b if k not in a)))
            return next(filter(None, both), "")
        return "" if a == b else f"{path[1:]} ({_short(a)}, and {_short(b)} is given)"

    def named(recipe: Recipe) -> dict[str, Any]:
        plain = to_dict(recipe)
        return {**plain, "stages": {stage["name"]: stage for stage in plain["stages"]}}

    return first(named(saved), named(given), "")


def _short(value: Any) -> str:
    """At most 40 characters of a value."""
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise InputError(f"override {override!r} has no '='; write key.path=value")
    place: Any = content
    *path, last = key.split(".")
    for step in path:
        place = _step_into(place, step, override)
    if isinstance(place, list):
        raise InputError(f"override {override!r} ends in a list; name a key of one of its members")
    place[last] = yaml.safe_load(value)


def _step_into(place: Any, step: str, override: str) -> Any:
    if isinstance(place, list):
        for n, member in enumerate(place):
            if step == str(n) or (isinstance(member, dict) and member.get("name") == step):
                return member
        names = [m.get("name") for m in place if isinstance(m, dict)]
        raise InputError(f"override {override!r}: no member {step!r}; there are {', '.join(map(str, names))}")
    if not isinstance(place, dict):
        raise InputError(f"override {override!r}: {step!r} lies below a plain value")
    return place.setdefault(step, {})


def _build(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the annotation `kind`, or InputError with the path `where`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _build(next(a for a in arguments if a is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{where}: found {value!r}; one of {', '.join(map(str, arguments))} is needed")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where}: found {value!r}; a list is needed")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise InputError(f"{where}: found {len(value)} values; {len(kinds)} are needed")
        return tuple(_build(k, v, f"{where}[{n}]") for n, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where}: found {value!r}; a mapping is needed")
        return {k: _build(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    return value if kind is Any else _scalar(kind, value, where)


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            return float(value)
        except ValueError:
            pass
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{where}: found {value!r}; a value of type {kind.__name__} is needed")
    return value


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {value!r}; a mapping is needed")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{near[0]}'" if near else f"known keys are {', '.join(known)}"
            raise InputError(f"{where}: unknown key '{key}'; {hint}")
    needed = [
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and name not in value
    ]
    if needed:
        raise InputError(f"{where}: missing key '{needed[0]}'")
    return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})


def with_lora(recipe: Recipe, rank: int) -> Recipe:
    """The recipe with adapters of `rank` where tower or language model would train whole; for one small GPU.

    Their own weights are frozen and kept in bfloat16, the rows of the markers train, nothing is sharded. alpha is 2 * rank.
    """

    def change(stage: StageRecipe) -> StageRecipe:
        adapted = [part for part in stage.trainable if part in ("tower", "language")]
        if stage.kind not in ("sft", "preference"):
            return stage
        return dataclasses.replace(
            stage,
            trainable=tuple(part for part in stage.trainable if part not in adapted),
            lora={part: LoraRecipe(rank=rank, alpha=2.0 * rank) for part in adapted},
            train_markers="language" in adapted,
            frozen_precision="bfloat16",
            shard=False,
        )

    return dataclasses.replace(recipe, stages=tuple(change(stage) for stage in recipe.stages))
