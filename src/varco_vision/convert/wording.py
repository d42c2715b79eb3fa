"""How converted sets are asked about, where the synthetic world has no wording for it."""

from varco_vision.synth.phrasing import wording

FIND_PHRASE = wording(
    "convert_find_phrase",
    """
    다음 설명에 맞는 것을 찾아<줘> {phrase}
    '{phrase}', 이 말이 가리키는 것은 어디에 <있?>
    '{phrase}'에 해당하는 것의 위치를 알려<줘>
    '{phrase}'에 맞는 것을 상자로 표시해<줘>
    <in>'{phrase}'에 들어맞는 것을 찾아<줘>
    설명: {phrase} / 이 설명에 맞는 곳을 짚어<줘>
    """,
    """
    ! find what this describes: {phrase}
    Where is what "{phrase}" refers to<in>?
    ! locate "{phrase}"
    ! mark what is meant by "{phrase}" with a box
    ? where "{phrase}" is<in>
    ! point out the thing described as "{phrase}"
    """,
)
DESCRIBE_AT = wording(
    "convert_describe_at",
    """
    {ref|을/를} 짧게 설명해<줘>
    {ref|을/를} 다른 것과 구별되게 설명해<줘>
    {ref|을/를} 가리키는 말을 적어<줘>
    {ref|을/를} 한마디로 묘사해<줘>
    <in>{ref|이/가} 무엇인지 구별할 수 있게 말해<줘>
    {ref|이/가} 어떤 것인지 몇 단어로 설명해<줘>
    """,
    """
    ! describe {ref} in a few words
    ! describe {ref} so that it cannot be mistaken for anything else
    ! write a phrase that refers to {ref}
    How would you refer to {ref}?
    ! give a short expression for {ref}
    ? how to describe {ref}
    """,
)
REFERENT = {
    "ko": ("여기 보이는 대상", "표시된 대상", "상자 안의 대상", "이 자리에 보이는 대상"),
    "en": ("this", "the one marked here", "the one in the box", "the one shown here"),
}
TRUE_OF = wording(
    "convert_true_of",
    """
    다음 문장이 그림과 맞는지 알려<줘> {text}
    "{text}" 이 문장은 그림에 대해 맞는 말<=?>
    그림을 보고 이 문장이 참인지 말해<줘> {text}
    "{text}"라는 문장이 그림과 일치하는지 알려<줘>
    그림에 비추어 이 말이 옳은지 답해<줘> {text}
    이 그림을 두고 한 말인데, 맞는지 확인해<줘> {text}
    "{text}"라고 하는데, 그림이 정말 그런지 알려<줘>
    """,
    """
    Is this sentence true of the picture? {text}
    ! check whether this is true of the picture: {text}
    True or not: {text}
    Does this statement fit the image? {text}
    ! say whether the picture agrees with this: {text}
    ! tell if this describes the picture correctly: {text}
    Looking at the picture, is it true that the following holds? {text}
    ? whether the picture bears this out: {text}
    """,
)
WHAT_IS_IT = wording(
    "convert_what_is_it",
    """
    이 사진에 있는 것은 <뭐?>
    무엇을 찍은 사진<=?>
    사진 속에 보이는 것이 무엇인지 말해<줘>
    이것은 <뭐?>
    사진에 찍힌 것의 이름을 알려<줘>
    이 사진이 무엇을 보여 주는지 한마디로 답해<줘>
    """,
    """
    What does this photo show?
    ! name what is in the picture
    What is this?
    ? what is shown here
    ! say in a word what you see
    ! tell what this photo is of
    """,
)
FIELD_VALUE = wording(
    "convert_field_value",
    """
    '{field}' 항목에 적힌 내용은 <뭐?>
    '{field}' 칸에 무엇이 적혀 <있?>
    '{field}' 항목의 내용을 읽어<줘>
    이 양식에서 '{field}' 항목의 값을 알려<줘>
    '{field}' 옆에 적힌 것을 그대로 옮겨<줘>
    '{field}'에 해당하는 내용을 찾아서 알려<줘>
    """,
    """
    What is written for "{field}"?
    ! read the entry for "{field}"
    ? what this form gives for "{field}"
    What is the value of the field "{field}"?
    ! copy what was entered under "{field}"
    ! find what is given under "{field}"
    """,
)
YES_NO = {"ko": ("네", "아니요"), "en": ("yes", "no")}
