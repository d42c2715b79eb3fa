"""A whole recipe, stage by stage. What a finished stage left is never made again; an interrupted one can resume.

OUT/
  recipe.yaml                 the resolved recipe
  tokenizer/                  for language models made here
  NAME/                       one directory a stage: metrics.jsonl, checkpoints while it runs, then
    tower/ | language/        a backbone (stage 0)
    model/                    the whole model in the published layout (stages 1 to 4)
    result.json               what the stage did; its presence means the stage is finished
  backbones/model/            the composed model before stage 1
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2ForCausalLM,
    SiglipVisionModel,
)

from varco_vision.data.disk import require_writable
from varco_vision.data.pack import answers, opened
from varco_vision.data.sample import Sample
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig, plan_sample
from varco_vision.model import checkpoint
from varco_vision.model.checkpoint import Loaded
from varco_vision.model.compose import compose, new_language_model, new_tower
from varco_vision.model.deepen import deepen
from varco_vision.model.freeze import PARTS, listing
from varco_vision.model.initialise import exchange_tower
from varco_vision.model.tokenizer import build_tokenizer
from varco_vision.model.vision import normalise
from varco_vision.pictures import views
from varco_vision.synth.dense import DenseConfig, dense_batch
from varco_vision.synth.lexicon import syllables
from varco_vision.train import state
from varco_vision.train.feed import Feed, open_mixture, require_files, stream_seed
from varco_vision.train.parallel import World
from varco_vision.train.recipe import Recipe, StageRecipe, difference, read, to_dict
from varco_vision.train.setup import attend, check_shape, prepare
from varco_vision.train.stage import StageResult, train_stage
from varco_vision.train.tasks import AnswerTask
from varco_vision.train.tower import TOWER_MEAN, TOWER_STD, TowerTask

CORPUS_GROUPS = {True: 150, False: 600}  # groups of samples per source, with and without pictures, for the tokenizer
EXAMPLES = 64  # views that the start of the projector is measured on
EXCHANGED = 512  # views that two towers are compared on
Hook = Callable[[str, Loaded, World], None]


class Run:
    """One run of a recipe in one directory, the same object in every process.

    `after(name, model, world)` is called when a model is ready: once before stage 1 (name "backbones"), then after every
    stage from 1 on. `say` prints in the leading process.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        world: World,
        *,
        resume: bool = False,
        show: bool = True,
        after: Hook | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.recipe, self.out, self.world = recipe, out, world
        self.resume, self.show, self.after = resume, show, after
        self.say = say if world.leads else lambda text: None
        self._shown: set[str] = set()  # models that the hook has seen

    def stages(self, first: int, last: int) -> list[StageResult]:
        """Run the stages numbered first..last; those finished earlier are reported, not repeated (with resume)."""
        chosen = [s for s in self.recipe.stages if first <= s.stage <= last]
        if not chosen:
            numbers = sorted({s.stage for s in self.recipe.stages})
            raise InputError(
                f"no stage {first}-{last} in recipe '{self.recipe.name}'; it has {', '.join(map(str, numbers))}"
            )
        for stage in chosen:
            if not self._kept(stage):
                require_files(stage)
        self._prepare()
        results = []
        for stage in chosen:
            try:
                results.append(self._finished(stage) or self._run(stage))
            except BaseException as error:  # torch's checkpoints raise what is no Exception
                if state.is_full(error):
                    raise InputError(self._full(stage)) from error
                raise
        return results

    def _full(self, stage: StageRecipe) -> str:
        """What to tell when the disk became full in a stage."""
        kept = state.complete(self.out / stage.name)
        goes_on = f"its step {int(kept[-1].name.removeprefix(state.PREFIX))}" if kept else "its beginning"
        return (
            f"the disk of {self.out} is full, in stage '{stage.name}'; nothing that was complete is lost: make room and "
            f"add --resume, which goes on from {goes_on}"
        )

    def _prepare(self) -> None:
        if self.world.leads:
            require_writable(self.out)
            text = yaml.safe_dump(to_dict(self.recipe), allow_unicode=True, sort_keys=False)
            saved = self.out / "recipe.yaml"
            if self.resume and saved.exists() and read(saved) != self.recipe:
                where = difference(read(saved), self.recipe) or "the order of its stages"
                raise InputError(
                    f"{saved} differs from the recipe given, in {where}; resume with the same one, or choose another --out"
                )
            state.write_text(saved, text)
        self.world.barrier()

    def _kept(self, stage: StageRecipe) -> bool:
        """Is the stage finished, and kept as it is?"""
        return self.resume and (self.out / stage.name / "result.json").exists()

    def _finished(self, stage: StageRecipe) -> StageResult | None:
        path = self.out / stage.name / "result.json"
        if not self._kept(stage):
            return None
        self.say(f"stage {stage.stage} '{stage.name}' is finished, kept")
        if self.world.leads:
            state.clear(self.out / stage.name)  # there are checkpoints if a kill came behind the result
        if stage.kind in ("sft", "preference"):
            self._call_after(self._previous(stage))
            self._call_after(stage)
        return StageResult(**json.loads(path.read_text(encoding="utf-8")))

    def _run(self, stage: StageRecipe) -> StageResult:
        path = self.out / stage.name / "result.json"
        if self.world.leads:
            path.unlink(missing_ok=True)
        result = {"tower": self._tower, "language": self._language}.get(stage.kind, self._whole)(stage)
        if self.world.leads:
            state.write_json(path, result.to_dict())
            state.clear(self.out / stage.name)
        self.world.barrier()
        if result.refused:
            self.say(
                f"  {result.refused} samples did not fit a row of {stage.max_tokens} tokens and were left out; they are named as "
                f"'left_out' in {self.out / stage.name / 'metrics.jsonl'}"
            )
        return result

    def _tower(self, stage: StageRecipe) -> StageResult:
        tower = self._new_or_earlier_tower(stage).to(self.world.device)
        task = TowerTask(tower, stage, stream_seed(self.recipe.seed, stage.name), self.world)
        result = self._train(task, stage, (["tower"], []))
        if self.world.leads:
            tower.save_pretrained(self.out / stage.name / "tower")
        self.world.barrier()
        return result

    def _new_or_earlier_tower(self, stage: StageRecipe) -> SiglipVisionModel:
        """The tower as the stages before this one left it, alone or in a whole model; a new one where there is none."""
        before = self.recipe.stages[: self.recipe.stages.index(stage)]
        last = next((s for s in reversed(before) if s.kind != "language"), None)
        if last is not None and last.kind != "tower":
            return self._load_previous(stage).model.model.vision_tower
        earlier = self._earlier(stage)
        if earlier is None:
            return new_tower(self.recipe.model.tower_size, stream_seed(self.recipe.seed, "tower"))
        return SiglipVisionModel.from_pretrained(earlier / "tower", dtype=torch.float32)

    def _earlier(self, stage: StageRecipe) -> Path | None:
        """The directory of the last stage before this one that trained the same backbone alone; None: this one is the first."""
        earlier = [s for s in self.recipe.stages[: self.recipe.stages.index(stage)] if s.kind == stage.kind]
        if not earlier:
            return None
        directory = self.out / earlier[-1].name
        if not (directory / "result.json").exists():
            raise InputError(
                f"stage '{stage.name}' goes on with '{earlier[-1].name}', which is not finished in {self.out}"
            )
        self.say(f"stage {stage.stage} '{stage.name}' continues from '{earlier[-1].name}'")
        return directory

    def _language(self, stage: StageRecipe) -> StageResult:
        tokenizer = self._tokenizer()
        model = self._new_or_earlier_language(stage, tokenizer).to(self.world.device)
        loaded = Loaded(model, tokenizer, self._anyres(), TOWER_MEAN, TOWER_STD)  # type: ignore[arg-type]
        for line in attend(model, stage, self.world.device):
            self.say(f"  {line}")
        feed = Feed(stage, loaded, self.recipe.seed, self.world)
        result = self._train(AnswerTask(model, feed, stage, TOWER_MEAN, TOWER_STD), stage, (["language"], []))
        if self.world.leads:
            model.save_pretrained(self.out / stage.name / "language")
        self.world.barrier()
        return result

    def _new_or_earlier_language(self, stage: StageRecipe, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
        """The language model that an earlier stage 0 left, if there is one."""
        earlier = self._earlier(stage)
        if earlier is None:
            return new_language_model(
                self.recipe.model.language_size, tokenizer, stream_seed(self.recipe.seed, "language")
            )
        return Qwen2ForCausalLM.from_pretrained(earlier / "language", dtype=torch.float32)

    def _whole(self, stage: StageRecipe) -> StageResult:
        self._call_after(self._previous(stage))
        loaded = self._load_previous(stage)
        directory = self.out / stage.name
        setup = prepare(stage, loaded, self.recipe.seed, self.world, directory, self.resume)
        self.say(f"stage {stage.stage} '{stage.name}'\n{listing(setup.parts)}")
        for line in setup.notes:
            self.say(f"  {line}")
        trained = [part for part in PARTS if setup.parts[part][0]]
        result = self._train(setup.task, stage, (trained, [part for part in PARTS if part not in trained]))
        loaded = setup.finished(directory / "adapter")
        if self.world.leads:
            record = {"recipe": to_dict(self.recipe), "stages": [*self._history(stage), result.to_dict()]}
            state.require_space(directory, state.size(list(loaded.model.parameters())), "the finished model")
            checkpoint.save(loaded, directory / "model", record)
        self.world.barrier()
        self._call_after(stage, None if stage.shard else loaded)
        return result

    def _train(self, task: Any, stage: StageRecipe, parts: tuple[list[str], list[str]]) -> StageResult:
        return train_stage(task, stage, self.out / stage.name, self.world, parts, self.resume, self.show, self.say)

    def _history(self, stage: StageRecipe) -> Iterator[dict[str, Any]]:
        for earlier in self.recipe.stages[: self.recipe.stages.index(stage)]:
            path = self.out / earlier.name / "result.json"
            if path.exists():
                yield json.loads(path.read_text(encoding="utf-8"))

    def _previous(self, stage: StageRecipe) -> StageRecipe | None:
        """The stage before this one that left a whole model; None: the composed backbones."""
        earlier = self.recipe.stages[: self.recipe.stages.index(stage)]
        whole = [s for s in earlier if s.kind in ("sft", "preference")]
        return whole[-1] if whole else None

    def _load_previous(self, stage: StageRecipe) -> Loaded:
        previous = self._previous(stage)
        if previous is None:
            self._compose()
            directory = self.out / "backbones" / "model"
        else:
            directory = self.out / previous.name / "model"
            if not (self.out / previous.name / "result.json").exists():
                raise InputError(
                    f"stage '{stage.name}' needs stage '{previous.name}', which is not finished in {self.out}"
                )
            self.say(f"stage {stage.stage} continues from '{previous.name}'")
        loaded = checkpoint.load(directory, device=str(self.world.device), dtype=torch.float32)
        newer = self._newer_tower(stage, previous)
        if newer is not None:
            self._exchange_tower(loaded, newer)
        if stage.deepen:
            loaded.model = deepen(loaded.model, stage.deepen)
        return loaded

    def _newer_tower(self, stage: StageRecipe, previous: StageRecipe | None) -> StageRecipe | None:
        """The last stage of kind "tower" between the whole model that `stage` starts from and `stage`."""
        if previous is None:
            return None
        first, last = self.recipe.stages.index(previous), self.recipe.stages.index(stage)
        return next((s for s in reversed(self.recipe.stages[first:last]) if s.kind == "tower"), None)

    def _exchange_tower(self, loaded: Loaded, newer: StageRecipe) -> None:
        """Take in a tower that learned on from dense labels; every process computes the same."""
        directory = self.out / newer.name
        if not (directory / "result.json").exists():
            raise InputError(f"the tower of stage '{newer.name}' is wanted, which is not finished in {self.out}")
        net, config = loaded.model, loaded.model.config
        other = SiglipVisionModel.from_pretrained(directory / "tower", dtype=torch.float32).to(self.world.device).eval()
        dense = DenseConfig(tile=loaded.anyres.tile, patch=loaded.anyres.patch, **newer.dense)
        seed = stream_seed(self.recipe.seed, "exchange")
        pixels = torch.from_numpy(dense_batch(range(EXCHANGED), dense, seed)["images"]).to(self.world.device)
        views = normalise(pixels, loaded.mean, loaded.std, torch.float32)
        tower, projector = net.model.vision_tower.eval(), net.model.multi_modal_projector
        found = exchange_tower(tower, other, projector, views, config.vision_feature_layer)
        self.say(f"  the tower of '{newer.name}' is taken in; the projector reads it as before (R^2 {found:.2f})")

    def _call_after(self, stage: StageRecipe | None, loaded: Loaded | None = None) -> None:
        """Hand the model that `stage` left (None: the composed backbones) to the hook, once."""
        name = stage.name if stage else "backbones"
        if self.after is None or name in self._shown:
            return
        self._shown.add(name)
        if stage is None:
            self._compose()
        if loaded is None:
            loaded = checkpoint.load(self.out / name / "model", device=str(self.world.device))
        loaded.model.eval()
        self.after(name, loaded, self.world)

    def _anyres(self) -> AnyResConfig:
        model = self.recipe.model
        return AnyResConfig(tile=model.tile, patch=model.patch, max_tiles=model.cap, pinpoints=model.pinpoints)

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of a language model made here, built once from the texts of all stages."""
        directory = self.out / "tokenizer"
        if self.world.leads and not (self.resume and (directory / "tokenizer_config.json").exists()):
            model = self.recipe.model
            whole = syllables(model.syllables) if model.syllables else ()
            state.write_directory(
                directory, build_tokenizer(self._corpus(), model.merges, syllables=whole).save_pretrained
            )
        self.world.barrier()
        return AutoTokenizer.from_pretrained(directory)

    def _corpus(self) -> Iterable[str]:
        for stage in self.recipe.stages:
            sources = open_mixture(stage, self.recipe.seed).sources if stage.mixture else {}
            for source in sources.values():
                pictures = bool(source.group(0)[0].images)
                for index in range(CORPUS_GROUPS[pictures]):
                    for sample in source.group(index):
                        yield from _texts(sample)

    def _compose(self) -> None:
        """Write OUT/backbones/model from the stage-0 backbones, or from those that the recipe names."""
        directory = self.out / "backbones" / "model"
        if self.world.leads and not (self.resume and (directory / "training_record.json").exists()):
            tower = self._backbone("tower", self.recipe.model.tower_from, SiglipVisionModel, SiglipVisionModel)
            language = self._backbone(
                "language", self.recipe.model.language_from, Qwen2ForCausalLM, AutoModelForCausalLM
            )
            given = self.recipe.model.language_from
            # The tokenizer made here lies apart from the language model: beside a Qwen2 config, AutoTokenizer would
            # replace its normaliser and its splitting by Qwen's.
            tokenizer = AutoTokenizer.from_pretrained(given or self.out / "tokenizer")
            seed = stream_seed(self.recipe.seed, "projector")
            own = self.recipe.model.tower_from is None
            model = compose(tower, language, tokenizer, self._anyres(), seed, self._examples(), centre=own)
            loaded = Loaded(model, tokenizer, self._anyres(), TOWER_MEAN, TOWER_STD)
            record = {"recipe": to_dict(self.recipe), "stages": []}
            state.write_directory(directory, lambda draft: checkpoint.save(loaded, draft, record))
        self.world.barrier()

    def _examples(self) -> torch.Tensor:
        """A few normalised views [V, 3, T, T] of the kind that the tower was trained on, or will be."""
        model = self.recipe.model
        if model.tower_from is None:
            config = DenseConfig(tile=model.tile, patch=model.patch)
            pixels = torch.from_numpy(dense_batch(range(EXAMPLES), config, self.recipe.seed)["images"])
        else:
            pixels = self._first_views()
        return normalise(pixels, TOWER_MEAN, TOWER_STD, torch.float32)

    def _first_views(self, count: int = EXAMPLES) -> torch.Tensor:
        """The first views [V, T, T, 3] of the first stage that trains the whole model."""
        stage = next(s for s in self.recipe.stages if s.kind in ("sft", "preference"))
        source, found = open_mixture(stage, self.recipe.seed), []
        for index in range(10 * count):
            try:
                pictures = opened(source.group(index)[0])
            except InputError as error:
                raise InputError(f"stage '{stage.name}': {error}") from error
            for picture in pictures:
                plan = plan_sample([picture.size], self._anyres(), single=True)[0]
                found.append(views(picture, plan, self._anyres(), (127, 127, 127)))
            if len(found) >= count:
                break
        if not found:
            raise InputError(f"stage '{stage.name}': none of its first {10 * count} groups has a picture to start from")
        return torch.from_numpy(np.concatenate(found))

    def _backbone(self, kind: str, given: str | None, own: Any, foreign: Any) -> Any:
        if given is not None:
            model = self._fetch(kind, given, foreign)
            return _cut(model, self.recipe.model.feature_layer) if kind == "tower" else model
        first = next(k for k, s in enumerate(self.recipe.stages) if s.kind in ("sft", "preference"))
        stage = next((s for s in reversed(self.recipe.stages[:first]) if s.kind == kind), None)
        if stage is None or not (self.out / stage.name / "result.json").exists():
            raise InputError(
                f"no {kind} backbone in {self.out}: run stage 0 first (--stages 0-4), or set model.{kind}_from"
            )
        return own.from_pretrained(self.out / stage.name / kind, dtype=torch.float32)

    def _fetch(self, kind: str, given: str, loader: Any) -> Any:
        if (Path(given).is_absolute() or given.startswith(".")) and not Path(given).is_dir():
            raise InputError(f"model.{kind}_from: there is no folder {given}")
        try:
            model = loader.from_pretrained(given, dtype=torch.float32)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"model.{kind}_from: cannot read {given} ({reason})") from error
        check_shape(self.recipe.model, kind, model.config, given)
        return model


def _cut(tower: Any, layer: int) -> Any:
    """The tower without the layers behind the hidden state that the projector sees."""
    encoder = getattr(tower, "vision_model", tower).encoder
    encoder.layers = encoder.layers[: len(encoder.layers) + 1 + layer]
    tower.config.num_hidden_layers = len(encoder.layers)
    return tower


def _texts(sample: Sample) -> Iterator[str]:
    for turns in answers(sample):
        for message in turns:
            content = message["content"]
            yield from [content] if isinstance(content, str) else (p["text"] for p in content if p["type"] == "text")
