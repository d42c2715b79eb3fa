"""Which option a free-form answer chooses: Korean and English, precise where the answer is ambiguous. No torch.

`choice` reads an answer in steps: one spelling of everything that looks alike (`spelling.plain`), what is set against or among
other letters taken out ("A가 아니라 B", "A, B 중에서는 B"), then evidence of falling strength. A final declaration
(최종 정답, \\boxed) goes before declarations (정답은 B, B가 맞다, the answer is B), and these before mere forms
(the answer begins with "B." or ends with "(B)"). Evidence of one strength for two letters is no answer: None.
Nothing is guessed: a letter inside a word, an English article, a question, a refusal or "B일 수도 있다" choose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from varco_vision.errors import InputError
from varco_vision.eval import spelling
from varco_vision.eval.spelling import bare, without_copula

VERSION = "choice-1"  # part of cache keys and protocol ids: changes whenever any answer is read differently

Options = Mapping[str, str] | Sequence[str] | None


def choice(answer: str, letters: str = "ABCD", options: Options = None) -> str | None:
    """The letter of `letters` that an answer chooses, None when it chooses none or several.

    options: texts of the options, by letter or in order. An answer that equals one of them (case, blanks, final stop
    and copula apart), alone or after "정답은" / "the answer is", chooses it; a text inside a sentence does not.
    Arabic and circled digits count options from 1. Raises `InputError` for letters that are not distinct A to Z.
    """
    spelled = _letters(letters)
    texts = _texts(options, spelled)
    if not isinstance(answer, str):
        raise InputError(f"an answer is text; found {type(answer).__name__}")
    plain = spelling.plain(answer)
    if not plain:
        return None
    if (same := _same_text(plain, texts)) is not None:
        return same or None
    rules = _rules(spelled)
    found = rules.read(plain, texts)
    return None if found is None else letters[spelled.index(found)]


def _letters(letters: str) -> str:
    upper = letters.upper()
    if not re.fullmatch(r"[A-Z]+", upper) or len(set(upper)) != len(upper):
        raise InputError(f"letters are {letters!r}; distinct letters A to Z are needed, such as 'ABCD'")
    return upper


def _texts(options: Options, letters: str) -> dict[str, str]:
    """Comparable text of each option by letter; empty ones left out."""
    if options is None:
        return {}
    pairs = options.items() if isinstance(options, Mapping) else zip(letters, options, strict=False)
    cleaned = {letter.upper(): bare(spelling.plain(str(text))) for letter, text in pairs if text is not None}
    return {letter: text for letter, text in cleaned.items() if text and letter in letters}


# --- whole answers ---------------------------------------------------------------------------------------------------

_COPULA = (
    r"(?:입니다|이옵니다|이다|이에요|예요|에요|이예요|이야|야|임|이죠|죠|이지요|지요|이네요|네요|이었습니다|였습니다|"
    r"이었다|였다|다|요|이고|고|이며|며|이므로|므로|이니까|니까|인데|이지만|지만|이라서|라서)(?![가-힣])"
)


_KO_NOUN = r"(?:정\s?답(?:지|\s?번호)?|답안|답변|해답|모범답안|답|결론|선택|응답)"
_DECLARES = re.compile(
    rf"^(?:(?:따라서|그러므로|그래서|즉|결론적으로),?\s*)?(?:최종\s*)?(?:제\s)?{_KO_NOUN}(?:은|는|:|\s*=)+\s*|"
    r"^(?:(?:so|therefore|thus|hence),?\s*)?(?:the\s+|my\s+)?(?:final\s+|correct\s+|best\s+)*answer(?:\s+is|\s*:)\s*:?\s*",
    re.I,
)


def _same_text(plain: str, texts: Mapping[str, str]) -> str | None:
    """Letter of the option whose text the answer equals; "" when it equals several; None when it equals none."""
    whole = bare(plain)
    for one in (whole, _DECLARES.sub("", whole, count=1)):
        for form in dict.fromkeys((one, without_copula(one))):
            hits = [letter for letter, text in texts.items() if form in (text, without_copula(text))]
            if hits:
                return hits[0] if len(hits) == 1 else ""
    return None


# --- the words around a letter -------------------------------------------------------------------------------------

_PARTICLE = (
    r"(?:은|는|이|가|을|를|만|도|로|와|과|랑|나|보다|라|란|인|일|임|번|입|예|에요|다|야|요|죠|지|네|였|고|며|므|니|말|대신|이었|에 해당|"
    r"및|또는|혹은|중|처럼 보)"
)
_NEGATED = (
    r"아니|아닌|아닐|아님|아닙|아녜|어렵|어려|힘들|힘듭|지 마|지 말|틀[리린림렸립려](?!없)|오답|잘못|제외|배제|탈락|소거|부적|부정확|거짓|어긋|무관|"
    r"(?<!틀림)(?<!여지가 )(?<!여지 )없(?!이)|못|않|안 (?:되|돼|맞)|거리가 멀"
)
_ADVERBS = r"(?:(?:가장|제일|더|바로|좀|훨씬|분명히?|확실히|명확히|당연히|아마도?|역시|올바른|옳은|알맞은|맞는|정확한|적절한)\s*)*"
_FITS = r"(?:정답|답(?!변)|맞|옳|올바|적절|적합|알맞|타당|정확|가깝|가까|어울|최선|유력|선택되|일치|확실|분명|틀림없|좋겠|좋을|나을|낫)"
_OPINION = (
    r"(?: ?같(?:아요|습니다|다|음|네요)|일 거[예야]|일 겁니다|일 듯|겠네요|임이 (?:분명|확실)|임에 틀림없|인 것 같|일 것(?! 같지)|인 것(?:으로|이)|인 듯|인 걸|라고?\s*(?:생각|판단|봅|보|볼 수 있|할 수 있|답|추정|확신|결론|"
    r"말할 수 있|믿)|라는 (?:것|결론|답|점)|임을? (?:알 수 있|확인|의미)|"
    r"으?로 (?:보[이여입]|보인|판단|생각|추정|예상|결정|하겠|선택|답|볼 수 있|정하|고르|추론|확인|결론)|"
    r"[이가] (?:되겠|됩니다|된다|되어야)|일 (?:가능성|확률)이 (?:가장 |매우 |더 |제일 )*(?:높|큽|크|큰|커))"
)
_HEDGE = r"^\)?(?:번)?(?:이)?(?:였다가|일지|인지|일까|인가|일 ?수|라면|거나|든지|일 리|인 줄|라 해도|라고 해도|일 (?:가능성|확률)(?!이 (?:가장 |매우 |더 |제일 )*(?:높|큽|크|큰|커))|[이가] 될 수|[이가]? ?아닐까)"
_REFUSAL = re.compile(
    r"(?:알|판단|선택|결정|답|답변|고르|고를|확인|특정|파악|말씀드릴|구별|식별|단정)(?:을|를)?\s*(?:하기|할|드릴|지을)?\s*"
    r"(?:수(?:는|가)? 없|수 없|어렵|못)|모르겠|모릅니다|불가능|불분명|정답이 없|답이 없|"
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|not able to|do not know|don't know|not sure|impossible|unclear|"
    r"none of)\b",
    re.I,
)
_AFTER_NAME = r"(?:\s*번)?(?:\s?(?:보기|선택지|옵션|항목|답|문항|option|choice))?"
_KO_HEAD = re.compile(
    rf"(?:^|[\s(,:])(?:{_KO_NOUN}(?:은|는|이|으로는?)?|"
    r"[가-힣]+ (?:것|보기|선택지|설명|문장|항목|내용|표현|그림|사진|단어|옵션|번호)(?:은|는|:))"
    r"\s*[:=→-]*\s*(?:(?:바로|당연히|확실히|분명히|아마도?|역시|제 생각에는?)\s*)*(?:보기|옵션|선택지|항목|번호)?\s*\(?$"
)
_FINAL_HEAD = re.compile(
    r"(?:최종[^.\n]{0,8}(?:답|선택|결론)(?:은|는|으로)?\s*[:=]?\s*|\bfinal\s+(?:answer|choice)\s*(?:is\b|:|=)*\s*:?\s*)"
    r"(?:보기|옵션|선택지|option\b|choice\b)?\s*\(?$",
    re.I,
)
_EN_FILL = r"(?:(?:that|it|it's|is|the|therefore|thus|clearly|definitely|most|likely|probably|option|choice|letter|answer|be)\s+)*"
_EN_HEAD = re.compile(
    r"(?:\b(?:answer|ans|solution|response|letter)\s*(?:is\b|was\b|would be\b|should be\b|must be\b|:|=|\.)*\s*:?\s*|"
    r"\b(?:correct|right|best|my)\s+(?:option|choice|letter|one|statement)\s*(?:is\b|would be\b|:|=)\s*:?\s*|"
    r"^(?:option|choice|selection)\s*:\s*|\b(?:option|choice)\s+is\s+|"
    r"\b(?:choose|chose|pick|picked|select|selected|go with|going with|say|guess|think|believe|it's|it is|that's|"
    r"must be|should be|would be|points to|therefore|thus|hence|so)[,:]?\s+|"
    r"^(?:definitely|probably|certainly|clearly|most likely|likely|surely|obviously)\s+)"
    rf"{_EN_FILL}\(?$",
    re.I,
)
_EN_IF = re.compile(
    r"\b(?:if|whether|could be|may be|might be|maybe|perhaps|possibly)\s+(?:it(?:'s| is)\s+)?\(?$", re.I
)
_EN_IS = r"^\)?,?\s*(?:is|was|would be|seems|appears|looks|must be|should be)\s+"
_EN_FITS = re.compile(
    _EN_IS + r"(?:to be\s+)?(?:the\s+|my\s+|clearly\s+|indeed\s+|most\s+|best\s+|only\s+|final\s+|more\s+)*"
    r"(?:correct|right|answer|best|true|accurate|appropriate|suitable|choice|option|closest|match|better)(?!\?)",
    re.I,
)
_EN_NOT = re.compile(
    r"^\)?,?\s*(?:(?:is|was|are|were|would be|seems?|must be)\s+(?:also\s+|clearly\s+|definitely\s+)?"
    r"(?:not|incorrect|wrong|false|inaccurate|ruled out|eliminated|excluded|out\b|irrelevant|unlikely)|"
    r"(?:isn't|aren't|wasn't|doesn't|does not|do not|don't|cannot|can't|won't|can be (?:ruled|excluded|eliminated))|"
    r"(?:incorrect|wrong|false)\b)",
    re.I,
)
_CLAUSE_END = re.compile(r",|;|(?<![라다냐자])고\s|며\s|지만(?:\s|$)|므로\s|니까\s|는데\s|[아어여해라]서\s|때문|왜냐")
_CONCEDES = re.compile(r"(?:지만|으나|는데|더라도|해도)\s*$")
_LEADS_UP = re.compile(
    r"(?:^|은|는|이|가|로|서|면|고|며|니|즉|론|에|한|인|된|만|도|데|중|[,:;)-]|결국|답|따라서|그래서|아마|아마도|역시|바로|당연히)\s*$"
)
_ORDINALS = {
    "첫": 1,
    "두": 2,
    "세": 3,
    "네": 4,
    "다섯": 5,
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
}


@dataclass
class _Evidence:
    """Letters by what speaks for or against them."""

    final: set[str] = field(default_factory=set)
    strong: set[str] = field(default_factory=set)
    weak: set[str] = field(default_factory=set)
    against: set[str] = field(default_factory=set)


class _Rules:
    """The patterns for one set of letters. X stands for one letter as text has it, brackets included."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        upper, digits = f"[{letters}]", f"[1-{min(9, len(letters))}]"
        small = f"[{letters.lower()}]"
        bare = (
            rf"(?<![A-Za-z0-9°])(?<![A-Za-z0-9][-.'])(?<!° ){upper}(?![A-Za-z0-9+#])(?!-[A-Za-z0-9])(?!\.[A-Za-z0-9])(?!'[a-z])"
            rf"(?=$|[^가-힣]|{_PARTICLE})(?!번째)"
        )
        article = r"(?!(?<=[AI]) (?!is\b|was\b|because\b|since\b|as\b|and\b|or\b|but\b|seems\b|appears\b|isn't\b|wasn't\b|over\b)[A-Za-z])"
        self.x = rf"(?:(?<![A-Za-z0-9])\({upper}\)|{bare}{article})(?:번(?!째))?"
        join = r"(?> *(?:, *(?:and\b|or\b|그리고|또는|혹은)?|와|과|도|및|또는|혹은|이?랑|이?나|이?거나|아니면|그리고|\bor\b|\band\b|&|/|~|-) *)"
        self.group = re.compile(rf"{self.x}(?:{join}(?:option |choice |보기 )?{self.x}){{0,25}}")
        many = rf"(?>(?:(?:보기|선택지|옵션) )?{self.x}(?:{join}{self.x}){{0,25}})"
        self.aside = re.compile(
            rf"{many}{_AFTER_NAME}(?:\([^()]*\))?"
            r"(?:(?:[이가]|은|는|도|를|을|로)?\s*(?:정?답이 )?(?:아니라|아니고|아닌|아니며|말고|대신|제외하고|제외한|제외하면|빼고)"
            r"(?=\s)|보다는?|[와과](?:는)? 달리|에 비해)\s*,?\s*|"
            rf"\b(?:[Nn]ot|[Rr]ather than|[Ii]nstead of|except|other than|unlike|over|than)\s+(?:option |choice |the )?{many}(?:,?\s*but\b)?\s*",
        )
        self.scope = re.compile(
            rf"{many}\s*(?:의|이라는|라는)?\s*(?:네 가지|세 가지|두 가지)?\s*(?:보기|선택지|옵션|가운데)?\s*(?:중|가운데)(?:에서|에)?(?:는|도|의)?\s*,?\s*|"
            rf"\b(?:[Aa]mong|[Bb]etween|[Oo]f|[Ff]rom|[Oo]ut of)\s+(?:options? |choices? )?{self.x}(?:(?> *, *){self.x}){{0,25}},?\s*(?:and|or|&)\s+{self.x}\s*,?\s*"
        )
        self.list_mark = re.compile(rf"(?:^|\s)\(?({upper})\)?\s?[.):](?=\s|$)", re.M)
        self.line = re.compile(
            rf"(?:(?:{_KO_NOUN}|보기|옵션|선택지|option|choice|answer|letter)\s*:?\s*)?"
            rf"\(?({upper}|{small}|{digits})\s*(?:\)|번)*\s*{_AFTER_NAME}\s*(?:{_COPULA})?[\s.,!~^;:)-]*",
            re.I,
        )
        self.small = re.compile(
            rf"(?<![A-Za-z0-9.,])(?:({small}|{digits})(?=번(?:$|[.,!)\n]| (?:보기|선택지|옵션|항목|답|문항|중|또는|혹은)|입니다|이다|이에요|예요|임|이고|이며|은|는|이 |가 |을|를|"
            rf"으로|로|과 |와 )))|"
            rf"\(\s*({small}|{digits}|{upper})\s*\)"
        )
        tail = rf"(?=\s*(?:$|[.!)\n]|,(?!\s*(?:{digits}|{small})\b)|번|[은는이가을를로]\s|{_COPULA}|라고|인 것|일 것|으로|because|since|:))"
        apart = rf"(?!\s*(?:,|~|/|-|와|과|이?나|또는|혹은|및|or|and|&)\s*(?:{digits}|{small})\b)(?!\s*[.,/:]\d)"
        self.declared_small = re.compile(
            rf"((?:{_KO_NOUN}(?:은|는|이)?\s*[:=]?\s*|\banswer(?:\s+is)?\s*:?\s*|\b(?:it's|it is|think|choose|pick|select)\s+)"
            rf"(?:option |choice |보기 ?|옵션 ?|선택지 ?)?)({small}|{digits})(?![A-Za-z0-9]){apart}{tail}",
            re.I,
        )
        self.named_small = re.compile(
            rf"((?:보기|옵션|선택지|\boption|\bchoice)\s*)({small}|{digits})(?![A-Za-z0-9가-힣]){apart}", re.I
        )
        self.first = re.compile(
            rf"^(?:(?:보기|옵션|선택지|[Oo]ption|[Cc]hoice)\s*)?\(?({upper}|{small}|{digits})\s*(?:\)?[.:]|\))(?=\s|$|[가-힣])"
        )
        self.named = re.compile(r"(?:보기|옵션|선택지|항목|[Oo]ption|[Cc]hoice|번호)\s*$")

    def letter(self, mark: str) -> str:
        """The letter that a mark stands for: B, b or 2."""
        return self.letters[int(mark) - 1] if mark.isdigit() else mark.upper()

    def canonical(self, text: str) -> str:
        """Digits, small letters and ordinals that stand for options as (B)."""
        ordinal = r"(첫|두|세|네|다섯)\s?번째(?= (?:보기|선택지|옵션|항목|답)|입니다)|\b(first|second|third|fourth|fifth)(?= (?:option|choice|answer))"
        text = re.sub(ordinal, lambda m: self._nth(_ORDINALS[(m[1] or m[2]).lower()], m[0]), text, flags=re.I)
        text = self.declared_small.sub(lambda m: f"{m[1]}({self.letter(m[2])})", text)
        text = self.named_small.sub(lambda m: f"{m[1]}({self.letter(m[2])})", text)
        return self.small.sub(lambda m: f"({self.letter(m[1] or m[2])})", text)

    def _nth(self, number: int, otherwise: str) -> str:
        return f"({self.letters[number - 1]})" if number <= len(self.letters) else otherwise

    def read(self, plain: str, texts: Mapping[str, str]) -> str | None:
        """The chosen letter of a text that `spelling.plain` made."""
        if (whole := self.line.fullmatch(plain)) and "?" not in plain:
            return self.letter(whole[1])
        text = self.canonical(plain)
        against: set[str] = set()

        def out(match: re.Match[str]) -> str:
            against.update(self.in_group(match[0]))
            return ""

        text = self.scope.sub("", text)
        text = re.sub(r" +", " ", self.aside.sub(out, text)).strip().lstrip(" .,;:")
        found = _Evidence(against=against)
        for sentence in _sentences(text):
            self.weigh(sentence, found, texts)
        edges = self.edges(text, plain, texts)
        refused = bool(_REFUSAL.search(_mask(plain, texts)))
        return _decide(found, edges, refused)

    def in_group(self, text: str) -> list[str]:
        return [re.search(f"[{self.letters}]", x[0])[0] for x in re.finditer(self.x, text)]  # type: ignore[index]

    def weigh(self, sentence: str, found: _Evidence, texts: Mapping[str, str]) -> None:
        """Put every letter of a sentence where it belongs. Questions say nothing."""
        if sentence.endswith("?"):
            return
        groups = list(self.group.finditer(sentence))
        for place, group in enumerate(groups):
            head = sentence[groups[place - 1].end() if place else 0 : group.start()]
            tail = sentence[group.end() : groups[place + 1].start() if place + 1 < len(groups) else len(sentence)]
            letters = set(self.in_group(group[0]))
            if len(letters) == 1 and _other_text(next(iter(letters)), tail, texts):
                found.strong |= letters | {
                    "?"
                }  # a letter beside the text of another option: the answer contradicts itself
            else:
                self.place(letters, head, tail, sentence[: group.start()], found)

    def place(self, letters: set[str], head: str, tail: str, before: str, found: _Evidence) -> None:
        """File the letters of one group by the words before and after it."""
        after = re.sub(rf"^\)?{_AFTER_NAME}\s*(?:\([^()]*\))?", "", tail)
        clause = after[: end.end()] if (end := _CLAUSE_END.search(after)) else after
        declared = bool(_KO_HEAD.search(head) or _EN_HEAD.search(head))
        if re.match(_HEDGE, tail) or _EN_IF.search(head):
            return
        claims = re.match(_COPULA, after) or re.match(_OPINION, after)
        denied = not re.match(_COPULA, after) and not tail.startswith(":") and _denied(clause)
        if denied or _NOT_HEAD.search(head) or _EN_NOT.match(after) or _EN_DOUBTS.search(before):
            found.against |= letters
        elif _FINAL_HEAD.search(before):
            found.final |= letters
        elif declared and not re.match(r"\s*(?:쪽|형|급)", after):
            found.strong |= letters
        elif (
            _fits(clause)
            or _EN_FITS.match(after)
            or (before.endswith("but ") and re.fullmatch(r"\)?\s?(?:is|does)\W*", after))
        ):
            found.strong |= set() if _CONCEDES.search(clause) else letters
        elif re.match(r"^도\s", after) and not _CONCEDES.search(clause) and re.search(r"가능|될 수|맞|정답", clause):
            found.strong |= letters
        elif claims and not _CONCEDES.search(clause) and (_LEADS_UP.search(head) or self.named.search(head)):
            found.weak |= letters

    def edges(self, text: str, plain: str, texts: Mapping[str, str]) -> set[str]:
        """Letters that the answer begins or ends with, or names as an option alone, in a form that no running text has."""
        lines = text.split("\n")
        alone = [self.letter(m[1]) for line in lines if (m := self.line.fullmatch(line)) and not line.endswith("?")]
        digits_only = {m[1] for line in lines if (m := self.line.fullmatch(line)) and m[1].isdigit()}
        found = {a for a in alone} if not digits_only or len(lines) == 1 else set()
        if len(lines) > 1 and found and not self.line.fullmatch(lines[0]) and not self.line.fullmatch(lines[-1]):
            found = set()
        marks = {m[1] for m in self.list_mark.finditer(text)}
        if len(marks) < 2:
            found |= self.opening(lines, plain, texts)
        return found | self.closing(text)

    def opening(self, lines: Sequence[str], plain: str, texts: Mapping[str, str]) -> set[str]:
        """ "B. 고양이", "(B) 고양이", "B, because", "B 고양이" where option B is 고양이."""
        first = lines[0]
        mark = self.first.match(first) or re.match(
            rf"^(?:\(([{self.letters}])\)번?|([{self.letters}])번)(?=\s|$|[가-힣:])", first
        )
        if mark is not None:
            written = mark[mark.lastindex or 1]
            letter, rest = self.letter(written), first[mark.end() :].strip(" :.")
            if texts.get(letter) and _other_text(letter, f". {rest}", texts):
                return {letter, "?"}
            from_digit = written.isdigit() or plain[:1].isdigit() or plain[:2].lstrip("(")[:1].isdigit()
            if from_digit and not self._short(rest, letter, lines, texts):
                return set()
            if _NO_TEXT.match(rest):
                return set()
            if _denied(rest[:30]) and re.match(r"번?(?:은|는|이|가|도)\s", rest):
                return set()
            return (
                set()
                if re.match(rf"번?{_PARTICLE}(?![가-힣]*{_COPULA})", rest) and rest[:1] in "은는이가을를와과도보나"
                else {letter}
            )
        plain_mark = re.match(
            rf"^([{self.letters}])(?:\s*[,;–—-]\s+(?![{self.letters}]\b|maybe|or\b|perhaps|possibly|혹은|또는|아니면|아니,)|"
            r"\s?[–—-](?=[가-힣])|\s+(?=because\b|since\b|as\b|왜냐))",
            first,
        )
        if plain_mark is not None:
            return {plain_mark[1]}
        if beside := re.fullmatch(rf"([{self.letters}])번?\s*\([^()]+\)[\s.]*", first):
            return {beside[1]}
        spaced = re.match(rf"^([{self.letters}]|[{self.letters.lower()}]|[1-9])번?\s+(.+)$", first)
        if spaced is not None and (spaced[1].isalpha() or int(spaced[1]) <= len(self.letters)):
            letter = self.letter(spaced[1])
            if texts.get(letter) and without_copula(bare(spaced[2])) == without_copula(texts[letter]):
                return {letter}
        return set()

    def _short(self, rest: str, letter: str, lines: Sequence[str], texts: Mapping[str, str]) -> bool:
        """Whether "2. 고양이" is an answer rather than the start of a numbered explanation."""
        if texts:
            return not rest or without_copula(bare(rest)) == without_copula(texts.get(letter, ""))
        return len(lines) == 1 and len(rest) <= 30 and not re.search(r"\d[.)]\s|다\.|\d$", rest)

    def closing(self, text: str) -> set[str]:
        """The last words "(B)", "B번", "보기 B", "따라서 B" of the text."""
        last = _sentences(text)[-1] if _sentences(text) else ""
        groups = list(self.group.finditer(last))
        if not groups or last.endswith("?") or not re.fullmatch(r"[\s.,!)]*", last[groups[-1].end() :]):
            return set()
        group, head = groups[-1], last[: groups[-1].start()]
        if not head.strip() and len({m[1] for m in self.list_mark.finditer(text)}) > 1:
            return set()
        bracketed = group[0].startswith("(") and bool(head.strip())
        if bracketed or group[0].endswith("번") or self.named.search(head) or _LEADS_UP.search(head):
            letters = set(self.in_group(group[0]))
            return letters if not _NOT_HEAD.search(head) and not _EN_IF.search(head) and _tells(head) else set()
        return set()


