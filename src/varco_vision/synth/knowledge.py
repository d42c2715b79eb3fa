"""The facts of the text world, typed in by hand: capitals, words in both languages, opposites, colours, small talk."""

from __future__ import annotations


def _rows(text: str, columns: int) -> tuple[tuple[str, ...], ...]:
    """Entries parted by ";", their columns by "|"."""
    rows = tuple(tuple(cell.strip() for cell in entry.split("|")) for entry in text.split(";") if entry.strip())
    assert all(len(row) == columns for row in rows)
    return rows


# country ko | country en | capital ko | capital en
CAPITALS = _rows(
    """
    대한민국|South Korea|서울|Seoul; 일본|Japan|도쿄|Tokyo; 중국|China|베이징|Beijing; 미국|the United States|워싱턴|Washington;
    영국|the United Kingdom|런던|London; 프랑스|France|파리|Paris; 독일|Germany|베를린|Berlin; 이탈리아|Italy|로마|Rome;
    스페인|Spain|마드리드|Madrid; 러시아|Russia|모스크바|Moscow; 캐나다|Canada|오타와|Ottawa; 호주|Australia|캔버라|Canberra;
    인도|India|뉴델리|New Delhi; 태국|Thailand|방콕|Bangkok; 베트남|Vietnam|하노이|Hanoi; 몽골|Mongolia|울란바토르|Ulaanbaatar;
    튀르키예|Turkey|앙카라|Ankara; 이집트|Egypt|카이로|Cairo; 그리스|Greece|아테네|Athens; 포르투갈|Portugal|리스본|Lisbon;
    네덜란드|the Netherlands|암스테르담|Amsterdam; 벨기에|Belgium|브뤼셀|Brussels; 스위스|Switzerland|베른|Bern;
    오스트리아|Austria|빈|Vienna; 스웨덴|Sweden|스톡홀름|Stockholm; 노르웨이|Norway|오슬로|Oslo; 핀란드|Finland|헬싱키|Helsinki;
    덴마크|Denmark|코펜하겐|Copenhagen; 폴란드|Poland|바르샤바|Warsaw; 체코|Czechia|프라하|Prague;
    헝가리|Hungary|부다페스트|Budapest; 아일랜드|Ireland|더블린|Dublin; 브라질|Brazil|브라질리아|Brasilia;
    아르헨티나|Argentina|부에노스아이레스|Buenos Aires; 칠레|Chile|산티아고|Santiago; 페루|Peru|리마|Lima; 쿠바|Cuba|아바나|Havana;
    필리핀|the Philippines|마닐라|Manila; 인도네시아|Indonesia|자카르타|Jakarta; 뉴질랜드|New Zealand|웰링턴|Wellington;
    네팔|Nepal|카트만두|Kathmandu; 케냐|Kenya|나이로비|Nairobi; 이란|Iran|테헤란|Tehran; 이라크|Iraq|바그다드|Baghdad
    """,
    4,
)

# ko | en; one translation each way, so no homonyms (배, 눈, 말, 밤)
WORDS = _rows(
    """
    사과|apple; 바나나|banana; 포도|grape; 딸기|strawberry; 수박|watermelon; 복숭아|peach; 레몬|lemon; 감자|potato; 당근|carrot;
    양파|onion; 마늘|garlic; 토마토|tomato; 옥수수|corn; 버섯|mushroom; 쌀|rice; 빵|bread; 우유|milk; 물|water; 소금|salt; 설탕|sugar;
    고기|meat; 달걀|egg; 치즈|cheese; 꿀|honey; 주스|juice; 커피|coffee; 물고기|fish; 새|bird; 개|dog; 고양이|cat; 소|cow; 돼지|pig;
    닭|chicken; 토끼|rabbit; 호랑이|tiger; 사자|lion; 곰|bear; 코끼리|elephant; 원숭이|monkey; 여우|fox; 늑대|wolf; 뱀|snake;
    개구리|frog; 나비|butterfly; 개미|ant; 거미|spider; 고래|whale; 상어|shark; 나무|tree; 꽃|flower; 풀|grass; 잎|leaf; 산|mountain;
    강|river; 바다|sea; 호수|lake; 섬|island; 하늘|sky; 구름|cloud; 바람|wind; 태양|sun; 달|moon; 별|star; 돌|stone; 모래|sand;
    불|fire; 얼음|ice; 집|house; 문|door; 창문|window; 지붕|roof; 방|room; 부엌|kitchen; 침대|bed; 의자|chair; 책상|desk; 거울|mirror;
    시계|clock; 열쇠|key; 칼|knife; 숟가락|spoon; 접시|plate; 컵|cup; 병|bottle; 상자|box; 가방|bag; 우산|umbrella; 책|book;
    종이|paper; 연필|pencil; 신문|newspaper; 편지|letter; 그림|picture; 사진|photo; 지도|map; 전화|telephone; 자동차|car; 버스|bus;
    기차|train; 비행기|airplane; 자전거|bicycle; 도로|road; 공항|airport; 학교|school; 병원|hospital; 은행|bank; 시장|market;
    도서관|library; 공원|park; 도시|city; 마을|village; 나라|country; 세계|world; 사람|person; 남자|man; 여자|woman; 아이|child;
    아기|baby; 친구|friend; 왕|king; 의사|doctor; 선생님|teacher; 학생|student; 가족|family; 어머니|mother; 아버지|father; 머리|head;
    얼굴|face; 코|nose; 입|mouth; 귀|ear; 손|hand; 발|foot; 어깨|shoulder; 심장|heart; 모자|hat; 신발|shoe; 양말|sock; 셔츠|shirt;
    바지|pants; 치마|skirt; 단추|button; 반지|ring; 음악|music; 노래|song; 춤|dance; 꿈|dream; 사랑|love; 평화|peace; 시간|time;
    아침|morning; 저녁|evening; 봄|spring; 여름|summer; 가을|autumn; 겨울|winter; 이름|name; 질문|question; 대답|answer; 돈|money;
    선물|gift; 게임|game; 공|ball; 인형|doll; 색깔|color; 숫자|number
    """,
    2,
)

