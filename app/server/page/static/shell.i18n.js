// The words of the shell.
export default {
  en: {
    chat: "Chat", documents: "Documents", memory: "Memory", traces: "Traces", experiments: "Experiments", status: "Status", people: "People",
    views: "Views", skip: "Skip to the content", menu: "Open the menu", closeMenu: "Close the menu", main: "Menu",
    toLight: "Light theme", toDark: "Dark theme", other: "한국어", otherLabel: "Show the page in Korean",
    offline: "The server cannot be reached. Trying again …", back: "The server is back.",
    opening: "The server is starting …", loading: "The model is loading. What you send waits for it.",
    noModel: "There is no model yet.", failed: "The model could not be loaded.", ending: "The server is ending.",
    viewFailed: "This view could not be loaded.", again: "Try again",
    loginTitle: "Who are you?", loginAbout: "This Groundling is shared. Log in with the key that its admin gave you.", key: "Key", logIn: "Log in", loginBusy: "Logging in …",
    loginHint: "The key begins with gl_. An admin makes one with: groundling user key add NAME",
    local: "This machine",
  },
  ko: {
    chat: "대화", documents: "문서", memory: "기억", traces: "추적", experiments: "실험", status: "상태", people: "사용자",
    views: "화면", skip: "본문으로 건너뛰기", menu: "메뉴 열기", closeMenu: "메뉴 닫기", main: "메뉴",
    toLight: "밝은 화면", toDark: "어두운 화면", other: "English", otherLabel: "영어로 보기",
    offline: "서버에 연결할 수 없습니다. 다시 시도하고 있습니다…", back: "서버에 다시 연결되었습니다.",
    opening: "서버를 시작하고 있습니다…", loading: "모델을 불러오고 있습니다. 보내신 질문은 그동안 기다립니다.",
    noModel: "아직 모델이 없습니다.", failed: "모델을 불러오지 못했습니다.", ending: "서버가 종료되고 있습니다.",
    viewFailed: "이 화면을 불러오지 못했습니다.", again: "다시 시도",
    loginTitle: "누구신가요?", loginAbout: "여러 사람이 함께 쓰는 Groundling입니다. 관리자에게 받은 키로 로그인해 주세요.", key: "키", logIn: "로그인", loginBusy: "로그인하고 있습니다…",
    loginHint: "키는 gl_로 시작합니다. 관리자가 다음 명령으로 만듭니다: groundling user key add 이름",
    local: "이 컴퓨터",
  },
};
