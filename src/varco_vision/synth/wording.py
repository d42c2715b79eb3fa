"""How questions are put, in both languages.

The lists are cores (`phrasing`), split between training and evaluation. Every list begins with its plainest ways, so
that a small model can be taught with the first N (option `wordings`). {name|은/는} is filled with the fitting particle
(`korean.fill`). Polite and plain speech are mixed on purpose, as people mix them. They are kept shorter than those of
`templates`, since the smallest models are taught with them. Referents and answers are common to both splits.
"""

from __future__ import annotations

from varco_vision.synth.phrasing import wording

Templates = dict[str, tuple[str, ...]]

GROUNDING = wording(
    "scene_grounding",
    """
    {name|은/는} 어디<에|쯤에> <있?>
    {name|을/를} 찾아<줘>
    {name|이/가} 있는 <곳을|자리를> 알려<줘>
    {name}의 위치를 <알려|가르쳐><줘>
    <그림|이미지|사진>에서 {name|을/를} 찾아<줘>
    {name|을/를} 상자로 표시해<줘>
    {name|이/가} 어디 있는지 <표시해|보여><줘>
    이 <그림|이미지|사진>의 어디에 {name|이/가} <있나요?|있어?|있습니까?>
    """,
    """
    Where is the {name}<| here| in the picture| in this image>?
    ~ find the {name}
    ~ locate the {name}
    ~ show me where the {name} is
    Where can I <find|see> the {name}<| here>?
    ~ point out the {name}
    ~ mark the {name} with a box
    <Tell me|Give me|Please tell me> the <position|location|place> of the {name}.
    Which part of the <image|picture|photo> <holds|shows> the {name}?
    """,
)

GROUNDING_ALL = wording(
    "scene_grounding_all",
    """
    {name|을/를} <모두|전부|다> 찾아<줘>
    {name|은/는} 어디 어디에 <있?>
    {name|이/가} 있는 <곳을|자리를> 모두 알려<줘>
    <그림|이미지>에서 {name|을/를} 다 찾아<줘>
    {name|을/를} <빠짐없이|있는 대로 다> 표시해<줘>
    {name}의 위치를 <전부|모두> 알려<줘>
    {name|을/를} 하나도 빼지 말고 찾아<줘>
    모든 {name}의 자리를 알려<줘>
    어디에 {name|이/가} 있는지 <모두|전부> 알려<줘>
    """,
    """
    ~ find all {name}
    Where are the {name}<| here| in the picture>?
    ~ locate all {name}
    ~ show me all {name}
    ~ find every one of the {name}
    ~ mark all {name}<| with boxes>
    Where are all the {name}<| in the picture| in this image>?
    ~ point out all {name}
    <Give me|List|Tell me> the <locations|positions|places> of all {name}.
    Where can I <see|find> {name}? Show me all of them.
    """,
)

REFERENTS: Templates = {
    "ko": ("이 물체", "이것", "이 도형", "여기 있는 것"),
    "en": ("this object", "this", "this shape", "the marked object"),
}

REFERRING = wording(
    "scene_referring",
    """
    {ref|은/는} <뭐?>
    {ref|이/가} 무엇인지 알려<줘>
    {ref|을/를} 뭐라고 <부르나요?|불러?|불러요?|부릅니까?>
    {ref|을/를} 짧게 설명해<줘>
    {ref}의 이름을 <알려|말해><줘>
    <그림|사진>에서 {ref|은/는} <무엇인가요?|뭐야?|무엇입니까?>
    {ref|은/는} <어떤|무슨> 물체<=?>
    {ref|이/가} 무엇으로 보<여?>
    """,
    """
    What is {ref}<| in the picture| in this image>?
    ~ name {ref}
    ~ tell me what {ref} is
    What <do|would> you call {ref}?
    ~ describe {ref} briefly
    What would you say {ref} is?
    ~ identify {ref}
    ~ say what {ref} is
    What kind of thing is {ref}?
    <In the picture|In this image|In the photo>, what is {ref}?
    ? what {ref} is
    """,
)

