"""How documents, tables and charts are asked about."""

from varco_vision.synth.phrasing import wording

KIND_OF = wording(
    "document_kind",
    """
    이것은 어떤 종류의 문서<=?>
    이 문서의 종류는 <뭐?>
    무슨 문서인지 알려<줘>
    이 종이는 무엇에 쓰는 문서인지 한 단어로 말해<줘>
    이 문서를 뭐라고 부르는지 말해<줘>
    사진에 찍힌 문서가 어떤 것인지 알려<줘>
    """,
    """
    What kind of document is this?
    ? what kind of document this is
    ! name the type of this document
    Which type of document does the image show?
    ? what this document is
    ! say what sort of paper this is
    """,
)
FIELD = wording(
    "document_field",
    """
    {field|은/는} <뭐?>
    {field|을/를} 알려<줘>
    이 문서에 적힌 {field|은/는} <뭐?>
    {field|이/가} 어떻게 적혀 있는지 말해<줘>
    문서에서 {field|을/를} 찾아 적어<줘>
    {field|이/가} 뭐라고 되어 있는지 읽어<줘>
    """,
    """
    What is the {field}?
    ? what the {field} is
    ! find the {field} in this document
    What does the document give as the {field}?
    ! read the {field}
    ? the {field} on this page
    """,
)
FIELD_WHERE = wording(
    "document_field_where",
    """
    {field|은/는} 어디에 적혀 <있?>
    {field|이/가} 적힌 곳을 찾아<줘>
    문서에서 {field|을/를} 상자로 표시해<줘>
    {field|이/가} 쓰여 있는 자리를 알려<줘>
    {field}의 위치를 짚어<줘>
    문서의 어느 부분에 {field|이/가} <있?>
    """,
    """
    Where is the {field} written?
    ? where the {field} is written
    ! mark the {field} with a box
    ! find where the {field} stands on the page
    ! locate the {field}
    Where on the page can I find the {field}?
    """,
)
ITEM = wording(
    "item_value",
    """
    {item}의 {column|은/는} <뭐?>
    {item}의 {column|을/를} 알려<줘>
    표에서 {item}의 {column|을/를} 찾아<줘>
    {item}의 {column|이/가} 얼마로 적혀 있는지 말해<줘>
    {item} 줄에 적힌 {column|은/는} <뭐?>
    {item}의 {column|이/가} 어떻게 되는지 읽어<줘>
    """,
    """
    What is the {column} of {item}?
    ? what the {column} of {item} is
    ! find the {column} of {item}
    Which {column} is given for {item}?
    ! read the {column} of {item}
    ? the {column} that is written for {item}
    """,
)
CHECKED = wording(
    "checked",
    """
    {field}에서 표시된 항목은 <뭐?>
    {field}에 체크된 것을 모두 말해<줘>
    {field} 가운데 무엇에 표시되어 <있?>
    {field}에서 고른 항목을 알려<줘>
    {field} 칸에 체크한 것은 <뭐?>
    {field|은/는} 어디에 표시했는지 읽어<줘>
    """,
    """
    Which options are checked under {field}?
    ? which boxes are ticked under {field}
    ! list the checked options of {field}
    What has been marked under {field}?
    ! read which items of {field} are checked
    ? what was selected under {field}
    """,
)
AS_JSON = wording(
    "as_json",
    """
    이 문서의 내용을 JSON으로 정리해<줘>
    문서에 적힌 항목을 JSON 형식으로 뽑아<줘>
    항목과 값을 JSON으로 옮겨<줘>
    적힌 정보를 JSON 객체 하나로 만들어<줘>
    여기 있는 정보를 JSON으로 추출해<줘>
    문서를 읽고 JSON으로 바꿔<줘>
    문서의 항목을 JSON 형식으로 적어<줘>
    """,
    """
    ! extract the fields of this document as JSON
    ! turn this document into JSON
    ! list the fields and their values as a JSON object
    ! read the document and give me JSON
    ! convert what is written here to JSON
    What does this document say? Answer in JSON.
    """,
)
MOST = wording(
    "table_most",
    """
    {column|이/가} 가장 {high} 것은 <뭐?>
    {column|이/가} 제일 {high} {row|을/를} 알려<줘>
    {row} 중에서 {column|이/가} 가장 {high} 것을 골라<줘>
    어느 {row}의 {column|이/가} 가장 {high}지 말해<줘>
    {column|을/를} 비교하면 가장 {high} {row|은/는} <뭐?>
    표에서 {column|이/가} 가장 {high} {row|을/를} 찾아<줘>
    """,
    """
    Which {row} has the {high} {column}?
    ? which {row} has the {high} {column}
    ! name the {row} with the {high} {column}
    For which {row} is the {column} the {high}?
    ! find the {row} whose {column} is the {high}
    ? the {row} with the {high} {column}
    """,
)
SUM = wording(
    "table_sum",
    """
    {column}의 합계는 <뭐?>
    {column|을/를} 모두 더하면 얼마<=?>
    {column|을/를} 다 합한 값을 알려<줘>
    모든 {row}의 {column|을/를} 더해<줘>
    {column|은/는} 모두 합해서 얼마<=?>
    표에 있는 {column|을/를} 전부 더한 값을 말해<줘>
    """,
    """
    What is the total {column}?
    ? the sum of the {column} over all rows
    ! add up the {column}
    How much is the {column} of all rows together?
    ? what the {column} adds up to
    ! compute the total of the {column}
    """,
)
DIFFERENCE = wording(
    "difference",
    """
    {a|과/와} {b}의 {column} 차이는 얼마<=?>
    {a|과/와} {b}의 {column|은/는} 얼마나 차이 나는지 알려<줘>
    {a}의 {column}에서 {b}의 {column|을/를} 빼면 얼마<=?>
    {a|이/가} {b}보다 {column|이/가} 얼마나 더 {more}지 말해<줘>
    {a|이랑/랑} {b}의 {column} 차를 구해<줘>
    {column|을/를} 보면 {a|과/와} {b}의 차이는 얼마<=?>
    """,
    """
    What is the difference in {column} between {a} and {b}?
    ? the difference in {column} between {a} and {b}
    By how much does the {column} of {a} exceed that of {b}?
    ! subtract the {column} of {b} from that of {a}
    ? how much {more} the {column} of {a} is than that of {b}
    ! compute the difference in {column} between {a} and {b}
    """,
)
COUNT_IF = wording(
    "count_if",
    """
    {column|이/가} {limit}보다 {high} {row|은/는} 몇 {unit}<=?>
    {column|이/가} {limit}보다 {high} {row|이/가} 몇 {unit} <있?>
    {column|이/가} {limit}보다 더 {high} {row}의 수를 세어<줘>
    {limit}보다 {column|이/가} {high} {row}의 수를 알려<줘>
    {limit}보다 {column|이/가} {high} 것은 모두 몇 {unit}<=?>
    {row} 가운데 {column|이/가} {limit}보다 {high} 것의 수를 말해<줘>
    """,
    """
    How many {rows} have a {column} {high} than {limit}?
    ? how many {rows} have a {column} {high} than {limit}
    ! count the {rows} whose {column} is {high} than {limit}
    For how many {rows} is the {column} {high} than {limit}?
    ? the number of {rows} with a {column} {high} than {limit}
    ! give the number of {rows} with a {column} {high} than {limit}
    """,
)
HOW_MANY_ROWS = wording(
    "how_many_rows",
    """
    표에 {row|이/가} 몇 {unit} <있?>
    표에 나온 {row|은/는} 모두 몇 {unit}<=?>
    {row}의 수를 세어<줘>
    표의 {row|은/는} 전부 몇 {unit}<=?>
    {row|이/가} 몇 {unit} 적혀 있는지 알려<줘>
    이 표는 {row|을/를} 몇 {unit} 다루는지 말해<줘>
    """,
    """
    How many {rows} does the table list?
    ? how many {rows} are in the table
    ! count the {rows} of the table
    How many {rows} are there in this table?
    ? the number of {rows} listed
    ! give the number of {rows} in the table
    """,
)
AS_MARKDOWN = wording(
    "as_markdown",
    """
    이 표를 마크다운으로 옮겨<줘>
    표를 마크다운 표로 바꿔<줘>
    표의 내용을 마크다운 형식으로 적어<줘>
    이 표를 마크다운 표 형식으로 만들어<줘>
    표를 읽고 마크다운으로 써<줘>
    그림 속 표를 마크다운으로 정리해<줘>
    표를 그대로 마크다운으로 적어<줘>
    """,
    """
    ! convert this table to Markdown
    ! write this table in Markdown
    ! give me the table as Markdown
    ! transcribe the table as a Markdown table
    ! turn the picture of the table into Markdown
    What does the table contain? Answer with a Markdown table.
    """,
)
CHART_KIND = wording(
    "chart_kind",
    """
    이것은 어떤 종류의 그래프<=?>
    이 그래프의 종류는 <뭐?>
    무슨 그래프인지 알려<줘>
    이 차트를 뭐라고 부르는지 말해<줘>
    그림에 있는 그래프가 어떤 것인지 알려<줘>
    어떤 모양의 그래프로 그려져 있는지 말해<줘>
    """,
    """
    What kind of chart is this?
    ? what kind of chart this is
    ! name the type of this chart
    Which type of chart is shown?
    ? what this type of chart is called
    ! say what sort of graph this is
    """,
)
CHART_TITLE = wording(
    "chart_title",
    """
    이 그래프의 제목은 <뭐?>
    그래프의 제목을 읽어<줘>
    이 그래프는 무엇을 보여 주는지 말해<줘>
    그래프 위에 적힌 제목을 알려<줘>
    이 차트의 제목이 무엇인지 적어<줘>
    제목에 뭐라고 쓰여 <있?>
    """,
    """
    What is the title of this chart?
    ? what the title of the chart is
    ! read the title of the chart
    What does the chart show, according to its title?
    ! write down the title of the graph
    ? the title above the chart
    """,
)
CHART_VALUE = wording(
    "chart_value",
    """
    {of}의 값은 얼마<=?>
    {of}의 값을 알려<줘>
    그래프에서 {of}의 값을 읽어<줘>
    그래프에 따르면 {of}의 값은 얼마<=?>
    {of}의 값이 얼마로 나타나 있는지 말해<줘>
    {of}에 해당하는 값을 찾아<줘>
    """,
    """
    What is the value of {of}?
    ? the value of {of}
    ! read the value of {of} from the chart
    According to the chart, what is the value of {of}?
    ? what value the chart shows for {of}
    ! give the value for {of}
    """,
)
CHART_MOST = wording(
    "chart_most",
    """
    값이 가장 {high} 것은 <뭐?>
    그래프에서 가장 {high} 값을 가진 것은 <뭐?>
    {among} 중에서 값이 제일 {high} 것을 골라<줘>
    {among} 가운데 값이 가장 {high} 것을 알려<줘>
    무엇의 값이 가장 {high}지 말해<줘>
    그래프를 보고 값이 가장 {high} 항목을 찾아<줘>
    """,
    """
    Which {among} has the {high} value?
    ? which {among} has the {high} value
    ! name the {among} with the {high} value
    For which {among} is the value the {high}?
    ! find the {among} whose value is the {high}
    ? the {among} with the {high} value in the chart
    """,
)
CHART_COUNT = wording(
    "chart_count",
    """
    그래프에 나온 {among|은/는} 모두 몇 개<=?>
    그래프에 {among|이/가} 몇 개 <있?>
    {among}의 수를 세어<줘>
    그래프가 {among|을/를} 몇 개 보여 주는지 말해<줘>
    그래프에서 {among|은/는} 전부 몇 개<=?>
    {among|이/가} 몇 개 나와 있는지 알려<줘>
    """,
    """
    How many {amongs} does the chart show?
    ? how many {amongs} there are in the chart
    ! count the {amongs}
    How many {amongs} are in this chart?
    ? the number of {amongs} in the chart
    ! give the number of {amongs} shown
    """,
)
TREND = wording(
    "trend",
    """
    {series|은/는} {first}에서 {last|으로/로} 가면서 늘었다고 할 수 <있?>
    {first|과/와} {last|을/를} 비교하면 {series|이/가} 늘었는지 말해<줘>
    {first}에 견주어 {last}의 {series|이/가} 늘었는지 알려<줘>
    {series|은/는} {first}부터 {last}까지 늘었다고 할 수 <있?>
    {last}의 {series|이/가} {first}보다 늘었다고 볼 수 <있?>
    {first|과/와} {last|을/를} 보고 {series|이/가} 늘었는지 답해<줘>
    """,
    """
    Did {series} go up from {first} to {last}?
    ? whether {series} rose between {first} and {last}
    Is {series} higher in {last} than in {first}?
    ! say whether {series} increased from {first} to {last}
    ? whether {series} is higher in {last} than in {first}
    Comparing {first} and {last}, did {series} increase?
    ! check whether {series} grew from {first} to {last}
    """,
)

