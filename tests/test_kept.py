"""What was kept: divergence against transformers, paired answers, behaviour, logs of the other harness."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from tiny import write_tiny

from varco_vision.errors import InputError
from varco_vision.eval import behaviour as b
from varco_vision.eval import kept
from varco_vision.model import checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A training folder of two tiny models: backbones, and a stage with slightly other weights."""
    out = tmp_path_factory.mktemp("training")
    write_tiny(out / "backbones" / "model")
    loaded = checkpoint.load(out / "backbones" / "model", device="cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in loaded.model.model.language_model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    checkpoint.save(loaded, out / "basic" / "model")
    (out / "recipe.yaml").write_text(yaml.safe_dump({"stages": [{"name": "alignment"}, {"name": "basic"}]}))
    return out


@pytest.fixture(scope="module")
def pair(models):
    return [checkpoint.load(models / name / "model", device="cpu") for name in ("backbones", "basic")]


def some_texts(tokenizer):
    return kept.texts_from_samples(kept.text_questions(6), tokenizer)


# --- divergence ---


def test_divergence_equals_what_transformers_says_text_by_text(pair):
    texts = some_texts(pair[0].tokenizer)
    found = kept.divergence(*pair, texts, batch_size=5)
    total = tokens = same = 0.0
    surprise = [0.0, 0.0]
    for text in texts:
        ids = torch.tensor([text.ids])
        p, q = (
            torch.log_softmax(m.model(input_ids=ids).logits[0, :, : len(m.tokenizer)].double(), -1).detach()
            for m in pair
        )
        for k in range(1, len(text.ids)):
            if text.counted[k]:
                total += float(torch.nn.functional.kl_div(q[k - 1], p[k - 1], log_target=True, reduction="sum"))
                same += bool(p[k - 1].argmax() == q[k - 1].argmax())
                surprise = [s - float(x[k - 1, text.ids[k]]) for s, x in zip(surprise, (p, q), strict=True)]
                tokens += 1
    assert found.tokens == tokens and found.texts == len(texts)
    assert found.kl == pytest.approx(total / tokens, rel=1e-4) and found.kl > 0.01
    assert found.same_top == pytest.approx(same / tokens)
    assert found.perplexity_before == pytest.approx(math.exp(surprise[0] / tokens), rel=1e-4)
    assert found.perplexity_after == pytest.approx(math.exp(surprise[1] / tokens), rel=1e-4)
    assert found.low <= found.kl <= found.high


def test_a_model_does_not_diverge_from_itself(pair):
    found = kept.divergence(pair[0], pair[0], some_texts(pair[0].tokenizer))
    assert found.kl == pytest.approx(0.0, abs=1e-9) and found.same_top == 1.0


def test_batches_do_not_matter_and_neither_does_padding(pair):
    texts = some_texts(pair[0].tokenizer)
    one, many = (kept.divergence(*pair, texts, batch_size=n) for n in (1, 8))
    assert one.kl == pytest.approx(many.kl, rel=1e-5)


def test_only_the_assistants_tokens_count(pair):
    tokenizer = pair[0].tokenizer
    text = some_texts(tokenizer)[0]
    said = tokenizer.decode([i for i, counts in zip(text.ids, text.counted, strict=True) if counts])
    answer = kept.text_questions(6)[0].messages[1]["content"][0]["text"]
    assert said.startswith(answer) and said.count("<|im_end|>") == 1


def test_texts_of_files(pair, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("가나다라 마바사 " * 20, encoding="utf-8")
    texts = kept.texts_from_file(path, pair[0].tokenizer, longest=32)
    ids = pair[0].tokenizer(path.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    assert [i for text in texts for i in text.ids] == ids and len(texts) > 2
    assert all(not text.counted[0] and all(text.counted[1:]) for text in texts)
    assert kept.digest(texts) != kept.digest(texts[1:])
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="fewer than two tokens"):
        kept.texts_from_file(path, pair[0].tokenizer)
    with pytest.raises(InputError, match="cannot be read"):
        kept.texts_from_file(tmp_path / "none.txt", pair[0].tokenizer)


def test_other_tokenizers_do_not_compare(pair):
    class Other:
        name, tokenizer = "other", staticmethod(lambda text, add_special_tokens: {"input_ids": [1]})

    with pytest.raises(InputError, match="cut .* differently"):
        kept.check_same_tokens(pair[0], Other, ["가나다"])
    with pytest.raises(InputError, match="no token"):
        kept.divergence(*pair, [kept.Text((1, 2), (False, False))])


# --- every stage ---


def test_stages_are_measured_in_order_and_paired_with_the_first(models):
    found = kept.stage_models(models)
    assert list(found) == ["backbones", "basic"], "a stage that was not trained is absent"
    reports = kept.measure(found, kept.text_questions(4), some_texts, lambda path: checkpoint.load(path, device="cpu"))
    assert [r.name for r in reports] == ["backbones", "basic"]
    assert reports[0].divergence is None and reports[1].divergence.kl > 0
    assert {lang: k.n for lang, k in reports[1].kept.items()} == {"ko": 4, "en": 4}
    page = kept.page(reports, "tiny")
    assert page.count("| basic |") == 4 and page.count("| backbones |") == 1
    assert f"{reports[1].divergence.kl:.4f}" in page
    json.dumps([r.to_dict() for r in reports])


def test_folders_that_are_no_training(tmp_path):
    with pytest.raises(InputError, match="recipe.yaml"):
        kept.stage_models(tmp_path)
    (tmp_path / "recipe.yaml").write_text("stages: [{name: basic}]")
    with pytest.raises(InputError, match="at least two"):
        kept.stage_models(tmp_path)


def test_questions_are_those_that_training_did_not_see():
    samples = kept.text_questions()
    assert len({s.id for s in samples}) == len(samples) > 200
    assert {s.lang for s in samples} == {"ko", "en"} and not any(s.images for s in samples)


# --- logs of lm-evaluation-harness ---


def log(folder: Path, task: str, values: dict[int, float], when: str = "2026-01-01T00-00-00.000001") -> None:
    folder.mkdir(exist_ok=True, parents=True)
    lines = [json.dumps({"doc_id": k, "acc": v, "filter": "none", "target": "0"}) for k, v in values.items()]
    (folder / f"samples_{task}_{when}.jsonl").write_text("\n".join(lines))


def test_questions_follow_what_the_recipe_taught():
    text = {"source": "synth:text", "options": {"facts": 40}}
    stages = [{"mixture": {"text": text}}, {"mixture": {"scenes": {"source": "synth:scenes", "options": {}}}}]
    assert kept.taught_facts({"recipe": {"stages": stages}}) == 40
    assert kept.taught_facts({"recipe": {"stages": [{"mixture": {"text": {**text, "options": {}}}}]}}) is None
    assert kept.taught_facts({}) is None
    few, every = kept.text_questions(facts=40), kept.text_questions()
    assert {s.id for s in few} < {s.id for s in every}


def test_logs_are_paired_item_by_item(tmp_path):
    before, after = tmp_path / "before" / "model", tmp_path / "after"
    log(before, "kmmlu_law", {0: 0.0}, "2025-01-01T00-00-00.000001")
    log(before, "kmmlu_law", {0: 1.0, 1: 1.0, 2: 0.0})
    log(after, "kmmlu_law", {2: 1.0, 1: 0.0, 0: 1.0})
    found = kept.paired_samples(tmp_path / "before", after)
    assert list(found) == ["kmmlu_law"]
    law = found["kmmlu_law"]
    assert (law.n, law.lost, law.gained, law.kept) == (3, 1, 1, 0.5)
    log(after, "kobest", {0: 1.0})
    with pytest.raises(InputError, match="same"):
        kept.paired_samples(tmp_path / "before", after)
    log(before, "kobest", {1: 1.0})
    with pytest.raises(InputError, match="items of kobest differ"):
        kept.paired_samples(tmp_path / "before", after)
    log(before, "kobest", {0: 0.5})
    with pytest.raises(InputError, match="0 or 1"):
        kept.paired_samples(tmp_path / "before", after)


def test_the_adapter_runs_as_a_text_model(models):
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra: kept)")
    from lm_eval.api.instance import Instance

    from varco_vision.eval.lm_eval_adapter import VarcoVisionText

    lm = VarcoVisionText(str(models / "basic" / "model"), device="cpu", batch_size=2)
    loaded = checkpoint.load(models / "basic" / "model", device="cpu")
    pairs = [("한국의 수도는", " 서울"), ("Where is the", " red circle"), ("", "가나")]
    requests = [Instance("loglikelihood", {}, arguments, 0) for arguments in pairs]
    for (context, said), (score, greedy) in zip(pairs, lm.loglikelihood(requests), strict=True):
        start = loaded.tokenizer(context, add_special_tokens=False)["input_ids"] or [loaded.tokenizer.eos_token_id]
        whole = loaded.tokenizer(context + said, add_special_tokens=False)["input_ids"]
        ids = start + whole[len(start) if context else 0 :]
        logits = torch.log_softmax(loaded.model(input_ids=torch.tensor([ids])).logits[0].detach().float(), -1)
        wanted = ids[len(start) :]
        known = sum(float(logits[len(start) + k - 1, i]) for k, i in enumerate(wanted))
        assert score == pytest.approx(known, rel=1e-3, abs=1e-3)
        assert greedy == all(int(logits[len(start) + k - 1].argmax()) == i for k, i in enumerate(wanted))
    assert lm.max_length == loaded.context


# --- behaviour ---


def test_language_of_replies():
    found = b.reply_language([("네, 있습니다", "ko"), ("Yes", "ko"), ("It is red", "en"), ("42", "en"), ("", "ko")])
    assert found["ko"].value == 0.5 and found["ko"].n == 2
    assert found["en"].value == 1.0 and found["en"].n == 1
    assert found["without_letters"].value == pytest.approx(2 / 5)
    assert b.reply_language([])["ko"] is None
    with pytest.raises(InputError, match="'ko' or 'en'"):
        b.reply_language([("x", "fr")])


def test_loops():
    assert b.loops("사과가 있고 " * 12) and b.loops("abc" * 20)
    assert not b.loops("사과가 있고 " * 3) and not b.loops("네네네네")
    assert not b.loops("-" * 80), "a ruler is no loop"
    assert not b.loops("하나 둘 셋 " + "가나다라마바사아자차" * 3)
    assert b.loop_rate([{"answer": "네"}, {"answer": "x", "flags": ["loop"]}]).value == 0.5
    assert b.loop_rate([]) is None


THINGS = b.Vocabulary(
    {"dog": ("dog", "개"), "cat": ("cat", "고양이"), "fire": ("fire", "불"), "hydrant": ("소화전", "fire hydrant")}
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("개가 고양이를 봅니다.", ["dog", "cat"]),
        ("두 개의 사과", ["dog"]),  # a counter that is also a name: such names do not belong into a vocabulary
        ("개구리와 번개", []),
        ("Two dogs and a Cat.", ["dog", "cat"]),
        ("The hotdog is near a fire hydrant", ["hydrant"]),
        ("소화전입니다. 불은 없습니다", ["hydrant", "fire"]),
        ("고양이들이 있다", ["cat"]),
        ("", []),
    ],
)
def test_things_that_a_text_names(text, found):
    assert THINGS.mentions(text) == found


def test_hallucination_by_hand():
    found = b.hallucination(
        ["개와 고양이", "dog, dog and fire", "아무것도 없습니다"], [{"dog"}, {"dog", "cat"}, {"cat"}], THINGS
    )
    assert (found.named, found.wrong) == (5, 2) and found.mentions == pytest.approx(0.4)
    assert found.answers.value == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 4)
    assert b.hallucination(["음"], [{"dog"}], THINGS).mentions is None
    with pytest.raises(InputError, match="vocabulary lacks"):
        b.hallucination(["개"], [{"bird"}], THINGS)
    with pytest.raises(InputError, match="belongs to"):
        b.Vocabulary({"a": ("개",), "b": ("개",)})


def test_yes_on_what_is_absent():
    found = b.presence_bias([(True, True), (True, False), (None, False), (False, False)])
    assert found["accuracy"].value == 0.5 and found["yes"].value == 0.5
    assert found["yes_on_absent"].value == pytest.approx(1 / 3)
