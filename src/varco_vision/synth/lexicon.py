"""Word lists: everyday Korean nouns, English words, and Hangul syllables by how common they are.

The order of `COMMON_SYLLABLES` is by frequency in running Korean prose; the first 500 make up nearly all of it.
"""

from __future__ import annotations

from functools import lru_cache

COMMON_SYLLABLES = (
    "이다는하에요가의을어지고은한로아사기해서도나자있수를대인보시으정리세게일라그거니만들주면과부전제스여구했상좋적국무마되년었까것장동야데학할내연네생같안원음위소예중공화간랑와신분계성말진각선우문비람오미"
    "모조남방없용겠유물운려관터않트러회당르너경식실후치민통개친명바된노습행때였드더등현건교월많결작반재영발봐차산며속타함합히입톰역금싶체단표저심죠았두직별잘힘법업크알프집받애른래난양형감질달따호임걸력또점"
    "편설론불든파준복처추던살변못워본날울락강키혼포카피테배길출외언버번초헤디루태최확약근매될짝청레열천종베먹증평늘군능필권졌독좀썸립절올항새록판술참쓰존토녀온석환름줄량돼령린특메련향백족격져런끝느났누뭐억"
    "왔코볼렇책플광답활귀돌류담망머찮겨북택접험순박막급숙께취란갈왜목침맞괜료젠충글총잡응잊곳찾악철먼떻창황움잠짜견째꾸됐극떨김눈병축페얼렸긴닌투삼승엔놀규줘및찰품티몰완색검율커쉬릴빠논칙벡측컴큰브송앞쟁럼"
    "밀탈씨싫듯쳐퓨떤육탄클곱허돈손림럽놓앙떠써엄높헌싸범값몇획맛벌례둘패착님큼폭협텐깨혀뒤갖즉죽쪽꿈슨믿슈럴첫갔쉽넘념슬뿐케득뜻랄칭켜빌얻겼렬웠희냈휴갑퍼궁짓채밝츠폰욕봅찬즈뉴랍농골톡층냐낼벽웃므팅늦씩퇴"
    "맥풍짐걱곡왕밖괴웨쁜효냥졸잔즐익셨켓핵척풀쳤붙률턴염블맘빨밤찍킨틀끔봉뭘봤덕쁘널굴끼좌몸엇랐곤링압십센낸균벨랜즘폐혹픈덜맨쿠칼셔낌탁징줬혁셈몽멋낮템션암챙쌍흔넷캐혔힐액봇뭔꼭렀읽흘롯떡똑흐빛칠깊흥객닐"
    "솔롭죄털곧빼쓸핑훈램콘쇼끗밥빈홍섭렵겐딸딱윤핸껴헬꽃짧엘숨젝딩끊홀봄팔듣웰텔씀푸욱끄옥혜웹꺼뻐삶략넓콜뢰얘컨옷뀌냉픽흡뜨멀셀릭슴킬깝덤둔덧밌낙켰샤넌겁끌묘맡렌깔펴헨쿼썼델쓴녹뛰픔됩힌씬탐룹탕춰핀냄롤벗"
)

_NOUNS = """
    가게 가방 가위 가을 가족 감자 강물 강아지 거리 거울 건물 겨울 경찰 계단 고구마 고기 고래 고양이 공원 공장 공책 과일 과자 교실
    교회 구두 구름 국수 그림 극장 기차 길가 김치 깃발 꽃밭 나라 나무 나비 낙타 날개 날씨 남자 냄비 냉장고 노래 농장 눈물 다람쥐
    다리 단추 달걀 달력 담요 당근 대문 대학 도로 도시 도서관 동물 동생 동전 돼지 두부 드라마 등산 딸기 땅콩 라디오 라면 로봇 마늘
    마당 마을 만두 만화 말씀 망치 머리 먼지 메뉴 모래 모자 목걸이 무지개 문제 물감 물고기 미술 바구니 바나나 바늘 바다 바람 바위
    바지 박물관 반지 발명 방송 배추 버섯 버스 번호 베개 벽돌 변호사 별빛 병원 보석 복숭아 볼펜 봄비 봉투 부엌 비누 비행기 빗자루
    빨래 사과 사람 사랑 사자 사진 산책 상자 상어 생선 생일 서울 서점 선물 선생님 설탕 세탁기 소금 소나무 소리 소방서 손가락 손님
    송아지 수건 수박 수영 숟가락 숲속 시간 시계 시장 식당 식물 신문 신발 실내 아기 아침 악기 안경 안내 약국 양말 양파 어린이 얼굴
    얼음 여름 여우 여행 역사 연필 열쇠 영화 오렌지 오리 옥수수 온도 올빼미 옷장 우산 우유 우체국 운동 원숭이 월요일 위험 은행 음식
    음악 의사 의자 이름 이불 이야기 인형 일기 입구 자동차 자리 자전거 작가 잔디 장갑 장난감 장미 저녁 전화 점심 접시 정원 제주도 조개
    주머니 주스 주차장 지구 지도 지하철 직업 진달래 집안 창문 책상 책방 청소 체육관 초콜릿 촛불 축구 출구 치마 친구 칠판 침대 칫솔 카메라
    칼국수 커튼 커피 컴퓨터 케이크 코끼리 콩나물 크레용 태양 택시 토끼 토마토 통장 튤립 파도 편지 편의점 포도 풍선 피아노 하늘 하루
    학교 학생 한글 한복 할머니 할아버지 항구 해바라기 햇빛 호랑이 호박 호수 화분 화장실 회사 휴지 희망
"""

_ENGLISH_WORDS = """
    air apple art baby bag bank bear bed bell bird boat book box bread bus cafe cake car cat chair city clock cloud coat coffee cook cup
    dance day desk dog door duck ear east egg eye face farm film fire fish flag food foot fox game gate gift glass gold green hand
    hat help home horse hotel house ice jam juice key king lake lamp leaf lemon lion lunch map market milk moon music name news
    night north note open orange paper park pen phone piano pink pizza plane plant queen rain red rice ring river road robot room
    rose sale salt sand school sea seat ship shoe shop show sky snow soap song south spoon star stop store sugar summer sun table
    taxi tea tiger time toy train tree van video wall watch water west white wind window winter wood zoo
"""

NOUNS = tuple(_NOUNS.split())
ENGLISH_WORDS = tuple(_ENGLISH_WORDS.split())
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@lru_cache(maxsize=1)
def ks_syllables() -> tuple[str, ...]:
    """The 2,350 Hangul syllables of KS X 1001: rows 16-40 of 94 cells, read through the EUC-KR encoding."""
    cells = (bytes((row + 0xA0, cell + 0xA0)) for row in range(16, 41) for cell in range(1, 95))
    return tuple(cell.decode("euc-kr") for cell in cells)


@lru_cache(maxsize=8)
def syllables(count: int) -> tuple[str, ...]:
    """The `count` commonest syllables (1..2350): by frequency while the list reaches, then in the order of KS X 1001."""
    assert 0 < count <= 2350
    return tuple(dict.fromkeys((*COMMON_SYLLABLES, *ks_syllables())))[:count]