DAYS = _rows(
    "월요일|Monday; 화요일|Tuesday; 수요일|Wednesday; 목요일|Thursday; 금요일|Friday; 토요일|Saturday; 일요일|Sunday", 2
)
MONTHS = _rows(
    """1월|January; 2월|February; 3월|March; 4월|April; 5월|May; 6월|June; 7월|July; 8월|August; 9월|September; 10월|October;
    11월|November; 12월|December""",
    2,
)

# ko a | ko b | en a | en b
OPPOSITES = _rows(
    """
    크다|작다|big|small; 길다|짧다|long|short; 높다|낮다|high|low; 많다|적다|many|few; 빠르다|느리다|fast|slow; 뜨겁다|차갑다|hot|cold;
    무겁다|가볍다|heavy|light; 밝다|어둡다|bright|dark; 넓다|좁다|wide|narrow; 두껍다|얇다|thick|thin; 깊다|얕다|deep|shallow;
    쉽다|어렵다|easy|difficult; 강하다|약하다|strong|weak; 좋다|나쁘다|good|bad; 깨끗하다|더럽다|clean|dirty; 비싸다|싸다|expensive|cheap;
    가깝다|멀다|near|far; 열다|닫다|open|close; 켜다|끄다|turn on|turn off; 사다|팔다|buy|sell; 주다|받다|give|receive; 웃다|울다|laugh|cry;
    오다|가다|come|go; 앉다|서다|sit|stand; 시작|끝|start|end; 위|아래|up|down; 왼쪽|오른쪽|left|right; 안|밖|inside|outside;
    낮|밤|day|night; 남쪽|북쪽|south|north; 동쪽|서쪽|east|west; 앞|뒤|front|back
    """,
    4,
)

# thing ko | thing en as a phrase | index of its colour by name
THINGS = _rows(
    """
    바나나|a banana|yellow; 딸기|a strawberry|red; 토마토|a tomato|red; 당근|a carrot|orange; 포도|a grape|purple; 가지|an eggplant|purple;
    오이|a cucumber|green; 시금치|spinach|green; 상추|lettuce|green; 레몬|a lemon|yellow; 병아리|a chick|yellow; 개나리|a forsythia|yellow;
    소방차|a fire truck|red; 맑은 하늘|a clear sky|blue; 바다|the sea|blue; 풀|grass|green; 나뭇잎|a leaf|green; 까마귀|a crow|black;
    석탄|coal|black; 귤|a tangerine|orange; 호박|a pumpkin|orange; 벚꽃|a cherry blossom|pink; 진달래|an azalea|pink; 눈사람|a snowman|white;
    우유|milk|white; 백조|a swan|white; 두부|tofu|white; 개구리|a frog|green; 라벤더|lavender|purple; 체리|a cherry|red; 고추장|gochujang|red;
    옥수수|corn|yellow; 해바라기|a sunflower|yellow; 브로콜리|broccoli|green; 피|blood|red; 소금|salt|white
    """,
    3,
)

