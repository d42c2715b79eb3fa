"""How multiple choice is asked in both languages; the lists are built like those of `wording`."""

from __future__ import annotations

from varco_vision.synth.wording import Templates

BY_LETTER = {
    "ko": (
        "기호로 답하세요.",
        "알맞은 기호를 고르세요.",
        "보기의 기호만 말해 주세요.",
        "정답의 문자로 바로 답하세요.",
        "주어진 선택지 중 해당 옵션의 문자로 바로 답하세요.",
        "맞는 것의 기호만 적어 줘.",
    ),
    "en": (
        "Answer with the letter.",
        "Reply with the letter only.",
        "Answer with the option's letter from the given choices directly.",
        "Which letter is right?",
        "Give the letter of the right option.",
        "Choose one letter.",
    ),
}

MISSING: Templates = {
    "ko": (
        "그림에 없는 것은 무엇인가요?",
        "다음 중 그림에 없는 것을 골라 줘.",
        "보기 중에서 그림에 없는 것은 무엇이야?",
        "무엇이 그림에 없나요?",
        "그림에서 찾을 수 없는 것을 고르세요.",
        "다음 중 이 그림에 그려져 있지 않은 것은 무엇인가요?",
        "그림에 나오지 않는 것은 무엇인가요?",
        "그림에 없는 것 하나를 고르세요.",
        "이 가운데 그림에 없는 것은 무엇이야?",
        "그림에 보이지 않는 것은 무엇인가요?",
        "이미지에 없는 것을 골라 주세요.",
        "이 중에 그림에서 볼 수 없는 것이 뭐야?",
    ),
    "en": (
        "What is not in the picture?",
        "Which of these is not in the picture?",
        "Which of the following is missing from the picture?",
        "Choose what the picture does not show.",
        "Which one cannot be seen in this image?",
        "Which of these is absent?",
        "Pick the one that is not shown.",
        "Which option does not appear in the image?",
        "Which of these can you not find in the picture?",
        "What is missing here?",
        "One of these is not in the picture; which one?",
        "Tell me which of these is not there.",
    ),
}

EXTREMES = {
    "left": {"ko": "가장 왼쪽에 있는", "en": "furthest to the left"},
    "right": {"ko": "가장 오른쪽에 있는", "en": "furthest to the right"},
    "top": {"ko": "가장 위쪽에 있는", "en": "nearest to the top"},
    "bottom": {"ko": "가장 아래쪽에 있는", "en": "nearest to the bottom"},
    "largest": {"ko": "가장 큰", "en": "the largest"},
    "smallest": {"ko": "가장 작은", "en": "the smallest"},
}

EXTREME: Templates = {
    "ko": (
        "{which} 것은 무엇인가요?",
        "{which} 물체는 무엇이야?",
        "그림에서 {which} 물체는 무엇인가요?",
        "이 그림에서 {which} 것을 골라 줘.",
        "{which} 모양은 무엇인가요?",
        "{which} 것을 고르세요.",
        "{which} 것이 무엇인지 골라 주세요.",
        "{which} 물체를 골라 줘.",
        "이미지에서 {which} 것은 무엇이야?",
        "{which} 물체는 다음 중 무엇인가요?",
        "보기 중에서 {which} 것은 무엇인가요?",
        "{which} 것이 뭐야?",
    ),
    "en": (
        "Which object is {which}?",
        "What is {which}?",
        "Which of these is {which}?",
        "Tell me which object is {which}.",
        "In this picture, which thing is {which}?",
        "Choose the object that is {which}.",
        "Name the object that is {which}.",
        "Of these objects, which is {which}?",
        "Pick the object that is {which}.",
        "Which one is {which}?",
        "What do you see that is {which}?",
        "Which shape is {which}?",
    ),
}

QUARTERS = {
    "ko": ("왼쪽 위", "오른쪽 위", "왼쪽 아래", "오른쪽 아래"),
    "en": ("top left", "top right", "bottom left", "bottom right"),
}

CORNER: Templates = {
    "ko": (
        "{name|은/는} 그림의 어느 쪽에 있나요?",
        "{name|이/가} 있는 곳은 어디야?",
        "{name|은/는} 어느 구석에 가까운가요?",
        "그림에서 {name}의 위치는 어디인가요?",
        "{name|이/가} 어느 쪽에 있는지 골라 줘.",
        "{name|은/는} 어디쯤에 있나요?",
        "{name|은/는} 화면의 어디에 있어?",
        "{name|을/를} 찾으면 어느 쪽에 있나요?",
        "{name|이/가} 그려진 자리는 어디인가요?",
        "이미지에서 {name|은/는} 어느 쪽에 보이나요?",
        "{name|이/가} 있는 쪽을 고르세요.",
        "{name|은/는} 어느 쪽이야?",
    ),
    "en": (
        "In which part of the picture is the {name}?",
        "Where is the {name}?",
        "Which corner is the {name} nearest to?",
        "Where in the picture can the {name} be seen?",
        "Which quarter holds the {name}?",
        "Choose where the {name} is.",
        "The {name} is in which part of the image?",
        "On which side is the {name}?",
        "Point out the part of the picture with the {name}.",
        "Which area contains the {name}?",
        "Tell me where the {name} is.",
        "Where do you see the {name}?",
    ),
}

WRITTEN: Templates = {
    "ko": (
        "그림에 적힌 단어는 무엇인가요?",
        "무엇이라고 적혀 있나요?",
        "다음 중 그림에 적혀 있는 것은 무엇이야?",
        "그림에 쓰여 있는 글자를 골라 줘.",
        "적혀 있는 것을 고르세요.",
        "보기 중에서 그림에 적힌 글자는 무엇인가요?",
        "그림 속의 글자는 무엇인가요?",
        "어떤 단어가 적혀 있어?",
        "그림에서 읽을 수 있는 단어는 무엇인가요?",
        "쓰여 있는 단어를 골라 주세요.",
        "이미지에 적힌 말은 무엇이야?",
        "이 그림에는 무엇이 쓰여 있나요?",
    ),
    "en": (
        "What is written in the picture?",
        "Which of these words is written here?",
        "Which word does the picture show?",
        "What does the text say?",
        "Choose the word that is written.",
        "Which of the following can be read in the picture?",
        "Pick the word that is written here.",
        "Which word can you read?",
        "Which of these does the image say?",
        "Read the picture: which word is it?",
        "What word is shown?",
        "Which word appears in the image?",
    ),
}

NAMED: Templates = {
    "ko": (
        "'{name}'의 기호는 무엇인가요?",
        "보기 중에서 '{name}'의 기호를 말해 주세요.",
        "다음 중 '{name}' 앞에 적힌 기호를 고르세요.",
        "정답이 '{name}'일 때 맞는 기호는 무엇인가요?",
        "'{name}'에 해당하는 기호를 말해 줘.",
        "'{name}'에 맞는 기호를 골라 주세요.",
    ),
    "en": (
        "Which letter stands before '{name}'?",
        "The answer is '{name}'. Which letter is it?",
        "Give the letter of '{name}'.",
        "Choose '{name}'.",
        "Under which letter do you find '{name}'?",
        "Which of these says '{name}'?",
    ),
}
