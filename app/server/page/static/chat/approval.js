// What a run waits for: calls to be let through, with arguments that can be changed; questions.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Badge, Button, Icon } from "../lib/components.js";

const kindOf = (value) => (typeof value === "number" ? "number" : typeof value === "boolean" ? "boolean" : typeof value === "string" ? "string" : "json");
const shown = (value, kind) => (kind === "json" ? JSON.stringify(value, null, 2) : String(value));

// A text of a field back to a value of its kind; throws where it is none.
function parsed(text, kind) {
  if (kind === "string") return text;
  if (kind === "json") return JSON.parse(text);
  if (text.trim() === "" || !Number.isFinite(Number(text))) throw new SyntaxError("number");
  return Number(text);
}

function Argument({ name, value, change, wrong, id, t }) {
  const kind = useRef(kindOf(value)).current;
  const [text, setText] = useState(() => shown(value, kind));
  const label = `${id}-${name}`;
  if (kind === "boolean") {
    return html`<label class="arg check"><input type="checkbox" checked=${value} onChange=${(event) => change(event.currentTarget.checked)} /><code>${name}</code></label>`;
  }
  const written = (event) => {
    const given = event.currentTarget.value;
    setText(given);
    try { change(parsed(given, kind), false); } catch { change(given, true); }
  };
  const long = kind === "json" || text.length > 60 || text.includes("\n");
  const own = { id: label, class: "field", value: text, onInput: written, spellcheck: false, "aria-invalid": String(!!wrong), "aria-describedby": wrong ? `${label}-wrong` : undefined };
  return html`<div class="arg"><label for=${label}><code>${name}</code></label>
    ${long ? html`<textarea ...${own} rows=${Math.min(10, text.split("\n").length + 1)}></textarea>`
      : html`<input ...${own} inputmode=${kind === "number" ? "decimal" : undefined} />`}
    ${wrong && html`<p class="field-error" id=${`${label}-wrong`}>${t(kind === "number" ? "noNumber" : "noJson")}</p>`}</div>`;
}

function Refusal({ busy, done, cancel, t }) {
  const [reason, setReason] = useState("");
  const box = useRef(null);
  useEffect(() => box.current.focus(), []);
  return html`<form class="call-acts" onSubmit=${(event) => { event.preventDefault(); done(reason.trim()); }}
      onKeyDown=${(event) => { if (event.key === "Escape") { event.stopPropagation(); event.preventDefault(); cancel(); } }}>
    <label class="labelled"><span>${t("reason")}</span><input class="field" ref=${box} value=${reason} onInput=${(event) => setReason(event.currentTarget.value)} /></label>
    <${Button} type="submit" kind="primary danger" disabled=${busy}>${t("reject")}<//><${Button} onClick=${cancel}>${t("cancel")}<//></form>`;
}

function Call({ call, decide, decision, busy, t }) {
  const [args, setArgs] = useState(call.args ?? {});
  const [wrong, setWrong] = useState({});
  const [refusing, setRefusing] = useState(false);
  const edited = JSON.stringify(args) !== JSON.stringify(call.args ?? {});
  const bad = Object.values(wrong).some(Boolean);
  const why = call.tainted ? "why.tainted" : String(call.reason).startsWith("it is of the class") ? "why.class" : "why.read";
  const head = html`<header><${Icon} name="tool" /><b>${t(`tool.${call.name}`, {}, call.name)}</b> <code>${call.name}</code>
    <${Badge} tone=${call.risk === "read" ? "soft" : "wait"}>${t(`risk.${call.risk}`, {}, call.risk)}<//></header>`;
  if (decision) return html`<div class="call">${head}<p class="note">${t(`decided.${decision.action}`)}</p></div>`;
  return html`<div class="call">${head}
    <p class=${call.tainted ? "call-why tainted" : "call-why"}>${call.tainted && html`<${Icon} name="shield" />`}<span>${t(why, { risk: t(`risk.${call.risk}`, {}, call.risk) })}</span></p>
    ${Object.entries(args).map(([name, value]) => html`<${Argument} key=${name} id=${`call-${call.id}`} name=${name} value=${value} wrong=${wrong[name]} t=${t}
      change=${(next, is = false) => { setWrong((before) => ({ ...before, [name]: is })); if (!is) setArgs((before) => ({ ...before, [name]: next })); }} />`)}
    ${!Object.keys(args).length && html`<p class="note">${t("noArguments")}</p>`}
    ${refusing ? html`<${Refusal} busy=${busy} t=${t} done=${(reason) => decide({ id: call.id, action: "reject", reason })} cancel=${() => setRefusing(false)} />`
      : html`<div class="call-acts"><${Button} kind="primary" disabled=${busy || bad} onClick=${() => decide(edited ? { id: call.id, action: "edit", args } : { id: call.id, action: "approve" })}>${t(edited ? "approveEdited" : "approve")}<//>
        <${Button} disabled=${busy} onClick=${() => setRefusing(true)}>${t("rejectAsk")}<//></div>`}
  </div>`;
}

function Approval({ value, answer, busy, t }) {
  const [decisions, setDecisions] = useState({});
  const decide = (decision) => {
    const next = { ...decisions, [decision.id]: decision };
    setDecisions(next);
    if (value.calls.every((call) => next[call.id])) answer({ decisions: value.calls.map((call) => next[call.id]) });
  };
  return html`<section class="waits" role="group" aria-label=${t("approval")}>
    <h3><${Icon} name="shield" />${t(value.calls.length > 1 ? "approvalMany" : "approval", { count: value.calls.length })}</h3>
    ${value.error && html`<p class="field-error" role="alert">${value.error}</p>`}
    ${value.calls.map((call) => html`<${Call} key=${call.id} call=${call} decide=${decide} decision=${decisions[call.id]} busy=${busy} t=${t} />`)}
  </section>`;
}

function Question({ text, answer, busy, t }) {
  const [said, setSaid] = useState("");
  const send = (event) => { event.preventDefault(); if (said.trim()) answer(said.trim()); };
  return html`<section class="waits" role="group" aria-label=${t("asks")}>
    <h3><${Icon} name="question" />${t("asks")}</h3><p class="waits-question">${text}</p>
    <form class="waits-form" onSubmit=${send}><input class="field" aria-label=${text} value=${said} onInput=${(event) => setSaid(event.currentTarget.value)} />
      <${Button} type="submit" kind="primary" disabled=${busy || !said.trim()}>${t("answerIt")}<//></form></section>`;
}

// One answer goes as it is; several, by the ids of what they answer.
export function Waits({ turn, resume, busy, t }) {
  const [given, setGiven] = useState({});
  const { interrupts } = turn;
  useEffect(() => setGiven({}), [interrupts]); // an answer that was not understood is asked for again
  if (!interrupts?.length) return null;
  const answer = (interrupt) => (value) => {
    const next = { ...given, [interrupt.id]: value };
    setGiven(next);
    if (interrupts.every((each) => each.id in next)) resume(turn, interrupts.length === 1 ? value : next);
  };
  return interrupts.map((interrupt) => {
    const value = interrupt.value ?? {};
    const own = { key: interrupt.id, answer: answer(interrupt), busy: busy || interrupt.id in given, t };
    return value.type === "approval" && Array.isArray(value.calls) ? html`<${Approval} ...${own} value=${value} />`
      : html`<${Question} ...${own} text=${value.question ?? (typeof value === "string" ? value : JSON.stringify(value))} />`;
  });
}
