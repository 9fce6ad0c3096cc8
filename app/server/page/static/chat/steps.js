// What was done on the way to an answer: tools, with arguments and results; the step at work.
import { html } from "../vendor/htm-preact.js";
import { Badge, Icon } from "../lib/components.js";
import { language } from "../lib/i18n.js";

const TONES = { done: "good", failed: "bad", repeated: "soft", rejected: "wait", blocked: "bad" };

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// Results stand between marks that tell a model that they are data; people need none.
const bare = (result) => String(result ?? "").replace(/^<[^>\n]*>\s*|\s*<\/[^>\n]*>$/g, "");

export function Steps({ turn, times, t }) {
  if (!turn.steps?.length) return null;
  const second = (value) => new Intl.NumberFormat(language(), { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
  return html`<div class="steps" role="group" aria-label=${t("steps")}>${turn.steps.map((step, n) => html`<details class="fold step" key=${n}>
    <summary><${Icon} name=${step.tool === "search" ? "search" : "tool"} /><span class="step-name">${t(`tool.${step.tool}`, {}, step.tool)}</span>
      <code class="step-gist">${Object.values(step.args ?? {}).map(written).join(", ")}</code>
      ${times?.[n] != null && html`<small>${t("seconds", { seconds: second(times[n]) })}</small>`}
      ${step.outcome !== "done" && html`<${Badge} tone=${TONES[step.outcome]}>${t(`outcome.${step.outcome}`, {}, step.outcome)}<//>`}</summary>
    <dl><dt>${t("tool")}</dt><dd><code>${step.tool}</code></dd>
      ${Object.entries(step.args ?? {}).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd><code>${written(value)}</code></dd>`)}
      <dt>${t("result")}</dt><dd class="step-result">${bare(step.result)}</dd></dl>
  </details>`)}</div>`;
}

// What comes after a node, in words.
const NEXT = {
  begin: "reading", receive: "reading", guard_input: "recalling", recall: "recalling", make_room: "deciding", rewrite: "deciding",
  approve: "calling", call_tools: "deciding", retrieve: "judging", translate: "searching", judge: "answering", answer: "weighing",
  think: "answering", conclude: "finishing", weigh: "citing", verify: "citing", cite: "verifying", refuse: "finishing", guard_output: "remembering", remember: "finishing",
};

export function doing(turn) {
  if (turn.lost) return "joining";
  if (turn.stopping) return "stopping";
  if (turn.node === "decide") return turn.calls.length ? "calling" : "answering";
  if (turn.graph === "rag" && ["rewrite", "receive"].includes(turn.node)) return "searching";
  if (turn.graph !== "agent" && turn.graph !== "rag" && turn.node === "answer") return "finishing";
  if (turn.writing && turn.node !== "answer" && turn.answer && ["judge", "decide", "make_room"].includes(turn.node)) return "answering";
  return NEXT[turn.node] ?? "reading";
}

export function Doing({ turn, t }) {
  const what = doing(turn);
  const tools = what === "calling" ? turn.calls.map((call) => t(`tool.${call.name}`, {}, call.name)).join(", ") : "";
  return html`<p class="doing"><span class="doing-dot"></span>${t(`doing.${what}`)}${tools && html` <b>${tools}</b>`}</p>`;
}
