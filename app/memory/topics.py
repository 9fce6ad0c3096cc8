"""What facts about people are about, and the words by which a question asks for it.

"Where am I from?" shares no word with "lives in Busan", and a small English embedder knows
nothing of "어디 살아?". Both name the same topic. A topic is one more term of a fact and of a
question: found like a word, by BM25, and worth the less, the more facts are of it.
"""

from __future__ import annotations

import re

_CUES = {
    "name": r"\bnames?\b|\bcall(?:ed)? me\b|nickname|이름|성함|별명|부르|불러|호칭",
    "home": r"\blive[sd]?\b|\bliving\b|\bhome\b|\bhouse\b|apartment|\baddress|\bcity\b|\btown\b"
    r"|\bmov(?:ed?|ing)\b|\breside|neighbou?rhood|\bfrom\b|hometown|commut|\bbased\b"
    r"|사는|살아|살고|살지|산다|삽니|살았|거주|이사|동네|주소|고향|우리 ?집|집은|집이|출퇴근|출신",
    "work": r"\bjob\b|\bwork(?:s|ed|ing|place)?\b|\bemploy|\bcompany\b|\boffice\b|\bcareer\b"
    r"|profession|occupation|colleague|\bboss\b|\bfor a living\b|\bengineer|\bteacher\b|\bnurse\b"
    r"|직업|회사|일하|일해|근무|직장|업무|다니|직책|부서|팀장|동료|엔지니어|간호사|교사|개발자|선생님",
    "study": r"\bschool\b|universit|\bcollege\b|\bstud(?:y|ies|ied|ying|ent)\b|\bmajor|\bdegree\b"
    r"|\bexam|\bcourse\b|\bthesis\b|graduat|학교|대학|전공|공부|시험|수업|논문|졸업|학생|배우",
    "family": r"\bwife\b|husband|\bpartner\b|\bspouse\b|\bsons?\b|daughter|\bchild|\bkids?\b"
    r"|\bmother\b|\bfather\b|\bmum\b|\bmom\b|\bdad\b|\bparents?\b|brother|\bsister|married|famil"
    r"|grand(?:ma|pa|mother|father)|sibling|twins"
    r"|가족|아내|남편|아들|딸|아이|자녀|엄마|아빠|어머니|아버지|부모|형제|누나|언니|오빠|동생|결혼|배우자|할머니|할아버지",
    "pet": r"\bdogs?\b|\bcats?\b|\bpets?\b|puppy|kitten|\bparrot|hamster|rabbit"
    r"|강아지|고양이|반려|애완|햄스터|앵무새|토끼|키우",
    "food": r"\beat(?:s|ing)?\b|\bfoods?\b|\bdiet|vegetarian|\bvegan\b|allerg|\bdrink|coffee"
    r"|\btea\b|restaurant|\bmeals?\b|\bcook|\bdinner\b|\blunch\b|breakfast|\bsnack|dish\b"
    r"|먹|음식|식사|알레르기|채식|비건|커피|요리|식당|맛집|마시|점심|저녁|아침|메뉴|간식",
    "health": r"\bhealth|allerg|\basthma|diabet|\bmedic|\bdoctor\b|\bpills?\b|disease|injur|\bsick"
    r"|건강|알레르기|천식|당뇨|아프|질환|복용|병원|부상|먹는 약",
    "preference": r"\bprefer|favou?rite|\blikes?\b|\bloves?\b|\bhates?\b|\bdislike|\benjoy"
    r"|좋아|싫어|선호|취향|즐겨|제일|가장",
    "hobby": r"\bhobb|\bsports?\b|\bplays?\b|playing|\bmusic|instrument|\bgames?\b"
    r"|\brun(?:s|ning)?\b|\bhik|\bswim|\bpaint|free time|weekend|spare time|\bfun\b"
    r"|취미|운동|악기|음악|게임|등산|수영|달리|그림|여가|주말|쉬는",
    "schedule": r"birthday|\bborn\b|appointment|\bmeetings?\b|schedule|\bevery\b|anniversar"
    r"|deadline|\bdue\b|생일|태어|일정|약속|매주|매일|매달|회의|기념일|마감|요일",
    "plan": r"\bplan|\bgoals?\b|\btrips?\b|\btravel|going to\b|\bvacation|\bholiday|intend|saving"
    r"|계획|목표|여행|예정|휴가|준비|다짐|하려고",
    "skill": r"\bspeak|languages?\b|fluent|\bprogram|\bcode[sd]?\b|\bskill|certificat|licen[cs]e"
    r"|언어|할 줄|외국어|프로그래밍|코딩|자격증|면허|말할|구사",
    "possession": r"\bcars?\b|\bdrives?\b|\bphone\b|laptop|computer|\bbike|bicycle|\bowns?\b|camera"
    r"|자동차|승용차|타고 다니|컴퓨터|노트북|휴대폰|핸드폰|자전거|카메라|가지고",
}
# "fact" is any other; "note" what a person asked to be remembered and is not about them.
KINDS = (*_CUES, "fact", "note")
_PATTERNS = {topic: re.compile(cues, re.IGNORECASE) for topic, cues in _CUES.items()}
MARK = "#"  # no term of the analyser begins so


def topics(text: str) -> list[str]:
    """Name the topics that a text's words point to."""
    return [topic for topic, cues in _PATTERNS.items() if cues.search(text)]


def topic_terms(text: str, kind: str | None = None) -> list[str]:
    """Return the topics of a text as terms to find it by, its kind among them."""
    named = topics(text)
    if kind in _PATTERNS and kind not in named:
        named.append(kind)
    return [MARK + topic for topic in named]


# Of these a person has one at a time; of tastes, skills and things they have many.
_SINGLE = frozenset({"name", "home", "work", "study"})
_OTHERS = frozenset({"pet", "family"})  # whose name, home or work it is, then
_TURNED = re.compile(
    r"\bnow\b|\bno longer\b|\bany ?more\b|\binstead\b|\bchanged?\b|\bmoved\b|\bquit\b"
    r"|이제|더 이상|지금은|바뀌|바꿨|대신|그만",
    re.IGNORECASE,
)
_MOST = re.compile(r"favou?rite|\bmost\b|\bbest\b|가장|제일", re.IGNORECASE)


def may_replace(old: str, new: str) -> bool:
    """Tell whether one fact can take the place of another at all, whatever a model says of it.

    That is so of what one has one of, of what is liked most, and where the new fact says that
    something has changed. "Likes coffee" leaves "likes tea" as it is.
    """
    ours, theirs = set(topics(new)), set(topics(old))
    single = ours & theirs & _SINGLE if not (ours | theirs) & _OTHERS else set()
    most = _MOST.search(old) is not None and _MOST.search(new) is not None
    return bool(single) or most or _TURNED.search(new) is not None
