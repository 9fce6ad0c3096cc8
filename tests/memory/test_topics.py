import pytest

from groundling.memory.topics import may_replace


@pytest.mark.parametrize(
    ("old", "new", "may"),
    [
        ("The user lives in Seoul.", "The user lives in Busan.", True),
        ("The user is a student.", "The user is a teacher now.", True),
        ("The user's favourite colour is red.", "The user's favourite colour is blue.", True),
        ("The user lives in Busan.", "The user works in Busan.", False),
        ("The user likes tea.", "The user likes coffee.", False),
        ("The user's name is Kim.", "The user's name is Lee.", True),
        ("The user's dog's name is Max.", "The user's cat's name is Tom.", False),
        ("The user drives a Volvo.", "The user no longer drives.", True),
        ("사용자는 서울에 삽니다.", "사용자는 부산에 삽니다.", True),
        ("사용자는 홍차를 좋아합니다.", "사용자는 커피를 좋아합니다.", False),
        ("사용자의 강아지 이름은 초코입니다.", "사용자의 고양이 이름은 나비입니다.", False),
        ("가장 좋아하는 색은 빨간색입니다.", "제일 좋아하는 색은 파란색입니다.", True),
    ],
)  # fmt: skip
def test_what_can_take_the_place_of_what(old, new, may):
    assert may_replace(old, new) is may
