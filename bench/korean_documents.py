"""Korean documents with and without identifiers, made with a fixed seed.

Nobody's data: names, numbers and keys come from a random number generator. The check digits
are computed here a second time, apart from the detectors' own, so that a mistake in either
shows. Every second document holds nothing but look-alikes.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field

Maker = Callable[[random.Random], str]


@dataclass
class Document:
    """A text and where its identifiers stand: kind, start, end.

    Args:
        text: the text.
        gold: its identifiers.
        lookalike: what the text holds instead of an identifier; empty where it holds one.
    """

    text: str
    gold: list[tuple[str, int, int]] = field(default_factory=list)
    lookalike: str = ""


def documents(each: int = 40, seed: int = 7) -> list[Document]:
    """Make `each` documents for every kind of identifier and of look-alike."""
    rng = random.Random(seed)
    made = []
    for kind, (makers, sentences) in IDENTIFIERS.items():
        for _ in range(each):
            value, sentence = rng.choice(makers)(rng), rng.choice(sentences)
            before = f"{rng.choice(PROSE)}\n{sentence[: sentence.index('{}')]}"
            text = f"{before}{value}{sentence[sentence.index('{}') + 2 :]} {rng.choice(PROSE)}"
            made.append(Document(text, [(kind, len(before), len(before) + len(value))]))
    for name, (maker, sentences) in LOOKALIKES.items():
        for _ in range(each):
            text = rng.choice(sentences).format(maker(rng))
            text = f"{rng.choice(PROSE)}\n{text} {rng.choice(PROSE)}"
            made.append(Document(text, lookalike=name))
    return made


def digits(rng: random.Random, count: int) -> str:
    """Return that many digits, the first of which is not 0."""
    return rng.choice("123456789") + "".join(rng.choices("0123456789", k=count - 1))


def letters(rng: random.Random, count: int) -> str:
    """Return letters and digits as keys have them."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=count))


def resident(rng: random.Random, sexes: str = "12", *, checked: bool = True) -> str:
    """Return a resident registration number, with or without its check digit."""
    century = 20 if sexes[0] in "3478" else 19
    year = rng.randint(0, 24) if century == 20 else rng.randint(40, 99)
    body = f"{year:02}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{rng.choice(sexes)}"
    body += f"{rng.randint(0, 99999):05}"
    total = sum((2 + n % 8) * int(digit) for n, digit in enumerate(body))
    last = (11 - total % 11 + (2 if sexes[0] in "5678" else 0)) % 10
    return f"{body[:6]}-{body[6:]}{last if checked else (last + rng.randint(1, 9)) % 10}"


def business(rng: random.Random, *, checked: bool = True) -> str:
    """Return a business registration number, with or without its check digit."""
    body = f"{digits(rng, 3)}{rng.randint(1, 99):02}{digits(rng, 4)}"
    weights = [1, 3, 7] * 3
    weights[8] = 5
    total = sum(w * int(d) for w, d in zip(weights, body, strict=True)) + int(body[8]) * 5 // 10
    last = -total % 10
    return (
        f"{body[:3]}-{body[3:5]}-{body[5:]}{last if checked else (last + rng.randint(1, 9)) % 10}"
    )


def card(rng: random.Random) -> str:
    """Return a card number of 16 digits in groups of four, with its Luhn digit."""
    body = rng.choice(["4", "51", "55", "9410", "6221"])
    body += digits(rng, 15 - len(body))
    total = sum(sum(divmod(int(d) * (2 - n % 2), 10)) for n, d in enumerate(body))
    whole = f"{body}{-total % 10}"
    return rng.choice(["-", " "]).join(whole[n : n + 4] for n in range(0, 16, 4))


def _mobile(rng: random.Random) -> str:
    return f"010{rng.choice(['-', '-', '.', ' '])}{digits(rng, 4)}-{digits(rng, 4)}"


def _wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


