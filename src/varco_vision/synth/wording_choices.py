"""How multiple choice is asked in both languages; the lists are built like those of `wording`."""

from __future__ import annotations

from varco_vision.synth.phrasing import wording

BY_LETTER = wording(
    "choice_by_letter",
    """
    기호로 <답하세요.|답해 줘.|답해 주세요.|답하십시오.>
    알맞은 기호를 <고르세요.|골라 줘.|골라 주세요.|고르십시오.|적어 주세요.>
    보기의 기호만 <말해|적어><줘>
    정답의 문자로 바로 <답하세요.|답해 줘.|답해 주세요.>
    주어진 선택지 중 해당 옵션의 문자로 바로 <답하세요.|답해 주세요.>
    맞는 것의 기호만 적어<줘>
    기호로만 답해<줘>
    기호 하나만 <고르세요.|골라 줘.|골라 주세요.|말해 주세요.>
    정답인 보기의 기호를 <말해|적어><줘>
    """,
    """
    ~ answer with the letter
    ~ reply with the letter only
    Answer with the option's letter from the given choices directly.
    <Which|What> letter is <right|correct>?
    ~ give the letter of the right option
    ~ choose one letter
    <Answer|Reply> with <one|a single> letter.
    <Give|Name|Write> only the letter<| of the answer>.
    <Only|Just> the letter, please.
    ~ name the letter of the answer
    """,
)

MISSING = wording(
    "choice_missing",
    """
    <그림|사진|이미지>에 없는 것은 <뭐?>
    다음 중 그림에 없는 것을 골라<줘>
    보기 중에서 그림에 없는 것은 <뭐?>
    무엇이 그림에 <없나요?|없어?|없어요?|없습니까?>
    <그림|사진>에서 찾을 수 없는 것을 <고르세요.|골라 줘.|골라 주세요.>
    그림에 <나오지|보이지> 않는 것은 <뭐?>
    이 <가운데|중에> 그림에 없는 것은 <무엇인가요?|뭐야?|무엇이에요?>
    그림에 없는 것 하나를 <고르세요.|골라 줘.|골라 주세요.>
    이 중에 그림에서 볼 수 없는 것은 <무엇인가요?|뭐야?>
    """,
    """
    What is not in the <picture|image|photo>?
    Which of these is <not in|missing from> the <picture|image|photo>?
    Which of <the following|these things> is missing <here|from the picture>?
    ~ choose what the picture does not show
    Which <one|thing> <cannot be seen|is not shown> in this image?
    Which of these <is absent|is not there|do you not see>?
    ~ pick the one that is not shown
    Which option does not appear in the <image|picture>?
    Which of these can you not <find|see> in the picture?
    One of these is not <there|in the picture>; which one<| is it>?
    <Tell me|Say|Please say> which of these is not there.
    """,
)

EXTREMES = {
    "left": {"ko": "가장 왼쪽에 있는", "en": "furthest to the left"},
    "right": {"ko": "가장 오른쪽에 있는", "en": "furthest to the right"},
    "top": {"ko": "가장 위쪽에 있는", "en": "nearest to the top"},
    "bottom": {"ko": "가장 아래쪽에 있는", "en": "nearest to the bottom"},
    "largest": {"ko": "가장 큰", "en": "the largest"},
    "smallest": {"ko": "가장 작은", "en": "the smallest"},
}

EXTREME = wording(
    "choice_extreme",
    """
    {which} 것은 <뭐?>
    {which} 물체는 <뭐?>
    <그림|사진|이미지>에서 {which} 물체는 <무엇인가요?|뭐야?|무엇입니까?>
    이 <그림|사진>에서 {which} 것을 골라<줘>
    {which} 모양은 <뭐?>
    {which} 것을 <고르세요.|골라 줘.|골라 주세요.>
    {which} 것이 <무엇인지|뭔지> 골라<줘>
    {which} 물체를 <골라|말해><줘>
    보기 중에서 {which} 것은 <뭐?>
    """,
    """
    Which object is {which}<| here| in the picture>?
    What is {which}<| here| in this image>?
    Which of these<| objects| things> is {which}?
    ~ tell me which object is {which}
    In <this picture|the image>, which <thing|object> is {which}?
    <Choose|Name|Pick|Point out> the object that is {which}.
    Of these objects, which<| one> is {which}?
    Which <one|thing> is {which}<| here>?
    <What|Which shape> do you see that is {which}?
    Which shape is {which}<| here>?
    ~ say what is {which}
    ~ choose the one that is {which}
    """,
)

