"""How writing in a picture is asked about."""

from varco_vision.synth.phrasing import wording

READ_ALL = wording(
    "read_all",
    """
    <at>뭐라고 적혀 <있?>
    적힌 글자를 읽어<줘>
    쓰여 있는 글을 그대로 옮겨<줘>
    <in>무슨 글자가 보<여?>
    보이는 글자를 빠짐없이 적어<줘>
    여기에 뭐라고 쓰여 <있?>
    """,
    """
    What does it say<in>?
    ! read the text<in>
    What is written<in>?
    ! write down all the text you see
    ? what the text says
    ! transcribe the writing<in>
    """,
)
TEXT_REFERENT = {
    "ko": ("이 글자", "이 글씨", "이 부분", "여기 적힌 것", "상자 안의 글자"),
    "en": ("this text", "this word", "the writing here", "the text in the box", "this part"),
}
READ_AT = wording(
    "read_at",
    """
    {ref|을/를} 읽어<줘>
    {ref|은/는} <뭐?>
    {ref|이/가} 뭐라고 쓰인 것인지 알려<줘>
    {ref|을/를} 그대로 옮겨<줘>
    <in>{ref|은/는} 뭐라고 읽는지 말해<줘>
    {ref|을/를} 글로 적어<줘>
    {ref|이/가} 무슨 글자인지 말해<줘>
    """,
    """
    What does {ref} say<in>?
    ! read {ref}
    ! write down {ref}
    ? what {ref} says
    ! transcribe {ref}
    ! copy {ref} letter by letter
    """,
)
WHERE_TEXT = wording(
    "where_text",
    """
    <in>'{text}'{text_is} 글자는 어디에 <있?>
    '{text}'{text_is} 글자를 찾아<줘>
    '{text}'{text_is} 글씨가 있는 곳을 알려<줘>
    '{text}'{text_is} 말이 어디에 적혀 <있?>
    '{text}'{text_is} 글자를 상자로 표시해<줘>
    글자 중에서 '{text}'의 위치를 짚어<줘>
    """,
    """
    Where is the text '{text}'<in>?
    ! find the word '{text}'<in>
    ? where it says '{text}'
    ! locate the text '{text}'
    ! mark the text '{text}' with a box
    ! point out where '{text}' is written
    """,
)
TEXT_PRESENT = wording(
    "text_present",
    """
    <in>'{text}'{text_is} 글자가 보<여?>
    '{text}'{text_is} 말이 적혀 <있?>
    여기에 '{text}'{text_is} 글자가 <있?>
    글자 중에 '{text}'도 <있?>
    <in>'{text}'{text_is} 단어를 찾을 수 <있?>
    이 그림에 쓰인 글 가운데 '{text}'도 들어 <있?>
    """,
    """
    Does it say '{text}'<in>?
    Is the word '{text}' written<in>?
    ? whether it says '{text}' anywhere
    Can you find the text '{text}'<in>?
    ! check whether '{text}' is written here
    Do you see the word '{text}'<in>?
    """,
)
COUNT_WORDS = wording(
    "count_words",
    """
    <in>보이는 단어는 몇 개<=?>
    적힌 단어는 모두 몇 개<=?>
    띄어 쓴 단어의 수를 세어<줘>
    단어가 몇 개 적혀 <있?>
    <in>단어가 전부 몇 개 보<여?>
    쓰여 있는 단어의 개수를 알려<줘>
    """,
    """
    How many words are written<in>?
    ! count the words<in>
    ? how many words there are
    What is the number of words<in>?
    How many words can you read<in>?
    ! tell me the number of written words
    """,
)
