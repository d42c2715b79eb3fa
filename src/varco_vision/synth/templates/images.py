"""Several pictures, several turns, and choosing by a letter."""

from varco_vision.synth.phrasing import wording

CHOOSE = wording(
    "choose",
    """
    기호로 답해<줘>
    알맞은 것의 기호를 골라<줘>
    보기에서 하나를 골라 기호로 말해<줘>
    맞는 답의 기호만 적어<줘>
    다음 보기 중에서 골라 기호로 답해<줘>
    정답의 기호를 알려<줘>
    보기에서 맞는 답을 골라 기호만 말해<줘>
    """,
    """
    ! answer with the letter
    ! choose one and give its letter
    ! pick the right option by its letter
    ! give only the letter of the right answer
    ! answer with the letter of one option
    ! tell me the letter of the correct answer
    """,
)
WHICH_IMAGE = wording(
    "which_image",
    """
    {name|은/는} 몇 번째 그림에 <있?>
    {name|이/가} 있는 그림은 몇 번째<=?>
    {name|이/가} 몇 번째 사진에 나오는지 알려<줘>
    두 그림 중 {name|이/가} 보이는 것을 골라<줘>
    {name|을/를} 볼 수 있는 그림이 몇 번째인지 말해<줘>
    첫 번째와 두 번째 중에서 {name|이/가} 있는 그림을 말해<줘>
    """,
    """
    Which picture shows the {name}, the first or the second?
    ? which picture has the {name}
    In which of the two pictures is the {name}?
    ! say which image contains the {name}
    ? whether the {name} is in the first or the second picture
    ! choose the picture with the {name}, first or second
    """,
)
MORE_IN = wording(
    "more_in",
    """
    물체가 더 많은 그림은 몇 번째<=?>
    두 그림 중 물체가 더 많은 것을 골라<줘>
    첫 번째와 두 번째 가운데 물체가 더 많은 그림을 말해<줘>
    몇 번째 그림에 물체가 더 많이 <있?>
    두 그림의 물체를 세어 더 많은 쪽을 알려<줘>
    어느 그림에 물체가 더 많은지 비교해<줘>
    """,
    """
    Which picture has more objects, the first or the second?
    ? which picture has more objects
    ! compare the two pictures and say which has more objects
    In which of the two images are there more objects?
    ! count the objects in both pictures and name the fuller one
    ? whether the first or the second picture holds more objects
    """,
)
TOTAL_IN = wording(
    "total_in",
    """
    두 그림의 물체를 모두 합하면 몇 개<=?>
    두 그림에 있는 물체는 전부 몇 개<=?>
    두 그림의 물체 수를 더해<줘>
    첫 번째와 두 번째 그림의 물체를 다 세면 몇 개<=?>
    두 사진에 물체가 모두 합해서 몇 개 <있?>
    두 이미지의 물체를 합친 개수를 알려<줘>
    """,
    """
    How many objects are there in both pictures together?
    ? how many objects the two pictures have in total
    ! add up the objects of both images
    ! count the objects in the two pictures together
    What is the total number of objects over both pictures?
    ? the number of objects in the first and second picture combined
    """,
)
COMMON_TO = wording(
    "common_to",
    """
    두 그림에 모두 있는 것은 <뭐?>
    첫 번째 그림에도 있고 두 번째 그림에도 있는 것은 <뭐?>
    두 사진에 함께 나오는 것을 말해<줘>
    두 그림에 똑같이 들어 있는 것을 찾아<줘>
    두 이미지에 공통으로 있는 것은 <뭐?>
    양쪽 그림에서 다 볼 수 있는 것을 알려<줘>
    """,
    """
    What is in both pictures?
    ? what the two pictures have in common
    ! name the object that is in both images
    Which object appears in the first and in the second picture?
    ! find the object that both pictures share
    ? which object is shown in both pictures
    """,
)
ORDINALS = {"ko": ("첫 번째", "두 번째"), "en": ("the first", "the second")}
