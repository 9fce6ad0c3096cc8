// The text of an answer, with its citations and the verdicts on its claims.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Badge, Icon } from "../lib/components.js";
import { render, update } from "./markdown.js";
import { judged } from "./turns.js";

const TONES = { SUPPORTED: "good", REFUTED: "bad", CORRECTED: "good", NOT_ENOUGH_EVIDENCE: "wait", NOT_CHECKABLE: "soft", ERROR: "bad" };
const SIGNS = { SUPPORTED: "✓", REFUTED: "✗", CORRECTED: "✎", NOT_ENOUGH_EVIDENCE: "?", NOT_CHECKABLE: "–", ERROR: "!" };
const SHOWN = ["SUPPORTED", "REFUTED", "CORRECTED", "NOT_ENOUGH_EVIDENCE", "ERROR"]; // in the text itself

// What a claim says, lit up while one looks at its badge.
function light(room, number) {
  if (!globalThis.CSS?.highlights) return;
  CSS.highlights.delete("claim");
  const [start, end] = [room?.querySelector(`.claim-start-${number}`), room?.querySelector(`[data-claim="${number}"]`)];
  if (!start || !end) return;
  const range = new Range();
  range.setStartAfter(start);
  range.setEndBefore(end);
  CSS.highlights.set("claim", new Highlight(range));
}

export function Text({ turn, cite, claimed, t }) {
  const room = useRef(null);
  const writing = turn.status === "live" && !turn.verdict;
  const { answer, citations, claims } = turn;
  useLayoutEffect(() => {
    const labels = {
      citation: (each) => t("citationOf", { number: each.number, title: each.title || each.source }),
      claim: (each) => `${t(`claim.${each.verdict}`)}: ${each.text}`,
      sign: (each) => SIGNS[each.verdict] ?? "?",
    };
    const made = render(answer, { writing, citations, claims: judged(claims, answer), labels });
    for (const badge of made.querySelectorAll("[data-claim]")) if (!SHOWN.includes(claims[badge.dataset.claim].verdict)) badge.hidden = true;
    update(room.current, made);
  }, [answer, citations, claims, writing, t("title")]);
  useEffect(() => () => globalThis.CSS?.highlights?.delete("claim"), []);
  const clicked = (event) => {
    const at = event.target.closest("[data-cite], [data-claim]");
    if (!at) return;
    if (at.dataset.cite) cite(citations.find((each) => each.number === Number(at.dataset.cite)), at);
    else claimed(Number(at.dataset.claim));
  };
  const looked = (event) => light(room.current, event.target.closest?.("[data-claim]")?.dataset.claim);
  const left = () => light(room.current); // Preact knows focusin and focusout in small letters alone
  return html`<div class=${`prose${writing ? " writing" : ""}`} ref=${room} onClick=${clicked} onMouseOver=${looked} onMouseLeave=${left} onfocusin=${looked} onfocusout=${left}></div>`;
}

export function Sources({ turn, cite, t }) {
  const cited = turn.citations;
  const closest = turn.verdict === "refused" ? turn.closest ?? [] : [];
  if (!cited.length && !closest.length) return null;
  const chip = (each, n) => html`<li key=${n}><button type="button" class="source" onClick=${(event) => cite(each, event.currentTarget)}>
    ${each.number && html`<b>${each.number}</b>`}<span>${each.title || each.source}</span>${each.page != null && html`<small>${t("page", { page: each.page })}</small>`}</button></li>`;
  return html`<div class="sources"><span class="sources-head">${t(cited.length ? "sources" : "closest")}</span>
    <ul>${(cited.length ? cited : closest).map(chip)}</ul></div>`;
}

export function Claims({ turn, open, setOpen, t }) {
  const rows = useRef(null);
  const claims = judged(turn.claims, turn.answer);
  useEffect(() => {
    if (typeof open === "number") rows.current?.querySelector(`[data-row="${open}"]`)?.focus();
  }, [open]);
  if (!claims.length) return null;
  const tally = Object.keys(SIGNS).map((verdict) => [verdict, claims.filter((each) => each.verdict === verdict).length]).filter(([, n]) => n);
  return html`<details class="claims fold" open=${open !== null} onToggle=${(event) => {
      if (!event.currentTarget.open) setOpen(null); else if (open === null) setOpen("all"); }}>
    <summary><${Icon} name="check" /><span>${t("claims", { count: claims.length })}</span>
      ${tally.map(([verdict, n]) => html`<${Badge} key=${verdict} tone=${TONES[verdict]}>${SIGNS[verdict]} ${n}<//>`)}</summary>
    <ul ref=${rows}>${claims.map((claim, n) => html`<li key=${n} data-row=${n} tabindex="-1" class=${open === n ? "chosen" : ""}>
      <p><${Badge} tone=${TONES[claim.verdict]}>${t(`claim.${claim.verdict}`)}<//> ${claim.verdict === "CORRECTED" ? html`<del>${claim.text}</del>` : claim.text}</p>
      ${claim.evidence && html`<blockquote>${claim.evidence}</blockquote>`}
      ${claim.correction && html`<p class="note">${t("correction", { text: claim.correction })}</p>`}
      <p class="note">${[claim.source && t(`source.${claim.source}`, {}, claim.source), claim.place, claim.tolerance && t("tolerance", { text: claim.tolerance })].filter(Boolean).join(" · ")}</p>
    </li>`)}</ul>
  </details>`;
}
