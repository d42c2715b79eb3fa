"""How it is asked where text stands in a picture, in both languages; the lists are built like those of `wording`. {word} comes in quotes."""

from __future__ import annotations

from varco_vision.synth.wording import Templates

TEXT = {"ko": "글자", "en": "text"}  # what answers call it

WHERE_IS_TEXT: Templates = {
    "ko": (
        "글자는 어디에 있나요?",
        "글자를 찾아 줘.",
        "글자가 어디에 있는지 알려 줘.",
        "그림에서 글자를 모두 찾아 주세요.",
        "글자가 적힌 곳을 알려 주세요.",
        "이 그림의 어디에 글자가 있어?",
        "글자가 있는 자리를 표시해 주세요.",
        "글씨는 어디에 적혀 있나요?",
        "단어가 적힌 곳을 모두 찾아 줘.",
        "글이 적힌 위치를 알려 주세요.",
        "적혀 있는 글자의 위치를 알려 줘.",
        "글자를 상자로 표시해 줘.",
    ),
    "en": (
        "Where is the text?",
        "Find the text.",
        "Locate the text.",
        "Show me where the text is.",
        "Where is something written?",
        "Find all words in the picture.",
        "Mark the text with boxes.",
        "Please find the text in this image.",
        "Where are the words?",
        "Tell me the position of the text.",
        "Point out everything that is written.",
        "Give me the location of the text.",
    ),
}

WHERE_IS_WORD: Templates = {
    "ko": (
        "{word|은/는} 어디에 적혀 있나요?",
        "{word} 글자를 찾아 줘.",
        "{word|이/가} 어디에 있는지 알려 줘.",
        "{word|이라고/라고} 적힌 곳을 찾아 주세요.",
        "{word|이라고/라고} 쓰인 곳은 어디야?",
        "그림에서 {word|을/를} 찾아 줘.",
        "{word} 글자의 위치를 알려 주세요.",
        "{word|이라는/라는} 글자는 어디에 있어?",
        "어디에 {word|이라고/라고} 적혀 있나요?",
        "{word|이라는/라는} 단어를 표시해 주세요.",
        "{word|이/가} 적힌 자리를 알려 줘.",
        "{word|은/는} 그림의 어디쯤에 있나요?",
    ),
    "en": (
        "Where is {word}?",
        "Find {word}.",
        "Find the word {word}.",
        "Where is {word} written?",
        "Locate the text {word}.",
        "Show me where it says {word}.",
        "Where does it say {word}?",
        "Please find {word} in the picture.",
        "Mark the word {word} with a box.",
        "Tell me the position of {word}.",
        "Can you find the word {word}?",
        "Point out the text {word}.",
    ),
}
