"""How questions are put, in both languages.

Every list begins with its four plainest ways, so that a small model can be taught with the first N (option
`wordings`). {name|은/는} is filled with the fitting particle (`korean.fill`). Polite and plain speech are mixed on
purpose, as people mix them.
"""

from __future__ import annotations

Templates = dict[str, tuple[str, ...]]

GROUNDING: Templates = {
    "ko": (
        "{name|은/는} 어디에 있어?",
        "{name|은/는} 어디에 있나요?",
        "{name|을/를} 찾아 줘.",
        "{name|이/가} 어디에 있는지 알려 줘.",
        "{name|을/를} 찾아 주세요.",
        "{name}의 위치를 알려 주세요.",
        "{name|이/가} 있는 곳을 알려 주세요.",
        "그림에서 {name|을/를} 찾아 줘.",
        "이미지에서 {name|은/는} 어디에 있나요?",
        "{name|은/는} 어디쯤에 있나요?",
        "{name|이/가} 어디 있는지 표시해 주세요.",
        "{name|을/를} 상자로 표시해 줘.",
        "이 그림의 어디에 {name|이/가} 있어?",
        "{name}의 자리를 가르쳐 주세요.",
    ),
    "en": (
        "Where is the {name}?",
        "Find the {name}.",
        "Locate the {name}.",
        "Show me where the {name} is.",
        "Where can I find the {name}?",
        "Please find the {name} in the picture.",
        "Where is the {name} in this image?",
        "Point out the {name}.",
        "Mark the {name} with a box.",
        "Tell me the position of the {name}.",
        "Can you find the {name}?",
        "Give me the location of the {name}.",
        "Which part of the image holds the {name}?",
    ),
}

GROUNDING_ALL: Templates = {
    "ko": (
        "{name|을/를} 모두 찾아 줘.",
        "{name|을/를} 전부 찾아 주세요.",
        "{name|은/는} 어디 어디에 있나요?",
        "{name|이/가} 있는 곳을 모두 알려 줘.",
        "그림에서 {name|을/를} 다 찾아 줘.",
        "이미지에서 {name|을/를} 모두 표시해 주세요.",
        "{name|을/를} 빠짐없이 찾아 주세요.",
        "{name}의 위치를 전부 알려 주세요.",
        "{name|을/를} 하나도 빼지 말고 찾아 줘.",
        "모든 {name}의 자리를 알려 줘.",
        "{name|을/를} 있는 대로 다 표시해 줘.",
        "어디에 {name|이/가} 있는지 모두 알려 주세요.",
    ),
    "en": (
        "Find all {name}.",
        "Locate all {name}.",
        "Where are the {name}?",
        "Show me all {name}.",
        "Find every one of the {name}.",
        "Mark all {name} with boxes.",
        "Where are all the {name} in the picture?",
        "Point out all {name}.",
        "Give me the locations of all {name}.",
        "Please find all {name} in this image.",
        "List the positions of all {name}.",
        "Where can I see {name}? Show me all of them.",
    ),
}

REFERENTS: Templates = {
    "ko": ("이 물체", "이것", "이 도형", "여기 있는 것"),
    "en": ("this object", "this", "this shape", "the marked object"),
}

REFERRING: Templates = {
    "ko": (
        "{ref|은/는} 무엇인가요?",
        "{ref|은/는} 뭐야?",
        "{ref|이/가} 무엇인지 알려 줘.",
        "{ref|은/는} 무엇이에요?",
        "{ref|이/가} 뭔지 말해 주세요.",
        "{ref|을/를} 뭐라고 부르나요?",
        "{ref|을/를} 짧게 설명해 줘.",
        "{ref}의 이름을 알려 주세요.",
        "그림에서 {ref|은/는} 무엇입니까?",
        "{ref|은/는} 어떤 물체인가요?",
        "{ref|이/가} 무엇으로 보이나요?",
        "{ref|이/가} 어떤 것인지 말해 줘.",
        "{ref|은/는} 무슨 물체야?",
    ),
    "en": (
        "What is {ref}?",
        "Name {ref}.",
        "Tell me what {ref} is.",
        "Can you tell what {ref} is?",
        "What do you call {ref}?",
        "Describe {ref} briefly.",
        "What would you say {ref} is?",
        "Please name {ref}.",
        "In the picture, what is {ref}?",
        "What does {ref} look like?",
        "Identify {ref}.",
        "Please tell me what {ref} is.",
    ),
}

