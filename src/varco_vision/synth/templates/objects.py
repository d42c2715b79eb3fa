"""How objects in a picture are asked about."""

from varco_vision.synth.phrasing import wording

CAPTION_SHORT = wording(
    "caption_short",
    """
    이 이미지를 짧게 설명해<줘>
    <at>무엇이 <있?>
    그림을 한 문장으로 설명해<줘>
    이 사진을 간단히 묘사해<줘>
    이미지에 어울리는 짧은 설명을 써<줘>
    무엇이 그려져 <있?>
    한 문장이면 되니까 이 이미지의 내용을 말해<줘>
    이 사진이 무엇을 보여 주는지 짧게 적어<줘>
    """,
    """
    ! describe this image briefly
    What is shown<in>?
    ! describe the picture in one sentence
    ! give a short description of this image
    ! write a one-sentence caption for this image
    ? in one sentence what the picture shows
    ! say in a few words what is here
    What does the image contain, in short?
    """,
)
CAPTION_LONG = wording(
    "caption_long",
    """
    이 이미지를 자세히 설명해<줘>
    그림에 있는 것을 하나하나 설명해<줘>
    이 사진을 빠짐없이 묘사해<줘>
    무엇이 어디에 있는지 자세히 적어<줘>
    보이는 것을 모두 위치와 함께 설명해<줘>
    이미지의 내용을 구체적으로 풀어<줘>
    그림을 보지 못하는 사람에게 말하듯 자세히 설명해<줘>
    물체의 수와 위치까지 넣어서 이 그림을 설명해<줘>
    """,
    """
    ! describe this image in detail
    ! describe everything in the picture
    ! give a detailed description of this image
    ! explain what is where in the picture
    ! describe the scene with the place of each object
    What can be seen here? Be as detailed as you can.
    ! describe the picture for someone who cannot see it
    ! write a long description with the number and position of the objects
    """,
)
DESCRIBE_BOXES = wording(
    "describe_boxes",
    """
    이미지를 설명해<줘>
    <in>무엇이 어디에 <있?>
    보이는 물체를 위치와 함께 말해<줘>
    이 그림에 있는 것들을 상자로 표시하며 설명해<줘>
    물체마다 자리를 표시하면서 묘사해<줘>
    이 사진 속 물체를 모두 찾아 설명해<줘>
    """,
    """
    ! describe the image
    What is where<in>?
    ! describe the picture and mark every object
    ! name all objects with their boxes
    ! describe what you see and where it is
    ! list the objects of this image with their locations
    ! find and describe everything in the photo
    """,
)
WHERE = wording(
    "where",
    """
    <in>{name|은/는} 어디에 <있?>
    <in>{name|을/를} 찾아<줘>
    {name}의 위치를 알려<줘>
    {name|이/가} 있는 곳을 가르쳐<줘>
    {name|을/를} 상자로 표시해<줘>
    {name|이/가} 어디쯤인지 짚어<줘>
    <in>{name|은/는} 어느 자리에 <있?>
    """,
    """
    Where is the {name}<in>?
    ? where the {name} is<in>
    ! find the {name}<in>
    ! locate the {name}
    ! point out the {name}
    ! mark the {name} with a box
    ! show me the {name}
    """,
)
WHERE_ALL = wording(
    "where_all",
    """
    <in>{name|을/를} 모두 찾아<줘>
    {name|은/는} 어디 어디에 <있?>
    {name|이/가} 있는 곳을 전부 알려<줘>
    {name|을/를} 하나도 빠짐없이 표시해<줘>
    <in>모든 {name}의 위치를 알려<줘>
    {name|이/가} 여럿이면 다 짚어<줘>
    """,
    """
    ! find all {names}<in>
    Where are all the {names}<in>?
    ! mark every one of the {names}
    ? where all the {names} are
    ! locate all {names}
    ! point out each of the {names}
    """,
)
REFERENT = {
    "ko": ("이 물체", "이것", "여기 있는 것", "상자 안의 물체", "이 자리에 있는 것"),
    "en": ("this object", "this", "the thing here", "the object in the box", "the marked object"),
}
REFER = wording(
    "refer",
    """
    {ref|은/는} <뭐?>
    {ref|이/가} 무엇인지 설명해<줘>
    {ref}의 이름을 알려<줘>
    {ref|을/를} 뭐라고 부르는지 말해<줘>
    <in>{ref|은/는} <뭐?>
    {ref|이/가} 무엇으로 보이는지 알려<줘>
    {ref|을/를} 보고 이름을 맞혀<줘>
    """,
    """
    What is {ref}<in>?
    ? what {ref} is
    ! name {ref}
    ! identify {ref}
    What do you call {ref}?
    ? what you would call {ref}
    ! say what {ref} is
    What would you say {ref} is?
    """,
)
COUNT_ALL = wording(
    "count_all",
    """
    <in>물체는 모두 몇 개<=?>
    물체가 몇 개 <있?>
    물체의 수를 세어<줘>
    <in>물체가 전부 몇 개 보<여?>
    보이는 물체를 모두 세면 몇 개<=?>
    물체의 개수를 알려<줘>
    """,
    """
    How many objects are there<in>?
    ! count the objects<in>
    ? how many objects there are
    What is the number of objects<in>?
    ! count everything you see
    ? the total number of objects
    """,
)
COUNT_NAMED = wording(
    "count_named",
    """
    <at>{name|은/는} 몇 {unit} <있?>
    {name|이/가} 몇 {unit}<=?>
    {name}의 수를 세어<줘>
    <in>{name|이/가} 모두 몇 {unit} 보<여?>
    {name|은/는} 전부 몇 {unit}<=?>
    {name|이/가} 몇 {unit} 있는지 세어<줘>
    """,
    """
    How many {names} are there<in>?
    ! count the {names}<in>
    ? how many {names} there are
    What is the number of {names}<in>?
    How many {names} can you see<in>?
    ! give me the number of {names}
    """,
)
PRESENCE = wording(
    "presence",
    """
    <in>{name|이/가} 보<여?>
    그림에 {name|이/가} <있?>
    혹시 여기에 {name|이/가} <있?>
    {name|을/를} 볼 수 <있?>
    이 사진 속에 {name|이/가} 들어 <있?>
    이미지 어딘가에 {name|이/가} <있?>
    """,
    """
    Is there {a_name}<in>?
    Can you see {a_name}<in>?
    ? whether there is {a_name}<in>
    ? whether you can see {a_name}
    Does the image contain {a_name}?
    Do you see {a_name}<in>?
    Is {a_name} anywhere to be seen<in>?
    ! check whether {a_name} is shown
    """,
)
COLOUR = wording(
    "object_colour",
    """
    <in>{name|은/는} 무슨 색<=?>
    {name}의 색은 <뭐?>
    {name}의 색을 알려<줘>
    {name|은/는} 어떤 색으로 칠해져 <있?>
    {name}의 색깔은 <뭐?>
    {name|이/가} 무슨 색으로 보이는지 말해<줘>
    """,
    """
    What color is the {name}<in>?
    ? what color the {name} is
    ! name the color of the {name}
    Which color does the {name} have<in>?
    ? the color of the {name}
    What is the color of the {name}?
    """,
)
COMPARE_SIZE = wording(
    "compare_size",
    """
    {a|과/와} {b} 중에서 어느 것이 더 큰지 알려<줘>
    {a|과/와} {b} 가운데 더 크게 보이는 것은 <뭐?>
    <in>{a|이랑/랑} {b} 중 더 큰 것은 <뭐?>
    {a|이/가} 더 큰지 {b|이/가} 더 큰지 말해<줘>
    {a|과/와} {b|을/를} 견주어 더 큰 것을 골라<줘>
    {a|과/와} {b}의 크기를 비교해서 큰 쪽을 말해<줘>
    """,
    """
    Which is larger<in>, the {a} or the {b}?
    ? which is bigger, the {a} or the {b}
    ! compare the {a} and the {b} and name the larger one
    Between the {a} and the {b}, which one looks bigger?
    Does the {a} or the {b} take up more room<in>?
    ? which of the two is larger, the {a} or the {b}
    """,
)
BIGGEST = wording(
    "biggest",
    """
    <in>가장 큰 물체는 <뭐?>
    제일 크게 보이는 것은 <뭐?>
    가장 큰 것의 이름을 말해<줘>
    <in>무엇이 제일 큰지 알려<줘>
    물체 중에서 가장 큰 것을 골라<줘>
    크기가 제일 큰 물체를 알려<줘>
    """,
    """
    What is the largest object<in>?
    ? which object is the biggest
    ! name the largest thing<in>
    Which object is the largest<in>?
    ? what the biggest object is
    ! pick out the object with the greatest size
    """,
)
SMALLEST = wording(
    "smallest",
    """
    <in>가장 작은 물체는 <뭐?>
    제일 작게 보이는 것은 <뭐?>
    가장 작은 것의 이름을 말해<줘>
    <in>무엇이 제일 작은지 알려<줘>
    물체 중에서 가장 작은 것을 골라<줘>
    크기가 제일 작은 물체를 알려<줘>
    """,
    """
    What is the smallest object<in>?
    ? which object is the smallest
    ! name the smallest thing<in>
    Which object is the smallest<in>?
    ? what the smallest object is
    ! pick out the object with the least size
    """,
)
LEFT_RIGHT = wording(
    "left_right",
    """
    <in>{name|은/는} 왼쪽과 오른쪽 중 어디에 <있?>
    {name|이/가} 왼쪽에 있는지 오른쪽에 있는지 알려<줘>
    왼쪽과 오른쪽 중 {name|은/는} 어느 쪽에 <있?>
    왼쪽이나 오른쪽으로 답한다면 {name|은/는} 어느 쪽에 <있?>
    그림을 반으로 나누면 {name|은/는} 왼쪽과 오른쪽 가운데 어디에 <있?>
    왼쪽 오른쪽 중에서 {name|이/가} 있는 쪽을 말해<줘>
    """,
    """
    Is the {name} on the left or on the right<in>?
    ? whether the {name} is on the left or the right
    On which side is the {name}<in>, left or right?
    ! say left or right: on which side is the {name}
    Left or right: where is the {name}<in>?
    ? on which side the {name} is, left or right
    """,
)
TOP_BOTTOM = wording(
    "top_bottom",
    """
    <in>{name|은/는} 위쪽과 아래쪽 중 어디에 <있?>
    {name|이/가} 위쪽에 있는지 아래쪽에 있는지 알려<줘>
    위쪽과 아래쪽 중 {name|은/는} 어느 쪽에 <있?>
    위쪽이나 아래쪽으로 답한다면 {name|은/는} 어느 쪽에 <있?>
    그림을 위아래로 나누면 {name|은/는} 위쪽과 아래쪽 가운데 어디에 <있?>
    위쪽 아래쪽 중에서 {name|이/가} 있는 쪽을 말해<줘>
    """,
    """
    Is the {name} at the top or at the bottom<in>?
    ? whether the {name} is at the top or the bottom
    Where is the {name}<in>, at the top or at the bottom?
    ! say top or bottom: where is the {name}
    Top or bottom: where is the {name}<in>?
    ? in which half the {name} is, top or bottom
    """,
)
RELATION = wording(
    "relation",
    """
    <in>{a|은/는} {b}보다 {side}에 <있?>
    {a|이/가} {b}의 {side}에 <있?>
    {b|을/를} 기준으로 {a|이/가} {side}에 <있?>
    {a}의 자리가 {b}보다 더 {side}<=?>
    {b}에서 보면 {a|은/는} {side}에 <있?>
    {a|과/와} {b|을/를} 견주면 {a|이/가} 더 {side}에 <있?>
    """,
    """
    Is the {a} {side} the {b}<in>?
    ? whether the {a} is {side} the {b}
    ! check whether the {a} is {side} the {b}
    Would you say the {a} is {side} the {b}<in>?
    ! say whether the {a} is {side} the {b}
    Is it true that the {a} is {side} the {b}?
    Do you see the {a} {side} the {b}<in>?
    """,
)
THAT_WHERE = wording(
    "that_where",
    """
    그건 어디에 <있?>
    그것의 위치를 알려<줘>
    방금 말한 것을 상자로 표시해<줘>
    그게 어디쯤인지 짚어<줘>
    그 물체를 찾아<줘>
    그것은 그림의 어느 자리에 <있?>
    그러면 그게 있는 곳을 보여<줘>
    """,
    """
    Where is it<in>?
    ? where it is
    ! mark it with a box
    ! point it out
    ! locate it for me
    And where exactly is that?
    ! show me where that is
    """,
)
