"use strict";
const KOREAN = {
  "shared examples": "개의 공통 예제", "What differs": "다른 점", "Scores": "점수", "Time and tokens": "시간과 토큰",
  "Higher is better; bars are 95 % intervals of the difference, red where B is surely worse.": "높을수록 좋습니다. 막대는 차이의 95 % 구간이며, B가 확실히 나쁘면 빨간색입니다.",
  "Lower is better; differences are shares of A.": "낮을수록 좋습니다. 차이는 A에 대한 비율입니다.",
  "Score": "항목", "Difference": "차이", "Win / tie / loss": "승 / 무 / 패", "not judged": "건 판정 실패",
  "What the judge prefers": "심판의 선호", "B wins, undecided, A wins": "B 승, 무승부, A 승",
  "kept to its word when A and B changed places": "A와 B의 순서를 바꾸어도 판정이 같은 비율",
  "How they are spread": "분포", "each dot an example; below the line B is lower": "점 하나가 예제 하나; 선 아래는 B가 낮은 경우",
  "how many examples took how much": "구간별 예제 수",
  "Examples": "예제", "Those that lost most come first; words that only one answer has are marked.": "많이 나빠진 예제부터 보입니다. 한쪽 답에만 있는 낱말을 표시했습니다.",
  "Find": "찾기", "All": "전체", "Worse": "나빠짐", "Better": "좋아짐", "Even": "같음", "Gold answer": "정답",
  "examples that lost less are not shown.": "개의 예제는 표시하지 않았습니다.", "Nothing fits.": "맞는 예제가 없습니다.",
};
if (navigator.language.startsWith("ko")) {
  document.documentElement.lang = "ko";
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = KOREAN[each.textContent] ?? each.textContent;
  for (const each of document.querySelectorAll("[data-t-placeholder]")) each.placeholder = KOREAN[each.placeholder] ?? each.placeholder;
}
const find = document.getElementById("find");
const buttons = [...document.querySelectorAll("[data-show]")];
const examples = [...document.querySelectorAll(".example")];
let shown = "all";
function update() {
  const words = find.value.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
  let left = 0;
  for (const each of examples) {
    const text = each.textContent.normalize("NFC").toLowerCase();
    each.hidden = !((shown === "all" || each.dataset.kind === shown) && words.every((word) => text.includes(word)));
    left += each.hidden ? 0 : 1;
  }
  document.getElementById("none").hidden = left > 0;
}
find.addEventListener("input", update);
for (const button of buttons) {
  button.addEventListener("click", () => {
    shown = button.dataset.show;
    for (const each of buttons) each.setAttribute("aria-pressed", each === button);
    update();
  });
}
