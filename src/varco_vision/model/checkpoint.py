"""Reading and writing the published layout: the files that transformers and servers expect, nothing of our own needed.

Saved by hand rather than through `AutoProcessor`, because that one insists on a video processor, which insists on
torchvision; the files are the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlavaOnevisionForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from varco_vision.chat import IMAGE_TOKEN
from varco_vision.errors import InputError
from varco_vision.geometry import AnyResConfig
from varco_vision.model.compose import VIDEO_TOKEN
from varco_vision.model.tokenizer import number_ids

RECORD = "training_record.json"
CALIBRATION = "calibration.json"  # what confidences of these very weights are worth, see `infer.calibration`
PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt"]


@dataclass
class Loaded:
    """A model with everything that feeding it needs. `mean`/`std` per channel, `digits` = decimals of box numbers."""

    model: LlavaOnevisionForConditionalGeneration
    tokenizer: PreTrainedTokenizerFast
    anyres: AnyResConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digits: int = 3
    record: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    calibration: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def stop_ids(self) -> list[int]:
        """Ids that end an answer, from the generation settings and the tokenizer."""
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [ids]
        return list(dict.fromkeys(i for i in (*ids, self.tokenizer.eos_token_id) if i is not None))

    @property
    def context(self) -> int:
        """Longest sequence of prompt and answer, in tokens."""
        return self.model.config.text_config.max_position_embeddings


def default_path() -> Path:
    """Where the shipped default checkpoint lies inside the package."""
    path = Path(__file__).parent.parent / "default_model"
    if not (path / "config.json").exists():
        raise InputError(f"no default model at {path}; name one with --model, or train one with 'varco-vision demo'")
    return path


def load(source: str | Path, device: str = "auto", dtype: str | torch.dtype = "auto") -> Loaded:
    """Read a checkpoint directory or hub id. Every weight must be found and used, else `InputError`.

    `device` "auto": the first GPU, else the CPU. `dtype` "auto": as stored on a GPU, float32 on a CPU.
    """
    directory = _directory(source)
    config = _read_json(directory / "config.json")
    if config.get("model_type") != "llava_onevision":
        raise InputError(
            f"{source} holds a model of type {config.get('model_type')!r}; a 'llava_onevision' one is needed"
        )
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if dtype == "auto":
        dtype = torch.float32 if device == "cpu" else "auto"
    elif isinstance(dtype, str):
        dtype = _dtype(dtype)
    model = _load_model(directory, source, dtype)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    _complete_template(tokenizer, directory)
    settings = _picture_settings(directory)
    vision = model.config.vision_config
    cap = model.config.vision_aspect_ratio.removeprefix("anyres_max_")
    pinpoints = tuple(tuple(pair) for pair in model.config.image_grid_pinpoints)
    anyres = AnyResConfig(tile=vision.image_size, patch=vision.patch_size, max_tiles=int(cap), pinpoints=pinpoints)
    record, calibration = (_read_json(p) if (p := directory / n).exists() else {} for n in (RECORD, CALIBRATION))
    return Loaded(
        model=model.to(device).eval(),
        tokenizer=tokenizer,
        anyres=anyres,
        mean=tuple(settings["image_mean"]),
        std=tuple(settings["image_std"]),
        digits=2 if number_ids(tokenizer) else 3,
        record=record,
        name=str(source),
        calibration=calibration,
    )


def save(loaded: Loaded, directory: str | Path, record: dict[str, Any] | None = None) -> Path:
    """Write the published layout; weights in the model's own dtype, shards of at most 16 MB.

    A calibration is not written, and one that lies there is taken away: it is fitted on finished weights.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CALIBRATION).unlink(missing_ok=True)
    loaded.model.save_pretrained(directory, max_shard_size="16MB")
    _name_as_published(directory)
    config = _read_json(directory / "config.json")
    for part in (config, config["text_config"], config["vision_config"]):
        part.pop("_name_or_path", None)  # where the backbones happened to lie when this model was made
    text = config["text_config"]
    if not text.get("architectures"):  # servers ask for it; a language model that was never saved alone lacks it
        text["architectures"] = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[text["model_type"]]]
    _write_json(directory / "config.json", config)
    loaded.tokenizer.save_pretrained(directory)
    _write_json(directory / "preprocessor_config.json", _preprocessor(loaded))
    _write_json(directory / "video_preprocessor_config.json", _video_preprocessor(loaded))
    _write_json(directory / "processor_config.json", _processor(loaded))
    _write_json(directory / RECORD, record if record is not None else loaded.record)
    return directory