COUNTING: Templates = {
    "ko": (
        "물체가 몇 개 있나요?",
        "물체는 모두 몇 개야?",
        "그림에 물체가 몇 개 있어?",
        "물체의 수를 세어 줘.",
        "물체가 전부 몇 개인가요?",
        "이 그림에는 물체가 몇 개 있나요?",
        "이미지에 있는 물체는 몇 개인가요?",
        "물체가 몇 개인지 세어 주세요.",
        "물체의 개수를 알려 주세요.",
        "여기에 물체가 몇 개 보이나요?",
        "도형이 모두 몇 개 있나요?",
        "도형은 몇 개야?",
        "보이는 물체를 모두 세면 몇 개예요?",
    ),
    "en": (
        "How many objects are there?",
        "Count the objects.",
        "How many objects are in the picture?",
        "What is the number of objects?",
        "How many objects can you see?",
        "Please count the objects in the image.",
        "How many things are in this image?",
        "How many shapes are there?",
        "Count all the shapes.",
        "Tell me how many objects there are.",
        "What is the total number of objects?",
        "How many objects does the picture show?",
        "Give me the number of objects in this image.",
    ),
}

COUNTING_NAMED: Templates = {
    "ko": (
        "{name|은/는} 몇 개 있나요?",
        "{name|은/는} 몇 개야?",
        "{name|이/가} 몇 개 있어?",
        "{name}의 수를 세어 줘.",
        "{name|이/가} 모두 몇 개인가요?",
        "그림에 {name|이/가} 몇 개 있나요?",
        "이미지에서 {name|은/는} 몇 개인가요?",
        "{name|이/가} 몇 개인지 세어 주세요.",
        "{name}의 개수를 알려 주세요.",
        "{name|이/가} 몇 개 보이나요?",
        "{name|은/는} 전부 몇 개예요?",
        "{name|을/를} 세면 몇 개야?",
    ),
    "en": (
        "How many {name} are there?",
        "Count the {name}.",
        "How many {name} are in the picture?",
        "What is the number of {name}?",
        "How many {name} can you see?",
        "Please count the {name} in the image.",
        "How many {name} does this image have?",
        "Tell me how many {name} there are.",
        "What is the total number of {name}?",
        "How many {name} does the picture show?",
        "Count all the {name}.",
        "Give me the number of {name}.",
    ),
}

COLOUR: Templates = {
    "ko": (
        "{shape|은/는} 무슨 색인가요?",
        "{shape|은/는} 무슨 색이야?",
        "{shape}의 색은 무엇인가요?",
        "{shape}의 색을 알려 줘.",
        "{shape|은/는} 어떤 색이에요?",
        "그림에 있는 {shape|은/는} 무슨 색인가요?",
        "{shape|이/가} 무슨 색인지 말해 주세요.",
        "{shape}의 색깔은 뭐야?",
        "{shape}의 색깔이 무엇인지 알려 주세요.",
        "이 그림에서 {shape|은/는} 어떤 색인가요?",
        "{shape|은/는} 무슨 색깔로 칠해져 있나요?",
        "{shape}의 색을 말해 줘.",
    ),
    "en": (
        "What color is the {shape}?",
        "What is the color of the {shape}?",
        "Which color is the {shape}?",
        "Tell me the color of the {shape}.",
        "Name the color of the {shape}.",
        "In the picture, what color is the {shape}?",
        "What color does the {shape} have?",
        "Can you tell the color of the {shape}?",
        "Please name the color of the {shape}.",
        "The {shape} is of which color?",
        "Which color does the {shape} have?",
        "What colour is the {shape}?",
    ),
}

