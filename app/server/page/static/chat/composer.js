// Where one writes; and which graph, with which documents, is to answer.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Icon } from "../lib/components.js";
import { kept } from "../lib/store.js";
import { READS } from "./chat.js";

export const GRAPHS = ["agent", "rag", "chat", "toolbox", "ask"];
const TALLEST = 240; // pixels

export function Choices({ choice, choose, bases, t }) {
  const reads = READS.includes(choice.graph);
  return html`<div class="choices">
    <label title=${t(`graph.${choice.graph}.about`)}><span class="sr">${t("graph")}</span>
      <select class="choice" value=${choice.graph} onChange=${(event) => choose({ graph: event.currentTarget.value })}>
        ${GRAPHS.map((name) => html`<option key=${name} value=${name} selected=${name === choice.graph}>${t(`graph.${name}`)}</option>`)}</select></label>
    ${reads && bases?.length > 0 && html`<label><span class="sr">${t("knowledge")}</span>
      <select class="choice" value=${choice.knowledge ?? ""} onChange=${(event) => choose({ knowledge: event.currentTarget.value })}>
        ${bases.map((base) => html`<option key=${base.id} value=${base.id} selected=${base.id === choice.knowledge}>${base.id}</option>`)}</select></label>`}
    <span class="choices-about">${t(`graph.${choice.graph}.about`)}</span>
  </div>`;
}

export function Composer({ send, stop, busy, focus, draftOf, children, t }) {
  const [text, setText] = useState(() => kept.get(`draft.${draftOf}`) ?? "");
  const box = useRef(null);
  useLayoutEffect(() => {
    const area = box.current;
    area.style.setProperty("height", "auto");
    area.style.setProperty("height", `${Math.min(TALLEST, area.scrollHeight + 2)}px`);
  }, [text]);
  useEffect(() => { if (focus && !matchMedia("(pointer: coarse)").matches) box.current.focus({ preventScroll: true }); }, [focus]);
  useEffect(() => { const timer = setTimeout(() => kept.set(`draft.${draftOf}`, text || null), 300); return () => clearTimeout(timer); }, [text]);
  const done = () => {
    const said = text.trim();
    if (!said || busy) return;
    setText("");
    kept.set(`draft.${draftOf}`, null);
    send(said);
  };
  const pressed = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    done();
  };
  return html`<form class="composer" onSubmit=${(event) => { event.preventDefault(); done(); }}>
    <div class="composer-box">
      <textarea ref=${box} rows="1" value=${text} aria-label=${t("write")} placeholder=${t("write")} maxlength="100000" enterkeyhint="send"
        onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${pressed}></textarea>
      <div class="composer-foot">${children}
        ${busy ? html`<button type="button" class="send stop" aria-label=${t("stop")} title=${`${t("stop")} (Esc)`} onClick=${stop}><${Icon} name="stop" /></button>`
          : html`<button type="submit" class="send" aria-label=${t("send")} title=${`${t("send")} (Enter)`} disabled=${!text.trim()}><${Icon} name="send" /></button>`}</div>
    </div>
  </form>`;
}
