"use strict";
(() => {
  const KOREAN = {
    "Go to the runs": "실행 목록으로", "Find a run": "실행 찾기", "Open all": "모두 펼치기",
    "Close all": "모두 접기", "Whole trace": "전체 보기", "Run": "실행", "Time": "시간",
    "Tokens": "토큰", "Open or close": "펼치기 또는 접기", "first token": "첫 토큰",
    "step": "단계", "model": "모델", "tool": "도구", "retrieval": "검색", "embedding": "임베딩",
    "other": "기타", "success": "성공", "error": "오류", "running": "실행 중",
    "interrupted": "사람을 기다림", "cancelled": "취소됨", "lost": "끊김",
    "should have been": "올바른 답:", "Verdict": "판정", "Model": "모델", "Prompt": "프롬프트",
    "Called with": "인자", "Chosen": "선택", "Passages": "찾은 문단", "Duration": "걸린 시간",
    "First token": "첫 토큰까지", "Tokens a second": "초당 토큰", "CPU": "CPU",
    "Peak memory": "최대 메모리", "Calls to other machines": "외부 호출", "Redacted": "가린 곳",
    "Node": "노드", "Thread": "대화", "Tags": "태그", "Started": "시작", "Id": "ID",
    "Project": "프로젝트", "Models called": "모델 호출", "Inputs": "입력", "Outputs": "출력",
    "Metadata": "메타데이터", "Parameters": "매개변수", "Error": "오류", "Close": "닫기",
    "Zoom to this run": "이 실행만 보기", "Inputs and outputs": "입력과 출력", "Nothing": "없음", "begins at": "시작 시점",
    "runs that repeat the one above them are left out.": "개의 실행은 바로 위와 같아 생략했습니다.",
    "Arrow keys move, → and ← open and close, Enter shows inputs and outputs, z zooms, / finds.":
      "화살표로 이동, → ← 펼치기와 접기, Enter 입출력 보기, z 확대, / 찾기",
  };
  const korean = (navigator.language || "").toLowerCase().startsWith("ko");
  const t = (text) => (korean && KOREAN[text]) || text;
  if (korean) {
    document.documentElement.lang = "ko";
    for (const each of document.querySelectorAll("[data-t]")) each.textContent = t(each.textContent.trim());
    for (const each of document.querySelectorAll("[data-t-label]")) each.setAttribute("aria-label", t(each.getAttribute("aria-label")));
    const find = document.querySelector("[data-t-placeholder]");
    find.placeholder = t(find.placeholder);
    find.setAttribute("aria-label", find.placeholder);
  }

  const data = JSON.parse(document.getElementById("data").textContent);
  const grid = document.querySelector(".grid");
  const rows = [...grid.querySelectorAll(".row")];
  const levels = rows.map((row) => Number(row.getAttribute("aria-level")));
  const pane = document.getElementById("details");
  const tip = document.getElementById("tip");
  const whole = document.getElementById("whole");
  const total = Number(getComputedStyle(grid).getPropertyValue("--span"));
  let current = 0;
  let chosen = -1;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const local = (moment) =>
    new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  for (const each of document.querySelectorAll("time")) each.textContent = local(each.dateTime);

  // the tree

  const isOpen = (n) => rows[n].getAttribute("aria-expanded") !== "false";
  const refresh = () => {
    let closed = Infinity; // the level below which rows are hidden
    rows.forEach((row, n) => {
      row.hidden = levels[n] > closed;
      if (levels[n] <= closed) closed = isOpen(n) ? Infinity : levels[n];
    });
    if (rows[current].hidden) focus(parentOf(current), false);
  };
  const open = (n, wanted) => {
    if (rows[n].hasAttribute("aria-expanded")) rows[n].setAttribute("aria-expanded", String(wanted));
  };
  const parentOf = (n) => {
    let above = n;
    while (above > 0 && (levels[above] >= levels[n] || rows[above].hidden)) above -= 1;
    return above;
  };
  const focus = (n, really = true) => {
    rows[current].tabIndex = -1;
    current = n;
    rows[n].tabIndex = 0;
    if (really) {
      rows[n].focus({ preventScroll: true });
      rows[n].scrollIntoView({ block: "nearest" });
    }
  };
  const step = (from, by) => {
    let n = from + by;
    while (n >= 0 && n < rows.length && rows[n].hidden) n += by;
    return n >= 0 && n < rows.length ? n : from;
  };
  const openAll = (wanted) => {
    rows.forEach((_, n) => open(n, wanted || n === 0));
    refresh();
  };
  document.getElementById("all").onclick = () => openAll(true);
  document.getElementById("none").onclick = () => openAll(false);
  if (rows.length > 300) openAll(false);

  // inputs and outputs

  const section = (name, blocks) => {
    const made = element("section");
    made.append(element("h3", t(name)));
    if (!blocks.length) made.append(element("p", t("Nothing"), "note"));
    for (const { label, text } of blocks) {
      const block = element("div", undefined, "block");
      if (label) block.append(element("h4", label));
      const shown = element("pre", text);
      shown.tabIndex = 0;
      block.append(shown);
      made.append(block);
    }
    return made;
  };
  const folded = (name, value) => {
    const made = element("details");
    made.append(element("summary", t(name)), element("pre", JSON.stringify(value, null, 2)));
    made.firstChild.className = "note";
    return made;
  };
  const show = (n) => {
    const run = data[n];
    if (chosen >= 0) rows[chosen].setAttribute("aria-selected", "false");
    chosen = n;
    rows[n].setAttribute("aria-selected", "true");
    const top = element("div", undefined, "top");
    const title = element("h2", run.name);
    title.append(" ", element("small", `${t(run.kind)} · ${t(run.status)}`));
    const zoom = element("button", t("Zoom to this run"));
    zoom.type = "button";
    zoom.onclick = () => zoomTo(n);
    const close = element("button", "✕");
    close.type = "button";
    close.setAttribute("aria-label", t("Close"));
    close.onclick = hide;
    top.append(title, zoom, close);
    const facts = element("dl");
    for (const [name, value] of run.facts) {
      facts.append(element("dt", t(name)), element("dd", name === "Started" ? local(value) : value));
    }
    pane.replaceChildren(top, facts);
    if (run.error) {
      pane.append(element("h3", t("Error")), element("pre", run.error, "bad"));
    }
    pane.append(section("Inputs", run.inputs), section("Outputs", run.outputs));
    if (Object.keys(run.parameters).length) pane.append(folded("Parameters", run.parameters));
    if (Object.keys(run.metadata).length) pane.append(folded("Metadata", run.metadata));
    pane.hidden = false;
    pane.scrollTop = 0;
    tip.hidden = true;
    document.body.classList.add("open");
  };
  const hide = () => {
    if (chosen < 0) return;
    rows[chosen].setAttribute("aria-selected", "false");
    chosen = -1;
    pane.hidden = true;
    document.body.classList.remove("open");
    focus(current);
  };

  // the axis

  const label = (seconds, span) =>
    span < 1 ? `${+(seconds * 1000).toFixed(3)} ms` : span < 120 ? `${+seconds.toFixed(3)} s` : `${+(seconds / 60).toFixed(2)} min`;
  const stepOf = (span) => {
    const unit = span < 120 ? 1 : 60;
    const rough = span / unit / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    return unit * [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999999);
  };
  const setAxis = (from, span) => {
    const width = stepOf(span);
    const start = Math.floor(from / width) * width;
    const wide = from + span - start;
    grid.style.setProperty("--from", start);
    grid.style.setProperty("--span", wide);
    grid.style.setProperty("--step", width);
    const marks = [];
    for (let n = 0; n * width < wide * 0.94; n += 1) {
      const mark = element("i", label(start + n * width, wide));
      mark.style.setProperty("--s", start + n * width);
      marks.push(mark);
    }
    document.getElementById("axis").replaceChildren(...marks);
    whole.hidden = from === 0 && span === total;
  };
  const zoomTo = (n) => {
    const from = Number(rows[n].style.getPropertyValue("--s"));
    const until = Number(rows[n].style.getPropertyValue("--u"));
    setAxis(from, Math.max(until - from, total / 1e5, 1e-5) * 1.02);
  };
  whole.onclick = () => setAxis(0, total);

  // the pointer and the keyboard

  const tell = (n, x, y) => {
    tip.replaceChildren(element("b", data[n].name));
    for (const [name, value] of data[n].facts.slice(0, 8)) {
      if (!["Id", "Tags", "Node", "Started", "Thread", "Called with", "Chosen"].includes(name)) tip.append(element("span", `${t(name)}: ${value}`));
    }
    if (data[n].gist) tip.append(element("span", data[n].gist));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
  };
  grid.addEventListener("pointermove", (event) => {
    const place = event.target.closest(".time");
    if (!place || !place.closest(".row")) tip.hidden = true;
    else tell(rows.indexOf(place.closest(".row")), event.clientX, event.clientY);
  });
  grid.addEventListener("pointerleave", () => { tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  grid.addEventListener("focusin", (event) => {
    const row = event.target.closest(".row");
    if (!row || !row.matches(":focus-visible") || chosen >= 0) return;
    const bar = row.querySelector(".bar").getBoundingClientRect();
    tell(rows.indexOf(row), bar.left, bar.bottom - 8);
  });
  grid.addEventListener("focusout", () => { tip.hidden = true; });
  grid.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    const n = rows.indexOf(row);
    focus(n);
    if (event.target.closest(".fold")) {
      open(n, !isOpen(n));
      refresh();
    } else if (chosen === n) hide();
    else show(n);
  });
  grid.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    let next = current;
    if (event.key === "ArrowDown") next = step(current, 1);
    else if (event.key === "ArrowUp") next = step(current, -1);
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = step(rows.length, -1);
    else if (event.key === "PageDown") for (let n = 0; n < 15; n += 1) next = step(next, 1);
    else if (event.key === "PageUp") for (let n = 0; n < 15; n += 1) next = step(next, -1);
    else if (event.key === "ArrowRight") {
      if (isOpen(current)) next = levels[current + 1] > levels[current] ? current + 1 : current;
      else { open(current, true); refresh(); }
    } else if (event.key === "ArrowLeft") {
      if (rows[current].getAttribute("aria-expanded") === "true") { open(current, false); refresh(); }
      else next = parentOf(current);
    } else if (event.key === "Enter" || event.key === " ") {
      if (chosen === current) hide();
      else show(current);
    } else if (event.key === "z") zoomTo(current);
    else if (event.key === "Z") setAxis(0, total);
    else return;
    event.preventDefault();
    if (next !== current) {
      focus(next);
      if (chosen >= 0) show(next);
    }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    else if (event.key === "/" && !event.target.closest("input")) {
      event.preventDefault();
      document.getElementById("find").focus();
    }
  });

  // finding

  const find = document.getElementById("find");
  const holds = (n, text) =>
    `${data[n].name} ${data[n].gist} ${data[n].status} ${data[n].error || ""}`.toLowerCase().includes(text) ||
    [...data[n].inputs, ...data[n].outputs].some((block) => block.text.toLowerCase().includes(text));
  const found = () => rows.findIndex((row) => row.classList.contains("found"));
  find.oninput = () => {
    const text = find.value.trim().toLowerCase();
    rows.forEach((row, n) => {
      const hit = text !== "" && holds(n, text);
      row.classList.toggle("found", hit);
      row.classList.toggle("missed", text !== "" && !hit);
      if (hit) for (let above = n; above > 0;) {
        let up = above - 1;
        while (up > 0 && levels[up] >= levels[above]) up -= 1;
        open(up, true);
        above = up;
      }
    });
    refresh();
    if (text && found() >= 0) rows[found()].scrollIntoView({ block: "nearest" });
  };
  find.onkeydown = (event) => {
    if (event.key === "Enter" && found() >= 0) focus(found());
  };
})();