SHAPE: Templates = {
    "ko": (
        "{colour} 물체는 무슨 모양인가요?",
        "{colour} 물체는 무슨 모양이야?",
        "{colour} 물체의 모양은 무엇인가요?",
        "{colour} 물체의 모양을 알려 줘.",
        "{colour} 물체는 어떤 모양이에요?",
        "그림에 있는 {colour} 물체는 무슨 모양인가요?",
        "{colour} 물체가 무슨 모양인지 말해 주세요.",
        "{colour} 물체는 어떻게 생겼어?",
        "{colour} 도형은 무엇인가요?",
        "이 그림에서 {colour} 물체는 어떤 모양인가요?",
        "{colour|으로/로} 칠해진 물체는 무슨 모양이야?",
        "{colour} 물체의 생김새를 말해 줘.",
    ),
    "en": (
        "What shape is the {colour} object?",
        "What is the shape of the {colour} object?",
        "Which shape is the {colour} object?",
        "Tell me the shape of the {colour} object.",
        "Name the shape of the {colour} object.",
        "In the picture, what shape is the {colour} object?",
        "What shape does the {colour} object have?",
        "Can you tell the shape of the {colour} object?",
        "Please name the shape that is {colour}.",
        "Which shape is {colour}?",
        "Which shape does the {colour} object have?",
        "The {colour} object has which shape?",
    ),
}

PRESENCE: Templates = {
    "ko": (
        "{name|이/가} 있나요?",
        "{name|이/가} 있어?",
        "그림에 {name|이/가} 있나요?",
        "{name|이/가} 보이나요?",
        "이미지에 {name|이/가} 있습니까?",
        "{name|이/가} 보여?",
        "이 그림에 {name|이/가} 있어요?",
        "여기에 {name|이/가} 있나요?",
        "그림에서 {name|을/를} 볼 수 있나요?",
        "{name|이/가} 그려져 있나요?",
        "혹시 {name|이/가} 있나요?",
        "{name}도 있나요?",
        "이미지 속에 {name|이/가} 보이나요?",
    ),
    "en": (
        "Is there {a_name}?",
        "Is there {a_name} in the picture?",
        "Can you see {a_name}?",
        "Does the picture show {a_name}?",
        "Do you see {a_name}?",
        "Is there {a_name} in this image?",
        "Does this image contain {a_name}?",
        "Is {a_name} shown here?",
        "Is {a_name} visible?",
        "Does the image have {a_name}?",
        "Can {a_name} be seen in the picture?",
        "Is there {a_name} anywhere?",
    ),
}

LEFT_RIGHT: Templates = {
    "ko": (
        "{name|은/는} 왼쪽에 있나요, 오른쪽에 있나요?",
        "{name|은/는} 왼쪽에 있어, 오른쪽에 있어?",
        "{name|이/가} 왼쪽과 오른쪽 중 어디에 있나요?",
        "{name|은/는} 왼쪽이야, 오른쪽이야?",
        "왼쪽과 오른쪽 중 {name|은/는} 어느 쪽에 있어?",
        "{name|은/는} 그림의 왼쪽에 있나요, 오른쪽에 있나요?",
        "그림에서 {name|은/는} 왼쪽과 오른쪽 중 어느 쪽에 있나요?",
        "{name|이/가} 왼쪽에 있는지 오른쪽에 있는지 알려 줘.",
        "{name|은/는} 왼쪽 오른쪽 중에서 어디에 있어요?",
        "{name|이/가} 어느 쪽에 있는지 말해 주세요. 왼쪽인가요, 오른쪽인가요?",
        "이미지에서 {name|은/는} 왼쪽에 있습니까, 오른쪽에 있습니까?",
        "왼쪽인가요, 오른쪽인가요? {name}의 위치를 말해 주세요.",
    ),
    "en": (
        "Is the {name} on the left or on the right?",
        "Is the {name} left or right?",
        "On which side is the {name}, left or right?",
        "Left or right: where is the {name}?",
        "Is the {name} on the left side or the right side?",
        "Does the {name} stand on the left or on the right?",
        "Tell me whether the {name} is on the left or the right.",
        "In the picture, is the {name} on the left or the right?",
        "Which side is the {name} on, left or right?",
        "Is the {name} in the left half or the right half?",
        "Say left or right: on which side is the {name}?",
        "Would you say the {name} is on the left or on the right?",
    ),
}