def _name_as_published(directory: Path) -> None:
    """Name the tower's weights `vision_tower.vision_model.*`, as in every published checkpoint.

    transformers 5 leaves `vision_model` out where a model was made anew, and reads both; older versions and other
    programs that serve these models read only the published names.
    """

    def named(name: str) -> str:
        rest = name.removeprefix("vision_tower.")
        return name if rest == name or rest.startswith("vision_model.") else f"vision_tower.vision_model.{rest}"

    for shard in directory.glob("*.safetensors"):
        weights = load_file(shard)
        if any(named(name) != name for name in weights):
            save_file({named(name): weight for name, weight in weights.items()}, shard, metadata={"format": "pt"})
    for index in directory.glob("*.safetensors.index.json"):
        content = _read_json(index)
        content["weight_map"] = {named(name): file for name, file in content["weight_map"].items()}
        _write_json(index, content)


def _directory(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise InputError(
                f"{path} is a directory without config.json; a checkpoint in the published layout is needed"
            )
        return path
    if path.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise InputError(f"no model at {source}: neither a checkpoint directory nor a hub id such as owner/name")
    try:
        return Path(snapshot_download(str(source), allow_patterns=PATTERNS))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(f"cannot fetch the model {source} from the hub ({reason}); name a local directory") from error


def _load_model(directory: Path, source: str | Path, dtype: Any) -> LlavaOnevisionForConditionalGeneration:
    model, report = LlavaOnevisionForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, output_loading_info=True
    )
    faults = {kind: report.get(kind) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
    faults = {kind: sorted(map(str, keys)) for kind, keys in faults.items() if keys}
    if faults:
        detail = "; ".join(
            f"{len(keys)} {kind.replace('_', ' ')}: {', '.join(keys[:3])}" for kind, keys in faults.items()
        )
        raise InputError(f"{source} does not hold exactly the weights of its config ({detail})")
    return model


def _complete_template(tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Older checkpoints keep the chat template with the processor; the tokenizer needs it here."""
    if tokenizer.chat_template is not None:
        return
    jinja, packed = directory / "chat_template.jinja", directory / "chat_template.json"
    if jinja.exists():
        tokenizer.chat_template = jinja.read_text(encoding="utf-8")
    elif packed.exists():
        tokenizer.chat_template = _read_json(packed)["chat_template"]
    else:
        raise InputError(f"{directory} has no chat template (chat_template.jinja, or in tokenizer_config.json)")


def _picture_settings(directory: Path) -> dict[str, Any]:
    for name in ("preprocessor_config.json", "processor_config.json"):
        path = directory / name
        settings = _read_json(path) if path.exists() else {}
        settings = settings.get("image_processor", settings)
        if "image_mean" in settings:
            return settings
    raise InputError(f"{directory} has no picture settings (image_mean in preprocessor_config.json)")


def _preprocessor(loaded: Loaded) -> dict[str, Any]:
    side = loaded.anyres.tile
    return {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "processor_class": "LlavaOnevisionProcessor",
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_grid_pinpoints": [list(pair) for pair in loaded.anyres.pinpoints],
        "image_mean": list(loaded.mean),
        "image_std": list(loaded.std),
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }


def _video_preprocessor(loaded: Loaded) -> dict[str, Any]:
    keep = ("do_convert_rgb", "do_normalize", "do_rescale", "do_resize", "image_mean", "image_std", "resample")
    settings = _preprocessor(loaded)
    video = {key: settings[key] for key in (*keep, "rescale_factor", "size", "processor_class")}
    return {"video_processor_type": "LlavaOnevisionVideoProcessor", **video}


def _processor(loaded: Loaded) -> dict[str, Any]:
    return {
        "processor_class": "LlavaOnevisionProcessor",
        "image_token": IMAGE_TOKEN,
        "video_token": VIDEO_TOKEN,
        "num_image_tokens": loaded.anyres.side**2,
        "vision_aspect_ratio": f"anyres_max_{loaded.anyres.max_tiles}",
        "vision_feature_select_strategy": loaded.model.config.vision_feature_select_strategy,
    }


def _dtype(name: str) -> torch.dtype:
    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in names:
        raise InputError(f"unknown dtype {name!r}; use auto, {', '.join(names)}")
    return names[name]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