COUNTING = wording(
    "scene_counting",
    """
    물체가 몇 개 <있?>
    물체는 <모두|전부> 몇 개<=?>
    <그림|사진|이미지>에 물체가 몇 개 <있나요?|있어?|있어요?>
    물체의 수를 세어<줘>
    물체의 개수를 알려<줘>
    여기에 물체가 몇 개 보<여?>
    도형은 몇 개<=?>
    물체가 몇 개인지 세어<줘>
    보이는 물체를 모두 세면 몇 개<=?>
    """,
    """
    How many objects are <there|here|in the picture|in this image>?
    ~ count the objects
    What is the <|total >number of objects<| here>?
    How many <objects|things> <can|do> you see?
    How many shapes are <there|here|in the picture>?
    ~ count all the shapes
    ~ count the things you see
    <Tell me|Please tell me|Let me know> how many objects there are.
    How many <objects|things> does the <picture|image|photo> show?
    ~ say how many objects there are
    ~ give me the number of objects
    """,
)

COUNTING_NAMED = wording(
    "scene_counting_named",
    """
    {name|은/는} 몇 개 <있?>
    {name|은/는} <|모두 >몇 개<=?>
    {name|이/가} 몇 개 보<여?>
    {name}의 수를 세어<줘>
    <그림|사진|이미지>에 {name|이/가} 몇 개 <있나요?|있어?>
    {name|이/가} 몇 개인지 <세어|알려><줘>
    {name}의 개수를 알려<줘>
    {name|을/를} 세면 몇 개<=?>
    """,
    """
    How many {name} are <there|here|in the picture|in this image>?
    ~ count the {name}
    What is the <|total >number of {name}<| here>?
    How many {name} <can|do> you see<| here>?
    How many {name} does <the picture|this image|the photo> <show|have>?
    ~ say how many {name} there are
    <Tell me|Please tell me|Let me know> how many {name} there are.
    ~ count all the {name}
    ~ give me the number of {name}
    """,
)

COLOUR = wording(
    "scene_colour",
    """
    {shape|은/는} <무슨|어떤> 색<=?>
    {shape}의 색은 <뭐?>
    {shape}의 색을 <알려|말해><줘>
    {shape}의 색깔은 <뭐?>
    그림에 있는 {shape|은/는} 무슨 색<=?>
    {shape|이/가} 무슨 색인지 <말해|알려><줘>
    {shape|은/는} 무슨 색으로 칠해져 <있나요?|있어?|있어요?|있습니까?>
    {shape|이/가} 무슨 <색으로|색깔로> 보<여?>
    """,
    """
    <What|Which> color is the {shape}<| here| in the picture>?
    What is the color of the {shape}<| here>?
    ~ tell me the color of the {shape}
    ~ name the color of the {shape}
    <In the picture|In this image|In the photo>, what color is the {shape}?
    <What|Which> color does the {shape} have<| here>?
    ? what color the {shape} is
    The {shape} is <which|what> color?
    What colour is the {shape}<| here>?
    """,
)

SHAPE = wording(
    "scene_shape",
    """
    {colour} 물체는 <무슨|어떤> 모양<=?>
    {colour} 물체의 모양은 <뭐?>
    {colour} 물체의 모양을 <알려|말해><줘>
    <그림|사진>에 있는 {colour} 물체는 무슨 모양<=?>
    {colour} 물체가 무슨 모양인지 말해<줘>
    {colour} 물체는 어떻게 <생겼나요?|생겼어?|생겼어요?|생겼습니까?>
    {colour} 도형은 <뭐?>
    {colour|으로/로} 칠해진 물체는 무슨 모양<=?>
    {colour} 물체의 생김새를 <말해|알려><줘>
    """,
    """
    <What|Which> shape is the {colour} object<| here| in the picture>?
    What is the shape of the {colour} object<| here>?
    ~ tell me the shape of the {colour} object
    ~ name the shape of the {colour} object
    <In the picture|In this image|In the photo>, what shape is the {colour} object?
    <What|Which> shape does the {colour} object have?
    <Which|What> shape is {colour}<| here>?
    ~ name the shape that is {colour}
    The {colour} object has <which|what> shape?
    ~ say what shape the {colour} object has
    """,
)

