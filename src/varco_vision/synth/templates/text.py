"""How things are asked without a picture. The lists are named after the kinds of `facts` and `exercises`."""

from varco_vision.synth.phrasing import wording

TERRITORY = wording(
    "territory",
    """
    '{name}'에 해당하는 나라나 지역의 이름을 {language|으로/로} 적어<줘>
    '{name}'{is_called} 나라나 지역은 {language|으로/로} <뭐?>
    {language|으로/로} '{name}'의 이름을 말해<줘>
    지명 '{name}'의 {language} 이름은 <뭐?>
    '{name}'{is_called} 지명을 {language|으로/로} 옮겨<줘>
    '{name}'의 {language} 표기를 알려<줘>
    """,
    """
    What is the place '{name}' called in {language}?
    ? what '{name}' is called in {language}
    ! give the {language} name of the place '{name}'
    ! translate the place name '{name}' into {language}
    How do you say the place name '{name}' in {language}?
    ! write the {language} name of '{name}'
    """,
)
CURRENCY = wording(
    "currency",
    """
    {name}에서 쓰는 돈은 <뭐?>
    {name}의 통화는 <뭐?>
    {name}에서는 어떤 화폐를 쓰는지 알려<줘>
    {name}의 화폐 이름을 말해<줘>
    {name}에 가면 무슨 돈을 쓰게 <돼?>
    {name}의 공식 통화를 알려<줘>
    """,
    """
    What currency is used in {name}?
    ? which currency people use in {name}
    ! name the currency of {name}
    What is the currency of {name}?
    Which money do people pay with in {name}?
    ! tell me what money is used in {name}
    ? the official currency of {name}
    """,
)
CURRENCY_CODE = wording(
    "currency_code",
    """
    {name}의 통화 기호 코드는 <뭐?>
    통화 '{name}'의 세 글자 코드를 알려<줘>
    '{name}'의 ISO 통화 코드는 <뭐?>
    '{name}'{is_called} 통화를 나타내는 세 글자 코드를 적어<줘>
    ISO 4217에서 '{name}'의 코드는 <뭐?>
    '{name}'의 통화 코드를 말해<줘>
    """,
    """
    What is the three-letter code of the {name}?
    ? the ISO code of the currency {name}
    ! give the currency code of the {name}
    Which ISO 4217 code stands for the {name}?
    ! write the three-letter currency code of the {name}
    ? which code stands for the {name}
    """,
)
LANGUAGE_NAME = wording(
    "language_name",
    """
    '{name}'{is_called} 언어는 {language|으로/로} <뭐?>
    언어 이름 '{name}'{object} {language|으로/로} 옮겨<줘>
    '{name}'의 {language} 이름을 알려<줘>
    {language|으로/로} '{name}'에 해당하는 언어 이름을 말해<줘>
    언어 '{name}'의 {language} 이름은 <뭐?>
    '{name}'{is_called} 말의 {language} 이름을 적어<줘>
    """,
    """
    What is the language '{name}' called in {language}?
    ? what the language '{name}' is called in {language}
    ! give the {language} name of the language '{name}'
    ! translate the language name '{name}' into {language}
    How do you say the language name '{name}' in {language}?
    ! write the {language} word for the language '{name}'
    """,
)
SCRIPT_NAME = wording(
    "script_name",
    """
    문자 '{name}'의 {language} 이름은 <뭐?>
    문자 이름 '{name}'{object} {language|으로/로} 옮겨<줘>
    '{name}'{is_called} 문자는 {language|으로/로} <뭐?>
    {language|으로/로} 문자 '{name}'의 이름을 말해<줘>
    문자 체계 '{name}'의 {language} 이름을 알려<줘>
    '{name}'{is_called} 문자의 {language} 이름을 적어<줘>
    """,
    """
    What is the script '{name}' called in {language}?
    ? what the writing system '{name}' is called in {language}
    ! give the {language} name of the script '{name}'
    ! translate the script name '{name}' into {language}
    How do you say the name of the script '{name}' in {language}?
    ! write the {language} word for the writing system '{name}'
    """,
)
OFFICIAL = wording(
    "official_language",
    """
    {name}의 공용어는 <뭐?>
    {name}에서 공용어로 쓰는 말은 <뭐?>
    {name}의 공용어를 알려<줘>
    {name}에서는 어느 나라 말을 공용어로 쓰는지 말해<줘>
    {name}의 공식 언어는 <뭐?>
    {name}의 공식 언어를 말해<줘>
    """,
    """
    What is the official language of {name}?
    ? the official language of {name}
    ! name the official language of {name}
    Which language is official in {name}?
    ? which language is official in {name}
    ! give the official language of {name}
    """,
)
CALENDAR = wording(
    "calendar_name",
    """
    '{name}'{object} {language|으로/로} 옮겨<줘>
    '{name}'{topic} {language|으로/로} <뭐?>
    {language|으로/로} '{name}'에 해당하는 말을 적어<줘>
    '{name}'의 {language} 표현을 알려<줘>
    '{name}'{object} {language|으로/로} 뭐라고 하는지 말해<줘>
    {language|으로/로} '{name}'{object} 쓰면 <뭐?>
    """,
    """
    What is '{name}' in {language}?
    ? what '{name}' is in {language}
    ! translate '{name}' into {language}
    How do you say '{name}' in {language}?
    ! give the {language} word for '{name}'
    ! write '{name}' in {language}
    """,
)
DATE_FORM = wording(
    "date_form",
    """
    {date|을/를} '2020년 1월 2일' 같은 꼴로 적어<줘>
    날짜 {date|을/를} 한국식 날짜 표기로 바꿔<줘>
    {date|을/를} 연, 월, 일을 넣어서 적어<줘>
    {date|을/를} 우리말 날짜로 고쳐<줘>
    날짜 {date|은/는} 연월일로 쓰면 <뭐?>
    {date|을/를} 한글로 연월일을 밝혀 적어<줘>
    """,
    """
    ! write the date {date} like 'January 2, 2020'
    ! convert {date} to the form 'January 2, 2020'
    ! spell out the month in the date {date}
    What is {date} when written like 'January 2, 2020'?
    ! rewrite {date} with the month as a word, like 'January 2, 2020'
    ? how {date} is written in the form 'January 2, 2020'
    """,
)
WEEKDAY = wording(
    "weekday",
    """
    {date|은/는} 무슨 요일<=?>
    {date|이/가} 무슨 요일인지 알려<줘>
    {date}의 요일을 말해<줘>
    달력에서 {date|은/는} 무슨 요일<=?>
    {date|이/가} 어떤 요일에 오는지 알려<줘>
    {date|은/는} 어느 요일<=?>
    """,
    """
    What day of the week is {date}?
    ? which day of the week {date} is
    ! name the weekday of {date}
    On which day of the week does {date} fall?
    ? on which weekday {date} falls
    ! give the day of the week for {date}
    """,
)
ARITHMETIC = wording(
    "arithmetic",
    """
    {expression|은/는} 얼마<=?>
    {expression|을/를} 계산해<줘>
    {expression}의 값을 구해<줘>
    {expression}의 답은 <뭐?>
    다음을 계산해<줘> {expression}
    {expression|을/를} 풀어<줘>
    """,
    """
    What is {expression}?
    ! compute {expression}
    ! work out {expression}
    ? the value of {expression}
    How much is {expression}?
    ! solve {expression}
    """,
)
UNITS = wording(
    "units",
    """
    {value|은/는} 몇 {unit_ko}<=?>
    {value|을/를} {unit_ko|으로/로} 바꿔<줘>
    {value|은/는} {unit_ko|으로/로} 얼마<=?>
    {value|을/를} {unit_ko} 단위로 나타내<줘>
    {value|이/가} 몇 {unit_ko}에 해당하는지 알려<줘>
    {unit_ko|으로/로} 하면 {value|은/는} 얼마<=?>
    """,
    """
    How many {unit_en} are {value}?
    ! convert {value} to {unit_en}
    ! express {value} in {unit_en}
    ? what {value} comes to in {unit_en}
    What is {value} in {unit_en}?
    ! change {value} into {unit_en}
    """,
)
SORT = wording(
    "sorting",
    """
    다음을 {order} 늘어놓아<줘> {list}
    {list}: 이것을 {order} 정렬해<줘>
    {order} 다시 적어<줘> {list}
    다음 항목의 차례를 {order} 바꿔<줘> {list}
    {order} 정리해<줘> {list}
    아래에 있는 것을 {order} 나열해<줘> {list}
    다음 항목을 {order} 적어<줘> {list}
    """,
    """
    ! sort these {order}: {list}
    ! put these in order, {order}: {list}
    ! arrange {order}: {list}
    ! list these {order}: {list}
    What is the right order, {order}? {list}
    ! write these {order}: {list}
    """,
)
COUNT_LETTERS = wording(
    "count_letters",
    """
    '{word}'{topic} 몇 글자<=?>
    '{word}'의 글자 수를 세어<줘>
    '{word}'{topic} 모두 몇 글자로 되어 <있?>
    '{word}'에 글자가 몇 개 <있?>
    '{word}'{is_called} 말은 몇 글자<=?>
    '{word}'의 글자가 몇 개인지 알려<줘>
    """,
    """
    How many letters are in '{word}'?
    ! count the letters of '{word}'
    ? how many letters '{word}' has
    How many letters does '{word}' have?
    ? the number of letters in '{word}'
    ! say how many letters there are in '{word}'
    """,
)
COUNT_ONE = wording(
    "count_one_letter",
    """
    '{word}'에는 '{letter}'{subject} 몇 번 나오는지 세어<줘>
    '{word}'에 '{letter}'{subject} 몇 번 들어 <있?>
    '{word}'에서 '{letter}'{subject} 몇 번 쓰였는지 세어<줘>
    '{word}'{object} 쓸 때 '{letter}'{topic} 몇 번 들어가는지 알려<줘>
    '{word}' 안에 '{letter}'{subject} 몇 번 나와 <있?>
    '{word}'에 '{letter}'{subject} 나오는 횟수를 말해<줘>
    """,
    """
    How many times does '{letter}' occur in '{word}'?
    ! count the letter '{letter}' in '{word}'
    ? how often '{letter}' occurs in '{word}'
    How many '{letter}' are there in '{word}'?
    ? the number of '{letter}' in '{word}'
    ! say how many times '{word}' contains '{letter}'
    """,
)
REVERSE = wording(
    "reverse",
    """
    '{word}'{object} 거꾸로 적어<줘>
    '{word}'{object} 뒤에서부터 써<줘>
    '{word}'의 글자 순서를 뒤집어<줘>
    '{word}'{object} 거꾸로 쓰면 <뭐?>
    '{word}'{object} 끝 글자부터 차례로 적어<줘>
    '{word}'{object} 반대로 읽으면 <뭐?>
    """,
    """
    ! write '{word}' backwards
    ! reverse the letters of '{word}'
    What is '{word}' spelled backwards?
    ! spell '{word}' from the last letter to the first
    ? how '{word}' reads backwards
    ! turn the letters of '{word}' around
    """,
)
LETTER_AT = wording(
    "letter_at",
    """
    '{word}'의 {nth} 글자는 <뭐?>
    '{word}'에서 {nth} 글자를 말해<줘>
    '{word}'의 {nth} 글자를 적어<줘>
    '{word}'{is_called} 말의 {nth} 글자는 <뭐?>
    '{word}'의 {nth} 자리에 오는 글자를 알려<줘>
    '{word}'{object} 보고 {nth} 글자만 골라<줘>
    """,
    """
    What is the {nth} letter of '{word}'?
    ? the {nth} letter of '{word}'
    ! give the {nth} letter of '{word}'
    Which letter comes {nth} in '{word}'?
    ! name the {nth} letter of '{word}'
    ? which letter is {nth} in '{word}'
    """,
)
REPEAT = wording(
    "repeat",
    """
    '{word}'{object} {n}번 반복해서 적어<줘>
    '{word}'{is_called} 말을 {n}번 써<줘>
    '{word}'{object} 띄어쓰기로 나누어 {n}번 적어<줘>
    다른 말 없이 '{word}'만 {n}번 말해<줘>
    '{word}'{object} 정확히 {n}번 써<줘>
    '{word}'만 {n}번 되풀이해<줘>
    '{word}'만 띄어쓰기로 나누어 {n}번 써<줘>
    """,
    """
    ! write '{word}' {n} times
    ! repeat '{word}' {n} times
    ! say only '{word}', {n} times
    ! write the word '{word}' exactly {n} times, with spaces between
    ! type '{word}' {n} times and nothing else
    ! answer with '{word}' repeated {n} times
    """,
)
AS_LIST = wording(
    "as_list",
    """
    {list}: 이것을 번호를 붙인 목록으로 적어<줘>
    다음을 번호 목록으로 정리해<줘> {list}
    한 줄에 하나씩 번호를 매겨<줘> {list}
    {list}에 번호를 붙여 한 줄씩 써<줘>
    다음 항목을 1번부터 번호를 달아 나열해<줘> {list}
    번호가 있는 목록으로 바꿔<줘> {list}
    다음 항목을 번호가 있는 목록으로 정리해<줘> {list}
    """,
    """
    ! write this as a numbered list: {list}
    ! number these items, one a line: {list}
    ! turn this into a numbered list: {list}
    ! list these line by line with numbers: {list}
    ! give me a numbered list of these: {list}
    ! put each item on its own numbered line: {list}
    """,
)
PICK = wording(
    "pick_item",
    """
    다음에서 {nth} 것만 적어<줘> {list}
    {list}: 여기서 {nth} 항목은 <뭐?>
    다음 항목 중 {nth} 것을 골라<줘> {list}
    {list} 가운데 {nth} 것을 말해<줘>
    목록의 {nth} 항목을 알려<줘> {list}
    다음 중 {nth} 자리에 있는 것만 답해<줘> {list}
    """,
    """
    ! give only the {nth} item: {list}
    Which item comes {nth}? {list}
    ! name the {nth} of these: {list}
    ! answer with the {nth} item only: {list}
    What is the {nth} item here? {list}
    ! pick the {nth} of the following: {list}
    """,
)
TO_JSON = wording(
    "fields_to_json",
    """
    다음을 JSON으로 바꿔<줘> {fields}
    {fields}: 이것을 JSON 객체로 적어<줘>
    이 정보를 JSON 형식으로 정리해<줘> {fields}
    다음 내용을 JSON으로 만들어<줘> {fields}
    {fields}. 이 내용을 JSON으로 옮겨<줘>
    JSON 객체 하나로 답해<줘> {fields}
    다음 정보를 JSON 객체로 만들어<줘> {fields}
    """,
    """
    ! turn this into JSON: {fields}
    ! write this as a JSON object: {fields}
    ! convert the following to JSON: {fields}
    ! give the following as JSON: {fields}
    ! put this information into a JSON object: {fields}
    ! answer with one JSON object: {fields}
    """,
)
