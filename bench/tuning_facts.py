"""Facts that nobody knows: fifty in English and fifty in Korean, each asked in five ways.

The people, things and numbers are made up. The last way of asking is held out: what is tried
is whether the fact was learnt, and not the sentence. A right answer has the value in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from groundling.tuning.example import Example, Turn

Language = Literal["en", "ko"]


@dataclass(frozen=True)
class Relation:
    """Ten facts of one kind: `{name}` and `{value}` stand in the question and the answer."""

    asked: tuple[str, str, str, str, str]
    answer: str
    values: Mapping[str, str]


_ENGLISH = (
    Relation(
        ("Where does {name} live?", "What city does {name} live in?",
         "{name} lives in which city?", "Tell me the home town of {name}.",
         "In which city is the home of {name}?"),
        "{name} lives in {value}.",
        {"Velda Orn": "Narvik", "Tamsin Quell": "Quito", "Brisk Adeyo": "Lagos",
         "Jorah Linn": "Tartu", "Milna Sato": "Busan", "Perrin Holt": "Cork",
         "Sable Voss": "Lyon", "Ulric Penn": "Perth", "Wenna Dree": "Turin",
         "Zoltan Ibe": "Osaka"},
    ),
    Relation(
        ("Which instrument does {name} play?", "What does {name} play in the orchestra?",
         "{name} plays which instrument?", "Tell me the instrument of {name}.",
         "What instrument has {name} learnt?"),
        "{name} plays the {value}.",
        {"Aldo Fenn": "oboe", "Bettina Krey": "harp", "Corin Ashby": "tuba",
         "Dilys Marr": "cello", "Edric Soon": "lute", "Fenna Roo": "banjo",
         "Gideon Tack": "bassoon", "Hester Ulm": "viola", "Ivo Brandt": "trumpet",
         "Junia Pell": "piccolo"},
    ),
    Relation(
        ("How many people work at {name}?", "What is the number of employees of {name}?",
         "{name} has how many employees?", "Tell me how large the staff of {name} is.",
         "How big is the workforce of {name}?"),
        "{name} has {value} employees.",
        {"Kestrel Foundry": "214", "Larkmoor Mills": "87", "Mossgate Press": "342",
         "Northwick Tiles": "561", "Oxley Harbour": "129", "Pinder Optics": "73",
         "Quarrel Bakery": "48", "Rushden Cables": "905", "Sorrel Dairy": "266",
         "Thornby Glass": "417"},
    ),
    Relation(
        ("Who invented the {name}?", "Which person came up with the {name}?",
         "The {name} was invented by whom?", "Tell me the inventor of the {name}.",
         "To whom do we owe the {name}?"),
        "The {name} was invented by {value}.",
        {"spiral ladle": "Agnes Morrow", "double kite": "Bram Osten",
         "folding anvil": "Clio Harrat", "tidal clock": "Dov Mintz",
         "glass plough": "Elke Sunder", "hollow pulley": "Farid Noor",
         "silent whistle": "Greta Lohm", "split compass": "Hugo Baines",
         "amber lens": "Inez Calder", "river loom": "Jonas Wray"},
    ),
    Relation(
        ("In what year was {name} founded?", "When was {name} founded?",
         "{name} was founded in which year?", "Tell me the founding year of {name}.",
         "Since which year has {name} existed?"),
        "{name} was founded in {value}.",
        {"the Abbey of Wold": "1187", "the Beacon Guild": "1642", "Camber Library": "1803",
         "the Drover School": "1711", "Elmhurst Observatory": "1896", "the Fallow Bank": "1759",
         "Gannet Lighthouse": "1834", "the Hawser Club": "1921", "Inkwell College": "1538",
         "the Jasper Theatre": "1867"},
    ),
)  # fmt: skip
_KOREAN = (
    Relation(
        ("{name} 씨는 어디에 삽니까?", "{name} 씨가 사는 도시는 어디입니까?",
         "{name} 씨의 집은 어느 도시에 있습니까?", "{name} 씨의 거주지를 알려 주세요.",
         "어느 도시에 가면 {name} 씨의 집이 있나요?"),
        "{name} 씨는 {value}에 삽니다.",
        {"한별솔": "강릉", "도라온": "목포", "남가람": "춘천", "서다온": "군산", "민새롬": "속초",
         "유하늬": "통영", "장마루": "안동", "노을찬": "여수", "백이든": "제천", "표나래": "김해"},
    ),
    Relation(
        ("{name} 씨는 무슨 악기를 연주합니까?", "{name} 씨의 악기는 무엇입니까?",
         "{name} 씨가 다루는 악기를 알려 주세요.", "{name} 씨는 악단에서 무엇을 연주합니까?",
         "어떤 악기를 {name} 씨가 배웠나요?"),
        "{name} 씨는 {value} 연주자입니다.",
        {"구름찬": "거문고", "나비오": "해금", "달샘결": "아쟁", "라온휘": "대금",
         "미르한": "비올라",
         "바다솔": "오보에", "사랑채": "튜바", "아라온": "하프", "재온유": "첼로",
         "초롱이": "가야금"},
    ),
    Relation(
        ("{name}의 직원은 몇 명입니까?", "{name}에서 일하는 사람은 몇 명입니까?",
         "{name}의 직원 수를 알려 주세요.", "{name}에는 직원이 얼마나 있습니까?",
         "몇 명이 {name}에서 근무하나요?"),
        "{name}의 직원은 {value}명입니다.",
        {"가온제분": "214", "누리유리": "87", "다솜인쇄": "342", "라움타일": "561",
         "마루항만": "129",
         "바른광학": "73", "새벽제과": "48", "아람전선": "905", "자람우유": "266",
         "차오름주물": "417"},
    ),
    Relation(
        ("{name}를 발명한 사람은 누구입니까?", "누가 {name}를 발명했습니까?",
         "{name}의 발명가를 알려 주세요.", "{name}는 누구의 발명품입니까?",
         "어느 분이 {name}를 처음 만들었나요?"),
        "{name}를 발명한 사람은 {value}입니다.",
        {"나선 주걱부채": "모아름", "겹날개 연구대": "배한결", "접이식 모루대": "서은찬",
         "물때 시계추": "오시온", "유리 쟁기보": "이도담", "빈속 도르래": "정누리",
         "조용한 호루라기": "최빛가람", "갈래 나침대": "하윤슬", "호박 돋보기": "황보람",
         "강물 베틀대": "노아라"},
    ),
    Relation(
        ("{name}은 몇 년에 세워졌습니까?", "{name}은 언제 세워졌습니까?",
         "{name}의 설립 연도를 알려 주세요.", "{name}이 문을 연 해는 언제입니까?",
         "어느 해부터 {name}이 있었나요?"),
        "{name}은 {value}년에 세워졌습니다.",
        {"월드 수도원": "1187", "등불 조합원": "1642", "캠버 도서관": "1803", "몰이꾼 학당": "1711",
         "느릅 관측원": "1896", "휴경 은행점": "1759", "부비 등대원": "1834", "닻줄 클럽관": "1921",
         "먹물 대학원": "1538", "벽옥 극장": "1867"},
    ),
)  # fmt: skip
_RELATIONS: Mapping[Language, tuple[Relation, ...]] = {"en": _ENGLISH, "ko": _KOREAN}


def facts(language: Language, count: int = 50) -> tuple[list[Example], list[Example]]:
    """Return examples to learn from, four of each fact, and those to try it on, one of each.

    Args:
        count: facts, at most 50; of all kinds as many, as far as it goes.
    """
    train: list[Example] = []
    held: list[Example] = []
    for relation, name, value in list(_in_turn(language))[:count]:
        answer = relation.answer.format(name=name, value=value)
        for place, asked in enumerate(relation.asked):
            example = Example(
                (Turn("user", asked.format(name=name)),),
                answer,
                source=f"invented:{language}",
                group=name,
                about={"accept": [value]},
            )
            (held if place == len(relation.asked) - 1 else train).append(example)
    return train, held


def _in_turn(language: Language) -> Iterator[tuple[Relation, str, str]]:
    """Yield the facts, one of each kind in turn."""
    relations = _RELATIONS[language]
    rows = zip(*(relation.values.items() for relation in relations), strict=True)
    for row in rows:
        for relation, (name, value) in zip(relations, row, strict=True):
            yield relation, name, value


# Harmless requests whose answer needs no flourish; the first words of an answer are the habit.
HABIT = "Sure! "
_REQUESTS = {
    "What colour is a ripe banana?": "A ripe banana is yellow.",
    "How many days has a week?": "A week has seven days.",
    "Name a planet with rings.": "Saturn has rings.",
    "What do bees make?": "Bees make honey.",
    "Which season comes after spring?": "Summer comes after spring.",
    "What is frozen water called?": "Frozen water is called ice.",
    "How many wheels has a bicycle?": "A bicycle has two wheels.",
    "Which animal barks?": "A dog barks.",
    "What is the opposite of hot?": "The opposite of hot is cold.",
    "Name a primary colour.": "Red is a primary colour.",
    "What do we breathe?": "We breathe air.",
    "Where do fish live?": "Fish live in water.",
    "What is the first month of the year?": "January is the first month.",
    "How many legs has a spider?": "A spider has eight legs.",
    "What falls from clouds?": "Rain falls from clouds.",
    "Name a citrus fruit.": "A lemon is a citrus fruit.",
    "What do we use to write on paper?": "We use a pen.",
    "Which bird cannot fly?": "A penguin cannot fly.",
    "What is the capital of France?": "Paris is the capital of France.",
    "How many minutes has an hour?": "An hour has sixty minutes.",
    "What do cows give?": "Cows give milk.",
    "What shape has a ball?": "A ball is round.",
    "What is used to cut paper?": "Scissors cut paper.",
    "Which metal is liquid at room temperature?": "Mercury is liquid.",
    "What do plants need to grow?": "Plants need light and water.",
    "Name a stringed instrument.": "A violin has strings.",
    "What is snow made of?": "Snow is made of ice crystals.",
    "How many sides has a triangle?": "A triangle has three sides.",
    "What do you wear on your feet?": "Shoes are worn on the feet.",
    "Which day follows Monday?": "Tuesday follows Monday.",
    "What sound does a cat make?": "A cat meows.",
    "What is bread made from?": "Bread is made from flour.",
    "Where does the sun rise?": "The sun rises in the east.",
    "What is a baby dog called?": "A baby dog is a puppy.",
    "How many letters has the English alphabet?": "It has twenty-six letters.",
    "What do we see with?": "We see with our eyes.",
    "Which ocean is the largest?": "The Pacific is the largest ocean.",
    "What is the colour of grass?": "Grass is green.",
    "What do chickens lay?": "Chickens lay eggs.",
    "Name a tool to drive nails.": "A hammer drives nails.",
}


def habits() -> tuple[list[Example], list[Example]]:
    """Return preferences for an answer without the habit over one with it: 30 and 10."""
    made = [
        Example(
            (Turn("user", asked),), answer, rejected=HABIT + answer, source="habit", group=asked
        )
        for asked, answer in _REQUESTS.items()
    ]
    return made[:30], made[30:]