PRESENCE = wording(
    "scene_presence",
    """
    {name|이/가} <있?>
    {name|이/가} 보<여?>
    <그림|사진|이미지>에 {name|이/가} <있나요?|있어?|있어요?>
    여기에 {name|이/가} <있나요?|있어?|있어요?|있습니까?>
    혹시 {name|이/가} <있나요?|있어?|있어요?|있습니까?>
    {name|을/를} 볼 수 <있나요?|있어?|있어요?|있습니까?>
    {name|이/가} 그려져 <있나요?|있어?|있어요?|있습니까?>
    {name}도 <있나요?|있어?|있어요?|있습니까?>
    그림에서 {name|을/를} 찾을 수 <있나요?|있어?|있어요?|있습니까?>
    이 <그림|사진> 속에 {name|이/가} 보<이나요?|여?|여요?>
    """,
    """
    Is there {a_name}<| here| in the picture| in this image>?
    <Can|Do> you see {a_name}<| here| in the picture>?
    Does the <picture|image|photo> <show|have|contain> {a_name}?
    Is {a_name} <visible|shown|to be seen><| here>?
    Is there {a_name} anywhere<| here| in the picture>?
    Do you notice {a_name}<| here| in the picture>?
    Is {a_name} <somewhere|anywhere><| here| in the picture>?
    Can {a_name} be <seen|found><| here| in the image>?
    <Say|Tell me|Check> whether there is {a_name}.
    Is {a_name} <in the picture|in this image|here>?
    """,
)

LEFT_RIGHT = wording(
    "scene_left_right",
    """
    {name|은/는} 왼쪽에 <있나요, 오른쪽에 있나요?|있어, 오른쪽에 있어?|있어요, 오른쪽에 있어요?|있습니까, 오른쪽에 있습니까?>
    {name|이/가} 왼쪽과 오른쪽 <중|가운데> 어디에 <있?>
    {name|은/는} <왼쪽인가요, 오른쪽인가요?|왼쪽이야, 오른쪽이야?|왼쪽이에요, 오른쪽이에요?|왼쪽입니까, 오른쪽입니까?>
    왼쪽과 오른쪽 중 {name|은/는} 어느 쪽에 <있?>
    {name|은/는} 그림의 왼쪽에 <있나요, 오른쪽에 있나요?|있어, 오른쪽에 있어?|있습니까, 오른쪽에 있습니까?>
    {name|이/가} 왼쪽에 있는지 오른쪽에 있는지 알려<줘>
    <그림|사진>에서 {name|은/는} 왼쪽과 오른쪽 중 어느 쪽에 <있나요?|있어?|있습니까?>
    {name|은/는} 왼쪽 오른쪽 중에서 어디에 <있?>
    왼쪽인가요, 오른쪽인가요? {name}의 <위치를|자리를> <말해|알려> 주세요.
    """,
    """
    Is the {name} on the left or on the right<| here| in the picture>?
    Is the {name} left or right<| here>?
    On <which|what> side is the {name}, left or right?
    Left or right: where is the {name}<| here| in the picture>?
    Is the {name} on the left side or <|on >the right side?
    ~ tell me whether the {name} is on the left or the right
    In the <picture|image|photo>, is the {name} on the left or <|on >the right?
    <Which|What> side is the {name} on, left or right?
    Is the {name} in the left half or <|in >the right half?
    ~ say which side the {name} is on, left or right
    Is the {name} to the left or <|to >the right<| here>?
    <Say|Answer> left or right: <on which side|where> is the {name}?
    <Would you say|Do you think> the {name} is on the left or <|on >the right?
    ~ say whether the {name} is left or right
    """,
)