TOP_BOTTOM: Templates = {
    "ko": (
        "{name|은/는} 위쪽에 있나요, 아래쪽에 있나요?",
        "{name|은/는} 위쪽에 있어, 아래쪽에 있어?",
        "{name|이/가} 위쪽과 아래쪽 중 어디에 있나요?",
        "{name|은/는} 위쪽이야, 아래쪽이야?",
        "위쪽과 아래쪽 중 {name|은/는} 어느 쪽에 있어?",
        "{name|은/는} 그림의 위쪽에 있나요, 아래쪽에 있나요?",
        "그림에서 {name|은/는} 위쪽과 아래쪽 중 어느 쪽에 있나요?",
        "{name|이/가} 위쪽에 있는지 아래쪽에 있는지 알려 줘.",
        "{name|은/는} 위쪽 아래쪽 중에서 어디에 있어요?",
        "{name|이/가} 어느 쪽에 있는지 말해 주세요. 위쪽인가요, 아래쪽인가요?",
        "이미지에서 {name|은/는} 위쪽에 있습니까, 아래쪽에 있습니까?",
        "위쪽인가요, 아래쪽인가요? {name}의 위치를 말해 주세요.",
    ),
    "en": (
        "Is the {name} at the top or at the bottom?",
        "Is the {name} top or bottom?",
        "Where is the {name}, at the top or at the bottom?",
        "Top or bottom: where is the {name}?",
        "Is the {name} near the top or near the bottom?",
        "Does the {name} stand at the top or at the bottom?",
        "Tell me whether the {name} is at the top or the bottom.",
        "In the picture, is the {name} at the top or the bottom?",
        "Is the {name} in the upper half? Say top or bottom.",
        "Is the {name} in the top half or the bottom half?",
        "Say top or bottom: where is the {name}?",
        "Would you say the {name} is at the top or at the bottom?",
    ),
}

CAPTION: Templates = {
    "ko": (
        "이미지를 설명해줘.",
        "그림을 설명해 줘.",
        "그림에 무엇이 있나요?",
        "무엇이 보이나요?",
        "이 이미지를 설명해 주세요.",
        "이 그림을 묘사해 줘.",
        "그림에 뭐가 있어?",
        "이미지에 무엇이 있는지 알려 주세요.",
        "이 그림에는 무엇이 그려져 있나요?",
        "보이는 것을 말해 주세요.",
        "그림의 내용을 말해 줘.",
        "이미지를 자세히 묘사해줘.",
        "이 사진에 대해 설명해 주세요.",
    ),
    "en": (
        "Describe this image.",
        "Describe the picture.",
        "What is in the picture?",
        "What do you see?",
        "Please describe this image.",
        "What does the image show?",
        "Tell me what is in the picture.",
        "What can be seen in this image?",
        "Describe the image in detail.",
        "Give a description of the picture.",
        "What objects are in the image?",
        "Write a caption for this image.",
    ),
}

