// Dialogs and passing words. A dialog is the browser's own: it holds the focus and closes by Esc.
import { html, useEffect, useRef } from "../vendor/htm-preact.js";
import { useT } from "./i18n.js";
import { Button, Icon } from "./components.js";
import { store, useStore } from "./store.js";

const words = { en: { cancel: "Cancel", close: "Close" }, ko: { cancel: "취소", close: "닫기" } };
const STAY = { good: 3500, bad: 9000 };
const asked = store(null);
const said = store([]);
let last = 0;

// Open while it is drawn. `close` is called by Esc, the cross and a click beside it.
export function Dialog({ title, close, children, wide = false }) {
  const t = useT(words);
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  const id = useRef(`dialog-${++last}`).current;
  return html`<dialog ref=${box} class=${wide ? "dialog wide" : "dialog"} aria-labelledby=${id}
      onCancel=${(event) => { event.preventDefault(); close(); }}
      onKeyDown=${(event) => { if (event.key === "Escape") event.stopPropagation(); }}
      onMouseDown=${(event) => { if (event.target === box.current) close(); }}>
    <div class="dialog-in">
      <header><h2 id=${id}>${title}</h2>
        <button type="button" class="btn quiet icon-only" aria-label=${t("close")} onClick=${close}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}

// Ask before something is done; true: yes.
export function confirm({ title, text = "", yes, danger = false }) {
  return new Promise((answer) => asked.set({ title, text, yes, danger, answer }));
}

function Confirm() {
  const t = useT(words);
  const question = useStore(asked);
  if (!question) return null;
  const done = (answer) => { asked.set(null); question.answer(answer); };
  return html`<${Dialog} title=${question.title} close=${() => done(false)}>
    ${question.text && html`<p class="dialog-text">${question.text}</p>`}
    <footer><${Button} onClick=${() => done(false)}>${t("cancel")}<//>
      <${Button} kind=${question.danger ? "primary danger" : "primary"} onClick=${() => done(true)}>${question.yes}<//></footer>
  <//>`;
}

// Say something in passing, or what went wrong and what to do about it; tone: good | bad.
export function toast(what, tone = "good") {
  const text = what instanceof Error ? [what.message, what.hint].filter(Boolean).join(" ") : String(what);
  const one = { id: ++last, text, tone };
  said.set([...said.get().slice(-3), one]);
  setTimeout(() => forget(one.id), STAY[tone] ?? STAY.good);
}

const forget = (id) => said.set(said.get().filter((each) => each.id !== id));

function Toasts() {
  const t = useT(words);
  const all = useStore(said);
  return html`<div class="toasts" role="status" aria-live="polite">${all.map((each) => html`<div key=${each.id} class=${`toast ${each.tone}`}>
    <span>${each.text}</span>
    <button type="button" class="btn quiet icon-only" aria-label=${t("close")} onClick=${() => forget(each.id)}><${Icon} name="close" /></button></div>`)}</div>`;
}

export const Overlays = () => html`<${Confirm} /><${Toasts} />`;