QUARTERS = {
    "ko": ("왼쪽 위", "오른쪽 위", "왼쪽 아래", "오른쪽 아래"),
    "en": ("top left", "top right", "bottom left", "bottom right"),
}

CORNER = wording(
    "choice_corner",
    """
    {name|은/는} 그림의 어느 쪽에 <있?>
    {name|이/가} 있는 곳은 <어디인가요?|어디야?|어디예요?|어디입니까?>
    {name|은/는} 어느 구석에 <가까운가요?|가까워?|가까워요?|가깝습니까?>
    <그림|사진>에서 {name}의 위치는 <어디인가요?|어디야?|어디예요?|어디입니까?>
    {name|이/가} 어느 쪽에 있는지 골라<줘>
    {name|은/는} 어디쯤에 <있?>
    {name|은/는} 화면의 <어디에|어느 쪽에> <있나요?|있어?|있어요?>
    {name|이/가} 그려진 자리는 <어디인가요?|어디야?|어디예요?|어디입니까?>
    {name|이/가} 있는 쪽을 <고르세요.|골라 줘.|골라 주세요.>
    {name|은/는} 어느 쪽에 보<여?>
    """,
    """
    In which part of the <picture|image|photo> is the {name}?
    Where is the {name}<| here| in the picture>?
    Which corner is the {name} <nearest|closest> to?
    Where in the <picture|image|photo> is the {name}?
    <Which|What> quarter <holds|has|shows> the {name}?
    ~ choose where the {name} is
    The {name} is in which part of the <image|picture|photo>?
    On which side is the {name}<| here>?
    <Which|What> <area|part> contains the {name}?
    ~ tell me where the {name} is
    Where do you see the {name}<| here>?
    """,
)

WRITTEN = wording(
    "choice_written",
    """
    그림에 적힌 <단어는|것은> <뭐?>
    무엇이라고 적혀 <있?>
    다음 중 그림에 적혀 있는 것은 <무엇인가요?|뭐야?|무엇입니까?>
    <그림|사진>에 쓰여 있는 글자를 골라<줘>
    적혀 있는 것을 <고르세요.|골라 줘.|골라 주세요.>
    보기 중에서 그림에 적힌 글자는 <뭐?>
    어떤 <단어가|말이> 적혀 <있나요?|있어?|있어요?>
    그림에서 읽을 수 있는 단어는 <무엇인가요?|뭐야?>
    쓰여 있는 단어를 골라<줘>
    이 그림에는 무엇이 쓰여 <있나요?|있어?|있어요?|있습니까?>
    """,
    """
    What is written <in the picture|here|in this image>?
    Which of these<| words> is written<| here>?
    <Which|What> word does the <picture|image|photo> show?
    What does the text say<| here>?
    ~ choose the word that is written
    Which of <the following|these> can be read<| here| in the picture>?
    <Which|What> word <can|do> you read<| here>?
    Which of these does the <image|picture> say?
    Read the <picture|image>: which word is it?
    ~ pick the word that is written
    Which word is <it|there|in the picture>?
    <What|Which> word is shown<| here>?
    Which word appears <in the image|here|in the picture>?
    """,
)

NAMED = wording(
    "choice_named",
    """
    '{name}'의 기호는 <뭐?>
    보기 중에서 '{name}'의 기호를 <말해|알려><줘>
    다음 중 '{name}' 앞에 적힌 기호를 <고르세요.|골라 줘.|골라 주세요.|말해 주세요.>
    정답이 '{name}'일 때 맞는 기호는 <뭐?>
    '{name}'에 <해당하는|맞는> 기호를 말해<줘>
    '{name}' 앞의 기호는 <뭐?>
    '{name}'에 붙은 기호를 골라<줘>
    '{name}'의 기호를 골라<줘>
    """,
    """
    Which letter stands <before|in front of> '{name}'?
    The answer is '{name}'. <Which|What> letter is it?
    ~ give the letter of '{name}'
    ~ choose '{name}'
    Under which letter <do you find|is> '{name}'?
    Which <of these|option|line> says '{name}'?
    Which letter <belongs to|goes with|stands for> '{name}'?
    What is the letter <of|for> '{name}'?
    ~ find the letter of '{name}'
    ~ say which letter '{name}' has
    ~ tell me the letter of '{name}'
    Where is '{name}'? <Give|Name|Tell me> its letter.
    <Which|What> letter do you see <before|next to> '{name}'?
    """,
)