PROSE = [
    "지난 회의에서 논의한 내용을 정리하여 보내 드립니다.",
    "2026년 3월 15일 오후 2시 30분에 본사 3층 회의실에서 진행합니다.",
    "연차 휴가는 15일이며, 미사용분은 다음 해 3월까지 사용할 수 있습니다.",
    "이번 분기 매출은 1,234,567,000원으로 작년보다 12.5% 늘었습니다.",
    "자세한 사항은 사내 규정 제12조 제3항을 참고하시기 바랍니다.",
    "점검은 KS Q ISO 9001:2015 기준에 따라 매년 두 번 실시합니다.",
]
IDENTIFIERS: dict[str, tuple[list[Maker], list[str]]] = {
    "phone": (
        [
            _mobile,
            lambda rng: f"010{digits(rng, 8)}",
            lambda rng: f"02-{digits(rng, 3)}-{digits(rng, 4)}",
            lambda rng: f"031)  {digits(rng, 3)}-{digits(rng, 4)}".replace("  ", ""),
            lambda rng: f"+82-10-{digits(rng, 4)}-{digits(rng, 4)}",
            lambda rng: f"+82 10 {digits(rng, 4)} {digits(rng, 4)}",
            lambda rng: f"070-{digits(rng, 4)}-{digits(rng, 4)}",
            lambda rng: _wide(f"010-{digits(rng, 4)}-{digits(rng, 4)}"),
        ],
        [
            "김민수 과장 연락처: {}",
            "급하시면 {}로 전화 주세요.",
            "| 박지영 | {} | 영업팀 |",
            '{"name": "이서준", "tel": "{}"}',
            "제 번호는 {}입니다.",
        ],
    ),
    "email": (
        [
            lambda rng: f"{letters(rng, 6).lower()}@example.co.kr",
            lambda rng: f"kim.{letters(rng, 4).lower()}+work@mail-{digits(rng, 2)}.example.com",
        ],
        ["메일은 {}으로 보내 주십시오.", "담당자({})에게 문의하세요.", "이메일:{}"],
    ),
    "kr_rrn": (
        [
            resident,
            lambda rng: resident(rng, "34", checked=False),
            lambda rng: resident(rng, "12", checked=False),
            lambda rng: resident(rng, "34"),
        ],
        [
            "주민등록번호: {}",
            "홍길동({})은 위와 같이 신청합니다.",
            "주민번호는 {}입니다.",
            "| 최유진 | {} | 서울 |",
        ],
    ),
    "kr_frn": (
        [lambda rng: resident(rng, "56"), lambda rng: resident(rng, "78", checked=False)],
        ["외국인등록번호 {}", "응우옌({}) 님의 체류 기간을 연장합니다."],
    ),
    "kr_brn": (
        [business],
        ["사업자등록번호: {}", "공급자 {} (주)가나다", "세금계산서는 {}로 발행해 주세요."],
    ),
    "kr_driver": (
        [
            lambda rng: f"{rng.randint(11, 26)}-{digits(rng, 2)}-{digits(rng, 6)}-{digits(rng, 2)}",
        ],
        ["운전면허번호 {}", "면허증({})을 제시해 주세요.", "번호 {} 확인 바랍니다."],
    ),
    "passport": (
        [
            lambda rng: f"M{digits(rng, 8)}",
            lambda rng: f"M{digits(rng, 3)}{rng.choice('ABCDEF')}{digits(rng, 4)}",
        ],
        ["여권번호: {}", "여권 번호는 {}이고 만료일은 2031-05-01입니다."],
    ),
    "card": (
        [card, lambda rng: card(rng).replace("-", "").replace(" ", "")],
        ["카드번호 {}", "법인카드 {}로 결제했습니다."],
    ),
    "bank_account": (
        [
            lambda rng: f"{digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 6)}",
            lambda rng: f"{digits(rng, 6)}-{digits(rng, 2)}-{digits(rng, 6)}",
            lambda rng: f"3333-{digits(rng, 2)}-{digits(rng, 7)}",
            lambda rng: digits(rng, 12),
        ],
        ["입금 계좌: 국민은행 {}", "환불은 신한은행 {}으로 부탁합니다.", "계좌번호는 {}입니다."],
    ),
    "ip": (
        [
            lambda rng: (
                f"{rng.randint(33, 99)}.{digits(rng, 2)}.{digits(rng, 2)}.{rng.randint(40, 250)}"
            )
        ],
        ["접속 IP는 {}였습니다.", "{}에서 로그인에 다섯 번 실패했습니다."],
    ),
    "password": (
        [lambda rng: letters(rng, 5) + digits(rng, 3) + rng.choice(["!", "#", "@", ""])],
        [
            "비밀번호: {}",
            "임시 비밀번호는 {} 입니다.",
            '{"id": "hong", "password": "{}"}',
            "DB_PASSWORD={}",
            "비번은 {}이에요.",
        ],
    ),
    "api_key": (
        [
            lambda rng: f"sk-proj-{letters(rng, 80)}",
            lambda rng: f"hf_{letters(rng, 34)}",
            lambda rng: f"ghp_{letters(rng, 36)}",
            lambda rng: f"AIza{letters(rng, 35)}",
            lambda rng: f"lsv2_pt_{rng.randbytes(16).hex()}_{rng.randbytes(5).hex()}",
        ],
        ["API 키: {}", "아래 키를 쓰세요.\n{}\n", "client = Client('{}')"],
    ),
}
LOOKALIKES: dict[str, tuple[Maker, list[str]]] = {
    "price": (
        lambda rng: f"{rng.randint(10, 999)},{rng.randint(100, 999)},{rng.randint(100, 999)}원",
        ["계약 금액은 {}입니다.", "계좌에 {}을 입금했습니다.", "카드 한도는 {}까지입니다."],
    ),
    "bare price": (lambda rng: f"{digits(rng, 10)}원", ["계좌로 {}을 송금했다.", "총액 {}"]),
    "date and time": (
        lambda rng: (
            f"20{rng.randint(10, 26)}-{rng.randint(10, 12)}-{rng.randint(10, 28)} "
            f"{rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}"
        ),
        ["최종 수정 {}", "통화 일시: {}", "전화 상담 {}에 접수"],
    ),
    "time stamp": (
        lambda rng: (
            f"20{rng.randint(20, 26)}{rng.randint(10, 12)}{rng.randint(10, 28)}"
            f"{rng.randint(10, 23)}{rng.randint(10, 59)}{rng.randint(10, 59)}"
        ),
        ["파일 backup_{}.tar", "입금 처리 {}", "로그 {}"],
    ),
    "milliseconds": (lambda rng: f"17{digits(rng, 11)}", ['"created_at": {}', "생성 시각 {}"]),
    "order": (
        lambda rng: business(rng, checked=False),
        ["주문번호 {}", "송장번호: {}", "접수 번호는 {}입니다."],
    ),
    "order with a date": (
        lambda rng: f"26{rng.randint(10, 12)}{rng.randint(10, 28)}-{digits(rng, 7)}",
        ["주문번호: {}", "접수번호 {}"],
    ),
    "ISBN": (
        lambda rng: f"979-11-{digits(rng, 4)}-{digits(rng, 3)}-{rng.randint(0, 9)}",
        ["ISBN {}", "도서({})를 구매했습니다."],
    ),
    "bare ISBN": (lambda rng: f"97889{digits(rng, 8)}", ["ISBN: {}", "바코드 {}"]),
    "version": (
        lambda rng: (
            f"{rng.randint(1, 12)}.{rng.randint(0, 30)}.{rng.randint(0, 30)}.{rng.randint(0, 31)}"
        ),
        ["버전 {}로 올렸습니다.", "펌웨어 v{}", "제{}절을 보라."],
    ),
    "UUID": (
        lambda rng: "-".join(rng.randbytes(n).hex() for n in (4, 2, 2, 2, 6)),
        ["실행 번호 {}", "run_id={}"],
    ),
    "hash": (lambda rng: rng.randbytes(32).hex(), ["sha256:{}", "체크섬 {}"]),
    "offsets": (
        lambda rng: f"{rng.randint(1000, 99999)}-{rng.randint(100000, 999999)}",
        ["문자 위치 {}", "offset {}"],
    ),
    "years": (
        lambda rng: f"19{digits(rng, 2)}-20{digits(rng, 2)}",
        ["재직 기간 {}", "전화 사업 {}"],
    ),
    "model": (
        lambda rng: f"FX-{digits(rng, 4)}-{digits(rng, 4)}",
        ["모델명 {}", "장비 {}의 연락처 표"],
    ),
    "private address": (
        lambda rng: f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
        ["내부 IP {}"],
    ),
    "coordinates": (
        lambda rng: f"37.{digits(rng, 6)}, 127.{digits(rng, 6)}",
        ["위치: {}", "좌표 {}"],
    ),
    "password rules": (
        lambda rng: rng.choice(["8자 이상", "영문과 숫자", "90일마다", "SHA-256으로", "8-16자"]),
        ["비밀번호는 {} 바꾸거나 저장합니다.", "비밀번호: {} 필요", "암호는 {} 처리합니다."],
    ),
    "tokens": (
        lambda rng: str(rng.randint(100, 99999)),
        ["max_tokens={}", "토큰: {}개를 썼습니다.", '"token": "안녕{}"'],
    ),
}