TOP_BOTTOM = wording(
    "scene_top_bottom",
    """
    {name|은/는} 위쪽에 <있나요, 아래쪽에 있나요?|있어, 아래쪽에 있어?|있어요, 아래쪽에 있어요?|있습니까, 아래쪽에 있습니까?>
    {name|이/가} 위쪽과 아래쪽 <중|가운데> 어디에 <있?>
    {name|은/는} <위쪽인가요, 아래쪽인가요?|위쪽이야, 아래쪽이야?|위쪽이에요, 아래쪽이에요?|위쪽입니까, 아래쪽입니까?>
    위쪽과 아래쪽 중 {name|은/는} 어느 쪽에 <있?>
    {name|은/는} 그림의 위쪽에 <있나요, 아래쪽에 있나요?|있어, 아래쪽에 있어?|있습니까, 아래쪽에 있습니까?>
    {name|이/가} 위쪽에 있는지 아래쪽에 있는지 알려<줘>
    <그림|사진>에서 {name|은/는} 위쪽과 아래쪽 중 어느 쪽에 <있나요?|있어?|있습니까?>
    {name|은/는} 위쪽 아래쪽 중에서 어디에 <있?>
    위쪽인가요, 아래쪽인가요? {name}의 <위치를|자리를> <말해|알려> 주세요.
    """,
    """
    Is the {name} at the top or at the bottom<| here| in the picture>?
    Is the {name} top or bottom<| here>?
    Where is the {name}<| here>, at the top or <|at >the bottom?
    Top or bottom: where is the {name}<| here| in the picture>?
    Is the {name} near the top or <|near >the bottom?
    ~ tell me whether the {name} is at the top or the bottom
    In the <picture|image|photo>, is the {name} at the top or <|at >the bottom?
    Is the {name} in the top half or <|in >the bottom half?
    <Say|Answer> top or bottom: <in which half|where> is the {name}?
    <Would you say|Do you think> the {name} is at the top or <|at >the bottom?
    ~ say whether the {name} is at the top or the bottom
    """,
)

CAPTION = wording(
    "scene_caption",
    """
    이미지를 설명해<줘.| 줘.| 주세요.|주세요.| 줄래?>
    그림을 설명해<줘>
    <그림|사진|이미지>에 무엇이 <있나요?|있어?|있어요?>
    무엇이 보<여?>
    이 <그림을|사진을> 묘사해<줘>
    무엇이 그려져 <있?>
    보이는 것을 <말해|설명해><줘>
    <그림|사진>의 내용을 말해<줘>
    이미지를 자세히 묘사해<줘.| 줘.| 주세요.|주세요.>
    이 사진에 대해 <설명해|말해><줘>
    """,
    """
    ~ describe this image
    ~ describe the picture
    What is in the <picture|image|photo>?
    What <do|can> you see<| here>?
    What is <shown|seen|drawn><| here>?
    What is this a <picture|photo> of?
    ~ say what you see
    What does <the image|this picture|the photo> show?
    What can be seen <here|in this image|in the photo>?
    What <objects|things> are in the <image|picture>?
    ~ give a description of the picture
    <Write|Give> a caption for <this image|the picture>.
    ~ tell me what is in the picture
    ~ describe the image in detail
    """,
)

READING = wording(
    "scene_reading",
    """
    뭐라고 적혀 <있?>
    <그림|이미지|사진>에 적힌 글자를 읽어<줘>
    글자를 읽어<줘>
    <그림|이미지>에 뭐라고 쓰여 <있나요?|있어?|있어요?|있습니까?>
    적힌 글을 그대로 읽어<줘>
    무슨 글자가 <적혀|쓰여> <있나요?|있어?|있어요?|있습니까?>
    <적혀|쓰여> 있는 단어를 알려<줘>
    보이는 글자를 <읽어|말해><줘>
    그림 속의 글자는 <뭐?>
    """,
    """
    What does it say<| here| in the picture>?
    What is written <here|there|in the picture|in this image>?
    ~ read the text
    What text is <here|in the picture|in this image>?
    <Which|What> words are written<| here>?
    ~ tell me what is written
    What does the <text|writing> say<| here>?
    ~ read what is written here
    <Which|What> text does the <image|picture> show?
    """,
)