_NO_TEXT = re.compile(
    r"(?:틀[리렸린림립]|오답|아니|아닙|정?답이 아|제외|잘못|해당 없|[xX✗]$|wrong\b|incorrect\b|not\b|false\b|no\b)",
    re.I,
)
_EN_DOUBTS = re.compile(
    r"\b(?:don't|do not|doesn't|does not|wouldn't|would not|can't|cannot)\s+(?:think|believe|say|choose|select|pick)\b[^,.;]*$",
    re.I,
)
_NOT_HEAD = re.compile(r"\b(?:not|isn't|wasn't|never|without|except)\s+(?:an?\s+|option\s+|choice\s+)?\(?$", re.I)


def _tells(head: str) -> bool:
    """Latin text ends with a bare letter in too many ways ("vitamin (C)"): there a declaration is needed."""
    return not re.search(r"[A-Za-z]", head) or bool(
        _EN_HEAD.search(head) or re.search(r"(?:option|choice)\s*$", head, re.I)
    )


def _fits(clause: str) -> bool:
    """ "가 맞다", "를 선택합니다", "은 정답입니다": the clause after a letter says that it is the one."""
    return not re.search(r"라면|다면|일까|인지|는지|수도 있|될 수 있", clause) and bool(
        re.match(rf"^(?:이|가|만이?)\s?(?:[가-힣]+(?:에|과|와|게|히|으로|로|서)\s)?{_ADVERBS}{_FITS}", clause)
        or re.match(r"^(?:이|가|에)\s?해당(?:합|됩|한|된|함|하)", clause)
        or re.match(r"^(?:이|가)\s?(?:가장|제일|더)\s?잘\s", clause)
        or re.match(rf"^(?:은|는)\s?{_ADVERBS}(?:정답|맞[는습다아]|옳[은습다]|올바른)", clause)
        or re.match(r"^(?:을|를)\s?(?:[가-힣]+으?로\s)?(?:선택|고르|고릅|골|택|답으로|정답으로|뽑|추천)", clause)
        or re.match(r"^으?로\s(?:선택|답|고르|정하|하겠|결정)", clause)
    )


