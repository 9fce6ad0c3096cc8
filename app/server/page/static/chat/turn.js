// One turn: the question, what was done, the answer with all that speaks for or against it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Badge, Button, Icon } from "../lib/components.js";
import { toast } from "../lib/dialogs.js";
import { Claims, Sources, Text } from "./answer.js";
import { Waits } from "./approval.js";
import { Thumbs } from "./feedback.js";
import { Doing, Steps } from "./steps.js";
import { verdictOf } from "./turns.js";

const TONES = { answered: "good", unproved: "wait", refused: "soft", blocked: "bad" };

function Edit({ question, send, close, t }) {
  const [text, setText] = useState(question);
  const box = useRef(null);
  useLayoutEffect(() => { box.current.focus(); box.current.setSelectionRange(text.length, text.length); }, []);
  const done = (event) => { event?.preventDefault(); if (text.trim()) send(text.trim()); };
  return html`<form class="edit" onSubmit=${done}>
    <textarea class="field" ref=${box} rows=${Math.min(10, text.split("\n").length + 1)} value=${text} aria-label=${t("editQuestion")} onInput=${(event) => setText(event.currentTarget.value)}
      onKeyDown=${(event) => {
        if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) done(event);
      }}></textarea>
    <div class="edit-acts"><span class="note">${t("editNote")}</span><${Button} onClick=${close}>${t("cancel")}<//><${Button} type="submit" kind="primary" disabled=${!text.trim()}>${t("send")}<//></div></form>`;
}

function Versions({ turn, all, show, t }) {
  if (all.length < 2) return null;
  const at = all.findIndex((each) => each.id === turn.id);
  return html`<span class="versions" role="group" aria-label=${t("versions")}>
    <button type="button" class="act" aria-label=${t("versionBefore")} disabled=${at <= 0} onClick=${() => show(all[at - 1].id)}><${Icon} name="left" /></button>
    <span>${at + 1}/${all.length}</span>
    <button type="button" class="act" aria-label=${t("versionAfter")} disabled=${at >= all.length - 1} onClick=${() => show(all[at + 1].id)}><${Icon} name="right" /></button></span>`;
}

async function copy(text, t) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  } catch {
    toast(t("notCopied"), "bad");
  }
}

export function Turn({ turn, all, busy, times, given, cite, does, t }) {
  const [editing, setEditing] = useState(false);
  const [claim, setClaim] = useState(null);
  const pen = useRef(null);
  useEffect(() => { setEditing(false); setClaim(null); }, [turn.id]);
  const live = turn.status === "live";
  const verdict = verdictOf(turn);
  const branch = turn.status !== "old" && !live;
  const stop = () => { setEditing(false); requestAnimationFrame(() => pen.current?.focus()); };
  const act = (name, label, run, own = {}) => html`<button type="button" class="act" ...${own} aria-label=${label} title=${label} onClick=${run}><${Icon} name=${name} /></button>`;
  return html`<article class="turn" aria-label=${t("turn", { question: turn.question.slice(0, 80) })}>
    <div class="asked">
      ${editing ? html`<${Edit} question=${turn.question} close=${stop} t=${t} send=${(text) => { setEditing(false); does.edit(turn, text); }} />`
        : html`<div class="question">${turn.question}</div>
          <div class="acts">${branch && html`<${Versions} turn=${turn} all=${all} show=${does.show} t=${t} />`}
            ${branch && !busy && act("edit", t("editQuestion"), () => setEditing(true), { ref: pen })}</div>`}
    </div>
    <div class="answered">
      <${Steps} turn=${turn} times=${times} t=${t} />
      ${turn.notices.map((each) => html`<p class="guard" key=${each}><${Icon} name="shield" /><span>${each}</span></p>`)}
      ${turn.thoughts && html`<details class="fold thoughts"><summary>${t("thoughts")}</summary><p>${turn.thoughts}</p></details>`}
      ${turn.answer && html`<div class=${verdict === "blocked" ? "guard withheld" : undefined}>${verdict === "blocked" && html`<${Icon} name="shield" />`}
        <${Text} turn=${turn} cite=${(each, from) => cite(turn, each, from)} claimed=${setClaim} t=${t} /></div>`}
      ${live && turn.answer && turn.draft && !turn.failed && html`<p class="draft"><${Badge} tone="wait">${t("draft")}<//> ${t("draftNote")}</p>`}
      ${live && !turn.failed && !turn.interrupts.length && !turn.verdict && html`<${Doing} turn=${turn} t=${t} />`}
      ${!live && html`<${Sources} turn=${turn} cite=${(each, from) => cite(turn, each, from)} t=${t} />`}
      <${Claims} turn=${turn} open=${claim} setOpen=${setClaim} t=${t} />
      <${Waits} turn=${turn} resume=${does.resume} busy=${busy && !turn.interrupts.length} t=${t} />
      ${turn.status === "stopped" && html`<p class="stopped">${t(turn.answer ? "stoppedPart" : "stopped")} <button type="button" class="btn" disabled=${busy} onClick=${() => does.again(turn)}>${t("again")}</button></p>`}
      ${turn.failed && html`<div class="notice bad failed" role="alert"><p>${turn.failed.message}</p>${turn.failed.hint && html`<p class="note">${turn.failed.hint}</p>`}
        <${Button} onClick=${does.retry}>${t("tryAgain")}<//></div>`}
      ${!live && turn.answer && html`<div class="acts">
        ${verdict && html`<${Badge} tone=${TONES[verdict]} title=${t(`verdict.${verdict}.why`)}>${t(`verdict.${verdict}`)}<//>`}
        ${act("copy", t("copy"), () => copy(turn.answer, t))}
        ${turn.status === "done" && !busy && act("again", t("regenerate"), () => does.again(turn))}
        ${turn.status === "done" && turn.run && html`<${Thumbs} key=${turn.run} turn=${turn} given=${given} t=${t} />`}
        ${branch && turn.run && html`<a class="act" href=${`#/traces/${turn.run}`} aria-label=${t("trace")} title=${t("trace")}><${Icon} name="traces" /></a>`}
      </div>`}
    </div>
  </article>`;
}