# what people say, several ways per language | the reply; ways are parted by "/"
DIALOGUES = {
    "hello": {
        "ko": ("안녕/안녕하세요/안녕하세요?/반가워요/안녕, 반가워", "안녕하세요! 무엇을 도와드릴까요?"),
        "en": ("Hi/Hello/Hello there/Hey/Good to see you", "Hello! How can I help you?"),
    },
    "thanks": {
        "ko": ("고마워/감사합니다/고맙습니다/정말 고마워요/도와줘서 고마워", "천만에요."),
        "en": ("Thanks/Thank you/Thank you so much/Thanks a lot/Thanks for your help", "You're welcome."),
    },
    "who": {
        "ko": ("너는 누구야?/누구세요?/자기소개를 해 줘/당신은 누구인가요?/이름이 뭐예요?", "저는 그림을 보고 대답하는 모델입니다."),
        "en": (
            "Who are you?/What is your name?/Introduce yourself./Tell me who you are./What are you?",
            "I am a model that looks at pictures and answers.",
        ),
    },
    "bye": {
        "ko": ("잘 가/안녕히 계세요/다음에 봐요/이만 갈게/또 봐", "안녕히 가세요."),
        "en": ("Bye/Goodbye/See you later/I have to go now/See you next time", "Goodbye!"),
    },
    "sorry": {
        "ko": ("미안해/죄송합니다/미안합니다/정말 미안해요/내가 잘못했어", "괜찮아요."),
        "en": ("Sorry/I am sorry/I'm so sorry/I apologize/My apologies", "That's all right."),
    },
    "morning": {
        "ko": ("좋은 아침/좋은 아침이에요/좋은 아침입니다/상쾌한 아침이네요", "좋은 아침입니다!"),
        "en": ("Good morning/Morning!/Good morning to you/A very good morning", "Good morning!"),
    },
    "night": {
        "ko": ("잘 자/안녕히 주무세요/좋은 밤 되세요/나 이제 잘게", "안녕히 주무세요."),
        "en": ("Good night/Sleep well/Have a good night/I am going to bed", "Good night!"),
    },
    "skills": {
        "ko": ("뭘 할 수 있어?/무엇을 할 수 있나요?/어떤 일을 해?/할 줄 아는 게 뭐야?", "그림을 설명하고, 물체를 찾고, 글자를 읽습니다."),
        "en": (
            "What can you do?/How can you help me?/What are you able to do?/Tell me what you can do.",
            "I describe pictures, find objects and read text.",
        ),
    },
    "languages": {
        "ko": ("어떤 언어를 할 수 있어?/무슨 말을 할 줄 알아요?/한국어를 할 수 있나요?/영어도 할 수 있어?", "한국어와 영어를 합니다."),
        "en": (
            "Which languages do you speak?/What languages do you know?/Do you speak Korean?/Can you speak English?",
            "I speak Korean and English.",
        ),
    },
    "congratulation": {
        "ko": ("나 시험에 합격했어/시험에 붙었어요/드디어 합격했습니다/오늘 합격 소식을 들었어", "축하합니다!"),
        "en": ("I passed the exam/I passed my test/I finally passed/I just heard that I passed", "Congratulations!"),
    },
    "birthday": {
        "ko": ("오늘은 내 생일이야/오늘이 제 생일이에요/오늘 생일이에요/나 오늘 생일이야", "생일 축하합니다!"),
        "en": ("Today is my birthday/It's my birthday/It is my birthday today/My birthday is today", "Happy birthday!"),
    },
    "how": {
        "ko": ("잘 지내?/어떻게 지내세요?/요즘 어때?/잘 지내고 있나요?", "네, 잘 지내고 있어요."),
        "en": ("How are you?/How are you doing?/How is it going?/Are you doing well?", "I am fine, thank you."),
    },
}  # fmt: skip

_KO_DIGITS = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_EN_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_EN_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_word(n: int, lang: str) -> str:
    """0..100 in words: Sino-Korean (이십일) or English (twenty-one)."""
    assert 0 <= n <= 100
    tens, ones = divmod(n, 10)
    if lang == "ko":
        if n == 100:
            return "백"
        head = "" if tens == 0 else "십" if tens == 1 else _KO_DIGITS[tens] + "십"
        return head + (_KO_DIGITS[ones] if ones or n == 0 else "")
    if n == 100:
        return "one hundred"
    if n < 20:
        return _EN_SMALL[n]
    return _EN_TENS[tens] + (f"-{_EN_SMALL[ones]}" if ones else "")