def _denied(clause: str) -> bool:
    return bool(re.search(_NEGATED, clause[:40]))


def _mask(text: str, texts: Mapping[str, str]) -> str:
    """The text without the options' own words, which may look like a refusal ("알 수 없음")."""
    for option in sorted(texts.values(), key=len, reverse=True):
        text = re.sub(re.escape(option), " ", text, flags=re.I)
    return text


def _other_text(letter: str, tail: str, texts: Mapping[str, str]) -> bool:
    """Whether what stands beside a letter ("B(개)", "B. 개") is exactly the text of another option."""
    beside = re.match(r"^\)?번?\s*(?:\(([^()]+)\)|[.:)]\s*(.+)$)", tail)
    if beside is None or not texts:
        return False
    told = without_copula(bare(beside[1] or beside[2]))
    return any(told == without_copula(text) for other, text in texts.items() if other != letter) and (
        told != without_copula(texts.get(letter, ""))
    )


def _sentences(text: str) -> list[str]:
    """Sentences with their final mark. "B. 고양이" at the start of a line is not cut behind the letter."""
    parts = re.split(r"\n|(?<=[^\s.][.!?])\s+(?!$)", re.sub(r"(?m)^(\(?[A-Z]\)?)\.\s", r"\1: ", text))
    return [part.strip() for part in parts if part.strip()]


def _decide(found: _Evidence, edges: set[str], refused: bool) -> str | None:
    """One letter of the strongest evidence there is, unless evidence of like strength speaks for or against."""
    if found.final:
        return _only(found.final)
    if found.strong:
        letters = found.strong | edges
        return None if found.strong & found.against else _only(letters)
    if refused and not edges:
        return None
    letters = (found.weak | edges) if not refused else edges
    return None if letters & found.against else _only(letters)


def _only(letters: set[str]) -> str | None:
    return next(iter(letters)) if len(letters) == 1 else None


@lru_cache(maxsize=64)
def _rules(letters: str) -> _Rules:
    return _Rules(letters)