PAGE_SHORT = wording(
    "page_caption_short",
    """
    이 이미지를 짧게 설명해<줘>
    이것이 무엇인지 짧게 설명해<줘>
    무엇에 관한 것인지 한 문장으로 말해<줘>
    이 자료를 간단히 소개해<줘>
    여기에 무엇이 나와 있는지 짧게 말해<줘>
    내용을 한두 문장으로 요약해<줘>
    무엇을 찍은 사진인지 간단히 알려<줘>
    """,
    """
    ! describe this image briefly
    What is this about, in short?
    ! say in a sentence what this is
    ! summarize this in one or two sentences
    ! introduce this page briefly
    ? what this image is about
    ! give a short summary of what is shown
    """,
)
PAGE_LONG = wording(
    "page_caption_long",
    """
    이 이미지를 자세히 설명해<줘>
    적혀 있는 내용을 자세히 정리해<줘>
    나와 있는 정보를 빠짐없이 말해<줘>
    내용을 하나하나 풀어서 설명해<줘>
    여기에 담긴 정보를 자세히 알려<줘>
    중요한 내용을 모두 넣어서 설명해<줘>
    이 자료의 내용을 구체적으로 설명해<줘>
    """,
    """
    ! describe this image in detail
    ! explain everything that is written here
    ! go through all the information on this page
    ! describe the contents in full
    What does this say? Please give all the details.
    ! give a detailed summary with all important facts
    ! report the contents completely
    """,
)
