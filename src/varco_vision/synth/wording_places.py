"""How it is asked where text stands in a picture, in both languages; the lists are built like those of `wording`. {word} comes in quotes."""

from __future__ import annotations

from varco_vision.synth.phrasing import wording

TEXT = {"ko": "글자", "en": "text"}  # what answers call it

WHERE_IS_TEXT = wording(
    "scene_where_is_text",
    """
    글자는 어디에 <있?>
    글자를 찾아<줘>
    글자가 적힌 곳을 알려<줘>
    그림에서 글자를 모두 찾아<줘>
    이 <그림|사진>의 어디에 글자가 <있나요?|있어?|있어요?>
    글자가 있는 자리를 <표시해|보여><줘>
    글씨는 어디에 적혀 <있?>
    <단어가|글이> 적힌 곳을 모두 찾아<줘>
    적혀 있는 글자의 위치를 알려<줘>
    글자를 상자로 표시해<줘>
    """,
    """
    Where is the text<| here| in the picture>?
    ~ find the text
    ~ locate the text
    Where is something written<| here>?
    ~ show me where the text is
    ~ find all words<| here>
    ~ mark the text<| with boxes>
    Where are the words<| here| in this image>?
    ~ find what is written
    ~ show me the text
    <Tell me|Give me> the <position|location|place> of the text.
    ~ point out the text
    """,
)

WHERE_IS_WORD = wording(
    "scene_where_is_word",
    """
    {word|은/는} 어디에 적혀 <있?>
    {word} 글자를 찾아<줘>
    {word|이/가} 어디에 있는지 알려<줘>
    {word|이라고/라고} <적힌|쓰인> 곳을 찾아<줘>
    {word|이라고/라고} 쓰인 곳은 <어디인가요?|어디야?|어디예요?>
    <그림|사진>에서 {word|을/를} 찾아<줘>
    {word} 글자의 위치를 알려<줘>
    {word|이라는/라는} <글자는|단어는> 어디에 <있나요?|있어?|있어요?|있습니까?>
    {word|이라는/라는} 단어를 표시해<줘>
    {word|이/가} 적힌 자리를 알려<줘>
    """,
    """
    Where is {word}<| here| in the picture>?
    ~ find {word}
    ~ find the word {word}
    Where is {word} written<| here>?
    ~ locate the text {word}
    Where does it say {word}<| here| in the picture>?
    ~ mark {word}<| with a box>
    <Tell me|Give me> the <position|place|location> of {word}.
    ~ show me where it says {word}
    ~ point out {word}
    """,
)