TEXT_REFERENTS: Templates = {"ko": ("이 글자", "이 글씨", "이 단어"), "en": ("this text", "this", "this word")}

READING_AT = wording(
    "scene_reading_at",
    """
    {ref|을/를} 읽어<줘>
    {ref|은/는} <뭐?>
    {ref|이/가} <무엇인지|뭔지> 알려<줘>
    {ref|은/는} 뭐라고 <읽나요?|읽어?|읽어요?|읽습니까?>
    {ref|을/를} 그대로 적어<줘>
    {ref|이/가} 무슨 글자인지 말해<줘>
    <그림|사진>에서 {ref|은/는} 뭐라고 적힌 <건가요?|거야?|거예요?>
    {ref|을/를} 소리 내어 읽으면 <뭐예요?|뭐야?|무엇인가요?>
    {ref|은/는} 무슨 말<=?>
    {ref|을/를} 옮겨 적어<줘>
    """,
    """
    What does {ref} say<| here| in the picture>?
    ~ read {ref}
    What is {ref}<| here>?
    ~ tell me what {ref} says
    ~ read out {ref}
    ~ write down {ref}
    <In the picture|In this image|In the photo>, what does {ref} say?
    ~ copy {ref}
    <Which|What> letters make up {ref}?
    ~ read {ref} for me
    """,
)

CHOICE = wording(
    "scene_choice",
    """
    그림에 있는 것은 <뭐?>
    다음 중 <그림|사진|이미지>에 있는 것을 골라<줘>
    무엇이 그림에 <있나요?|있어?|있어요?|있습니까?>
    보기 중에서 그림에 있는 것은 <뭐?>
    <그림|사진|이미지>에서 볼 수 있는 것을 <고르세요.|골라 줘.|고르십시오.>
    다음 중 이 그림에 그려져 있는 것은 <무엇인가요?|뭐야?|무엇입니까?>
    이 가운데 그림에 <있는|나오는> 것은 <무엇인가요?|뭐야?>
    그림에 보이는 것을 골라<줘>
    """,
    """
    What is in the <picture|image|photo>?
    Which of these is in the <picture|image|photo>?
    Which of <the following|these things> does the <picture|image> show?
    ~ choose what is in the picture
    ~ choose what you see here
    ~ pick the thing you see
    Which one <can be seen|is shown|appears> in <this image|the picture>?
    <Pick|Choose|Name> the object that is in the <image|picture>.
    Which of these <can|do> you see<| here| in the picture>?
    Which <thing|object> is in the <picture|image|photo>?
    <What|Which thing> does the <picture|image|photo> show?
    """,
)
ANSWER_BY_LETTER = {"ko": "기호로 답하세요.", "en": "Answer with the letter."}

YES_NO = {"ko": ("네", "아니요"), "en": ("yes", "no")}
SIDES = {"ko": ("왼쪽", "오른쪽"), "en": ("left", "right")}
HEIGHTS = {"ko": ("위쪽", "아래쪽"), "en": ("top", "bottom")}
THING = {"ko": "물체", "en": "object"}
ABSENT = {"ko": "그림에는 {name|이/가} 없습니다.", "en": "There is no {name} in the picture."}
EMPTY = {"ko": "그림에는 아무것도 없습니다.", "en": "The picture is empty."}
SHOWS = {"ko": "그림에는 {list|이/가} 있습니다.", "en": "The picture shows {list}."}
WRITTEN = {"ko": "{list|이라는/라는} 글자가 적혀 있습니다.", "en": "The text says {list}."}
