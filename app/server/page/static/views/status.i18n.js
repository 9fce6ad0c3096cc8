// The words of the status.
export default {
  en: {
    title: "Status", version: "Groundling {version}", since: "up for {time}", unreachable: "The server cannot be reached",
    "state.ready": "Ready", "state.loading": "Loading the model", "state.opening": "Opening", "state.ending": "Ending", "state.failed": "Not usable", "state.no model": "No model has been fetched",
    model: "Model", loaded: "loaded", notLoaded: "not loaded yet", remote: "on a server", file: "Name", size: "Size", quantisation: "Quantisation", context: "Context", tokensOf: "{count} tokens",
    embedder: "Embedder", embedderMissing: "{name}, not fetched: documents are found by words alone",
    machine: "Machine", cores: "{count} cores", memory: "Memory", usedOf: "{used} of {all} in use", diskFree: "Free on disk", ofThis: "This server", cpuTime: "CPU time",
    speed: "Last 24 hours", nothingRan: "The model has not been asked yet.", tokensPerSecond: "tokens a second", firstToken: "First token", calls: "Model calls", read: "Tokens read", written: "Tokens written", cache: "From the cache",
    queue: "Queue", running: "running", waiting: "waiting", graphs: "Graphs", chooseGraph: "Which graph is drawn", graphOf: "The steps of {name}",
  },
  ko: {
    title: "상태", version: "Groundling {version}", since: "가동 {time}", unreachable: "서버에 연결할 수 없습니다",
    "state.ready": "준비됨", "state.loading": "모델을 읽는 중", "state.opening": "여는 중", "state.ending": "끝내는 중", "state.failed": "쓸 수 없음", "state.no model": "받아 둔 모델이 없음",
    model: "모델", loaded: "읽음", notLoaded: "아직 읽지 않음", remote: "외부 서버", file: "이름", size: "크기", quantisation: "양자화", context: "컨텍스트", tokensOf: "토큰 {count}개",
    embedder: "임베딩 모델", embedderMissing: "{name} 없음: 문서를 단어로만 찾습니다",
    machine: "컴퓨터", cores: "코어 {count}개", memory: "메모리", usedOf: "{all} 중 {used} 사용", diskFree: "디스크 여유", ofThis: "이 서버", cpuTime: "CPU 시간",
    speed: "최근 24시간", nothingRan: "아직 모델에 물은 적이 없습니다.", tokensPerSecond: "토큰/초", firstToken: "첫 토큰까지", calls: "모델 호출", read: "읽은 토큰", written: "쓴 토큰", cache: "캐시에서",
    queue: "대기열", running: "실행 중", waiting: "대기 중", graphs: "그래프", chooseGraph: "그릴 그래프", graphOf: "{name}의 단계",
  },
};