READING: Templates = {
    "ko": (
        "뭐라고 적혀 있나요?",
        "뭐라고 적혀 있어?",
        "그림에 적힌 글자를 읽어 줘.",
        "글자를 읽어 주세요.",
        "이미지에 뭐라고 쓰여 있나요?",
        "적힌 글을 그대로 읽어 줘.",
        "이 그림에 쓰인 글자는 무엇인가요?",
        "무슨 글자가 적혀 있나요?",
        "적혀 있는 단어를 알려 주세요.",
        "쓰여 있는 글자를 말해 줘.",
        "보이는 글자를 읽어 주세요.",
        "그림 속의 글자가 무엇인지 알려 주세요.",
    ),
    "en": (
        "What does it say?",
        "What is written here?",
        "Read the text.",
        "What text is in the picture?",
        "Please read the text in the image.",
        "What is written in the picture?",
        "Which words are written here?",
        "Tell me what is written.",
        "Read out what is written in this image.",
        "What does the text say?",
        "Can you read the text?",
        "Which text does the image show?",
    ),
}

TEXT_REFERENTS: Templates = {"ko": ("이 글자", "이 글씨", "이 단어"), "en": ("this text", "this", "this word")}

READING_AT: Templates = {
    "ko": (
        "{ref|을/를} 읽어 줘.",
        "{ref|은/는} 무엇인가요?",
        "{ref|이/가} 무엇인지 알려 줘.",
        "{ref|을/를} 읽어 주세요.",
        "{ref|은/는} 뭐라고 읽나요?",
        "{ref|은/는} 뭐야?",
        "{ref|을/를} 그대로 적어 주세요.",
        "{ref|이/가} 무슨 글자인지 말해 줘.",
        "그림에서 {ref|은/는} 뭐라고 적힌 건가요?",
        "{ref|을/를} 소리 내어 읽으면 뭐야?",
        "{ref|을/를} 옮겨 적어 줘.",
        "{ref|이/가} 뭔지 말해 주세요.",
    ),
    "en": (
        "What does {ref} say?",
        "Read {ref}.",
        "What is {ref}?",
        "Please read {ref}.",
        "Tell me what {ref} says.",
        "Read {ref} for me.",
        "Can you read {ref}?",
        "Write down {ref}.",
        "In the picture, what does {ref} say?",
        "Copy {ref}.",
        "Which letters make up {ref}?",
        "Please tell me what {ref} says.",
    ),
}

CHOICE: Templates = {
    "ko": (
        "그림에 있는 것은 무엇인가요?",
        "다음 중 그림에 있는 것을 골라 줘.",
        "무엇이 그림에 있나요?",
        "보기 중에서 그림에 있는 것은 무엇이야?",
        "그림에서 볼 수 있는 것을 고르세요.",
        "다음 중 이 그림에 그려져 있는 것은 무엇인가요?",
    ),
    "en": (
        "What is in the picture?",
        "Which of these is in the picture?",
        "Which of the following does the picture show?",
        "Choose what is in the picture.",
        "Which one can be seen in this image?",
        "Pick the object that is in the image.",
    ),
}
ANSWER_BY_LETTER = {"ko": "기호로 답하세요.", "en": "Answer with the letter."}

YES_NO = {"ko": ("네", "아니요"), "en": ("yes", "no")}
SIDES = {"ko": ("왼쪽", "오른쪽"), "en": ("left", "right")}
HEIGHTS = {"ko": ("위쪽", "아래쪽"), "en": ("top", "bottom")}
THING = {"ko": "물체", "en": "object"}
ABSENT = {"ko": "그림에는 {name|이/가} 없습니다.", "en": "There is no {name} in the picture."}
EMPTY = {"ko": "그림에는 아무것도 없습니다.", "en": "The picture is empty."}
SHOWS = {"ko": "그림에는 {list|이/가} 있습니다.", "en": "The picture shows {list}."}
WRITTEN = {"ko": "{list|이라는/라는} 글자가 적혀 있습니다.", "en": "The text says {list}."}
