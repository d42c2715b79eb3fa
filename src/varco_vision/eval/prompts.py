"""What is asked, per protocol: the bytes of each prompt. The picture always stands before the text, in one user turn.

Builders are named; a protocol names the builder of each task. Prompts of other harnesses are theirs to the byte, with one
exception: a stray `<image>` in a question is taken out (`benchmarks`), since the picture has its place already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from varco_vision.eval.benchmarks import Item, stem

Builder = Callable[[Item], str]

DIRECT_KO_2025_03 = "주어진 선택지 중 해당 옵션의 문자로 직접 답하세요."
DIRECT_KO = "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요."
DIRECT_EN = "Answer with the option's letter from the given choices directly."


def lettered(options: Mapping[str, str | None], mark: str = ". ", between: str = "\n") -> str:
    """ "A. 개\\nB. 고양이": options that have a text."""
    return between.join(f"{letter}{mark}{text}" for letter, text in options.items() if text is not None)


def lmms_mmbench(suffix: str) -> Builder:
    """lmms-eval's MMBench: the English lead-in stands in Korean prompts too."""

    def build(item: Item) -> str:
        hint = f"{item.hint} " if item.hint else ""
        listed = lettered(item.options).rstrip("\n")
        return f"{hint}{item.question} There are several options:\n{listed}\n\n{suffix}"

    return build


def lmms_seed(suffix: str) -> Builder:
    """lmms-eval's SEED-Bench: question, four lines of options, instruction."""
    return lambda item: f"{item.question}\n{lettered(item.options)}\n{suffix}"


def lmms_dtcbench(suffix: str) -> Builder:
    """lmms-eval's K-DTCBench: all options on one line."""
    return lambda item: f"{item.question}\nOptions: {lettered(item.options, ': ', ', ')}\n{suffix}"


def lmms_mmstar(suffix: str) -> Builder:
    """lmms-eval's MMStar: the question holds its options; a set that has them in columns gets them in the same form."""

    def build(item: Item) -> str:
        question = item.question.strip()
        if stem(question) == question and any(item.options.values()):
            question = f"{question}\nOptions: {lettered(item.options, ': ', ', ')}"
        return question.replace(" Please answer yes or no.", "") + f"\n{suffix}" if suffix else question

    return build


def vlmevalkit(item: Item) -> str:
    """VLMEvalKit's prompt for multiple choice when a model brings none of its own."""
    hint = f"Hint: {item.hint}\n" if item.hint else ""
    options = "".join(f"{letter}. {text}\n" for letter, text in item.options.items() if text is not None)
    lead = f"{hint}Question: {stem(item.question)}\n"
    return f"{lead}Options:\n{options}Please select the correct answer from the options above. \n" if options else lead


def kreta(item: Item) -> str:
    """KRETA's own prompt in its `direct` setting."""
    direct = "Answer directly with the option letter from the given choices."
    return f"Question: {item.question}\nOptions:\n{lettered(item.options)}\n{direct}"


def strict(suffix: str) -> Builder:
    """Ours: hint, question, options line by line, instruction, all in the language of the set; the same for every set."""

    def build(item: Item) -> str:
        options = lettered(item.options)
        lines = [item.hint, stem(item.question) if options else item.question, options, suffix]
        return "\n".join(line for line in lines if line)

    return build


def question_only(item: Item) -> str:
    """Open questions: nothing but the question."""
    return item.question


BUILDERS: dict[str, Builder] = {
    "lmms-mmbench-ko-2025-03": lmms_mmbench(DIRECT_KO_2025_03),
    "lmms-seed-ko-2025-03": lmms_seed(DIRECT_KO_2025_03),
    "lmms-dtcbench-2025-03": lmms_dtcbench(DIRECT_KO_2025_03),
    "lmms-mmstar-ko-2025-03": lmms_mmstar(""),
    "lmms-mmbench-ko": lmms_mmbench(DIRECT_KO),
    "lmms-seed-ko": lmms_seed(DIRECT_KO),
    "lmms-dtcbench": lmms_dtcbench(DIRECT_KO),
    "lmms-mmstar": lmms_mmstar(DIRECT_EN.removesuffix(".")),
    "lmms-mmbench-en": lmms_mmbench(DIRECT_EN),
    "lmms-seed-en": lmms_seed(DIRECT_EN),
    "vlmevalkit-mcq": vlmevalkit,
    "kreta-direct": kreta,
    "strict-ko": strict(DIRECT_KO),
    "strict-en": strict(DIRECT_EN),
    "question": question_only,
}
