// The words of the memory.
export default {
  en: {
    title: "Memory", about: "What is remembered of you from one chat to the next. Nobody else sees it; what you forget here is erased.",
    newFact: "A new fact", example: "Lives in Busan", kindLabel: "Kind", anyKind: "All kinds", add: "Remember", save: "Save", cancel: "Cancel",
    change: "Edit", changeThis: "Edit: {text}", history: "History", historyOf: "History of: {text}", noHistory: "It has never been otherwise.",
    forget: "Forget", forgetThis: "Forget: {text}", forgetOne: "Forget this?", forgotten: "It is forgotten.", changed: "It is changed.", added: "It will be remembered.",
    forgetAllShort: "Forget all", forgetAll: "Forget everything?", forgetAllText: "All {count} facts and their histories are erased. This cannot be undone.", forgetAllYes: "Forget everything", allForgotten: "Everything is forgotten.",
    find: "Find a fact", shown: "{count} of {all}", used: "recalled {count}×", unused: "not recalled yet", again: "Try again",
    none: "Nothing is remembered", noneHint: "Tell it something about yourself in a chat, or write a fact above.",
    noneFits: "No fact fits", noneFitsHint: "Try other words, or all kinds.",
    "kind.name": "name", "kind.home": "home", "kind.work": "work", "kind.study": "study", "kind.family": "family", "kind.pet": "pet", "kind.food": "food",
    "kind.health": "health", "kind.preference": "preference", "kind.hobby": "hobby", "kind.schedule": "schedule", "kind.plan": "plan",
    "kind.skill": "skill", "kind.possession": "possession", "kind.fact": "fact", "kind.note": "note",
  },
  ko: {
    title: "기억", about: "대화가 바뀌어도 기억하는 내용입니다. 본인만 볼 수 있고, 여기서 잊게 하면 완전히 지워집니다.",
    newFact: "새 내용", example: "부산에 산다", kindLabel: "종류", anyKind: "모든 종류", add: "기억하기", save: "저장", cancel: "취소",
    change: "고치기", changeThis: "고치기: {text}", history: "이력", historyOf: "이력: {text}", noHistory: "바뀐 적이 없습니다.",
    forget: "잊기", forgetThis: "잊기: {text}", forgetOne: "이 내용을 잊을까요?", forgotten: "잊었습니다.", changed: "고쳤습니다.", added: "기억하겠습니다.",
    forgetAllShort: "모두 잊기", forgetAll: "모두 잊을까요?", forgetAllText: "{count}개의 내용과 이력을 모두 지웁니다. 되돌릴 수 없습니다.", forgetAllYes: "모두 잊기", allForgotten: "모두 잊었습니다.",
    find: "내용 찾기", shown: "{all}개 중 {count}개", used: "{count}번 떠올림", unused: "아직 떠올린 적 없음", again: "다시 시도",
    none: "기억하는 내용이 없습니다", noneHint: "대화에서 자신에 대해 알려 주거나 위에 적어 주세요.",
    noneFits: "맞는 내용이 없습니다", noneFitsHint: "다른 말로 찾거나 모든 종류를 보세요.",
    "kind.name": "이름", "kind.home": "사는 곳", "kind.work": "일", "kind.study": "공부", "kind.family": "가족", "kind.pet": "반려동물", "kind.food": "음식",
    "kind.health": "건강", "kind.preference": "취향", "kind.hobby": "취미", "kind.schedule": "일정", "kind.plan": "계획",
    "kind.skill": "능력", "kind.possession": "소유물", "kind.fact": "사실", "kind.note": "메모",
  },
};
