// The chat: a conversation, or the beginning of one, with a document beside it.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { api } from "../lib/api.js";
import { Button, Empty, Icon, Spinner } from "../lib/components.js";
import { toast } from "../lib/dialogs.js";
import { useT } from "../lib/i18n.js";
import { go } from "../lib/router.js";
import { kept, store, useStore } from "../lib/store.js";
import * as client from "./client.js";
import { READS, changed, chatOf } from "./chat.js";
import { Choices, Composer, GRAPHS } from "./composer.js";
import { DocumentPanel } from "./document.js";
import { Turn } from "./turn.js";
import { verdictOf, versions } from "./turns.js";
import dictionary from "./chat.i18n.js";

const SAMPLE = "handbook"; // the knowledge base that comes with Groundling
const choice = store({ graph: GRAPHS.includes(kept.get("graph")) ? kept.get("graph") : "agent", knowledge: kept.get("knowledge") });
const choose = (change) => {
  choice.set({ ...choice.get(), ...change });
  for (const [name, value] of Object.entries(change)) kept.set(name, value);
};

let known = Promise.resolve(); // until it is known which there are, none can be asked from

// The knowledge bases; the one that was chosen is kept while there is such a one.
function useBases() {
  const [found, setFound] = useState(null);
  useEffect(() => {
    known = api.get("/api/knowledge").then(({ knowledge }) => {
      const usable = knowledge.filter((base) => !base.error);
      const fits = usable.some((base) => base.id === choice.get().knowledge);
      if (!fits) choice.set({ ...choice.get(), knowledge: (usable.find((base) => base.documents > 0) ?? usable[0])?.id ?? null });
      setFound(usable);
    }, () => setFound([]));
  }, []);
  return found;
}

async function begin(question, wanted) {
  try {
    await known;
    const chosen = { graph: wanted.graph, knowledge: wanted.knowledge ?? choice.get().knowledge };
    const { graph, knowledge } = chosen;
    const thread = await client.createThread(READS.includes(graph) && knowledge ? { knowledge } : {});
    const chat = chatOf(thread);
    chat.state.set({ ...chat.state.get(), loading: false, graph, knowledge });
    go(`chat/${thread}`);
    const sent = chat.send(question, chosen);
    changed();
    await sent;
  } catch (error) {
    toast(error, "bad");
    kept.set("draft.new", question);
  }
}

function Start({ bases, t }) {
  const chosen = useStore(choice);
  const sample = bases?.some((base) => base.id === SAMPLE);
  const filled = bases?.some((base) => base.documents > 0);
  return html`<div class="start">
    <h1>${t("start")}</h1>
    <p class="start-about">${t(filled ? "startAbout" : "startEmpty")} ${bases && !filled && html`<a href="#/documents">${t("addDocuments")}</a>`}</p>
    <${Composer} send=${(text) => begin(text, chosen)} focus="new" draftOf="new" t=${t}><${Choices} choice=${chosen} choose=${choose} bases=${bases} t=${t} /><//>
    ${sample && html`<ul class="examples" aria-label=${t("examples")}>${[1, 2, 3].map((n) => html`<li key=${n}>
      <button type="button" onClick=${() => begin(t(`example${n}`), { graph: READS.includes(chosen.graph) ? chosen.graph : "agent", knowledge: SAMPLE })}>${t(`example${n}`)}</button></li>`)}</ul>`}
    ${filled && html`<p class="start-more"><a href="#/documents">${t("moreDocuments")}</a></p>`}
  </div>`;
}

// What was already said of the answers of a thread: run → score.
function useGiven(thread) {
  const [given, setGiven] = useState({});
  useEffect(() => {
    setGiven({});
    api.get(`/api/traces?${new URLSearchParams({ thread, limit: 50 })}`).then(({ traces }) => {
      setGiven(Object.fromEntries(traces.flatMap((trace) => (trace.feedback ?? []).filter((each) => each.score).map((each) => [trace.id, each.score]))));
    }, () => {});
  }, [thread]);
  return given;
}

// Stay at the end while it grows, unless one has scrolled away from it.
function useEnd(key, live) {
  const end = useRef(null);
  const stuck = useRef(true);
  useEffect(() => {
    const room = end.current.closest(".talk");
    const moved = () => { stuck.current = room.scrollHeight - room.scrollTop - room.clientHeight < 80; };
    room.addEventListener("scroll", moved, { passive: true });
    return () => room.removeEventListener("scroll", moved);
  }, []);
  useLayoutEffect(() => { stuck.current = true; }, [key]);
  useLayoutEffect(() => {
    const room = end.current.closest(".talk");
    if (stuck.current) room.scrollTop = room.scrollHeight;
  }, [key, live]);
  return end;
}

function Conversation({ id, bases, cite, t }) {
  const chat = useMemo(() => chatOf(id), [id]);
  const state = useStore(chat.state);
  const chosen = useStore(choice);
  const given = useGiven(id);
  const said = useRef("");
  useEffect(() => { if (chat.state.get().loading) chat.load(); }, [chat]);
  useEffect(() => { // the thread goes on as it began
    const { graph, knowledge } = state;
    if (GRAPHS.includes(graph)) choice.set({ ...choice.get(), graph, ...(knowledge ? { knowledge } : {}) });
  }, [id, state.loading]);
  const busy = !!state.live && !state.live.failed && !state.live.interrupts.length;
  useEffect(() => {
    const pressed = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || !busy || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      halt();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [busy, chat]);
  const path = chat.path();
  const last = path.at(-1);
  // Read out once, when it is whole; never word by word.
  if (last?.status === "live") said.current = t("answering");
  else if (said.current && last?.answer) said.current = `${verdictOf(last) ? `${t(`verdict.${verdictOf(last)}`)}. ` : ""}${last.answer.slice(0, 1000)}`;
  const end = useEnd(`${id}-${path.length}`, state);
  const halt = () => chat.halt().catch((error) => toast(error, "bad"));
  const send = async (question, options = {}) => { await known; await chat.send(question, { ...choice.get(), ...options }); };
  // A first turn whose beginning is not kept cannot be had again in its place.
  const from = (turn, question) => (turn.parent || turn.base ? send(question, { after: turn.parent, base: turn.base }) : begin(question, choice.get()));
  const does = {
    show: (turn) => chat.show(turn), again: (turn) => from(turn, turn.question), edit: from,
    resume: (turn, value) => chat.resume(turn, value), retry: () => chat.again?.(),
  };
  return html`<div class="talk"><div class="turns">
      ${state.loading && html`<${Spinner} />`}
      ${state.error && html`<${Empty} title=${state.error.status === 404 ? t("noThread") : state.error.message}>
        ${state.error.status === 404 ? html`<a href="#/chat">${t("newChat")}</a>` : html`<${Button} onClick=${() => chat.load()}>${t("tryAgain")}<//>`}<//>`}
      ${path.map((turn, n) => html`<${Turn} key=${n} turn=${turn} all=${turn.status === "live" ? [] : versions(state.turns, turn)} busy=${busy}
        times=${chat.times.get(turn.run)} given=${given[turn.run]} cite=${cite} does=${does} t=${t} />`)}
      <div ref=${end}></div></div></div>
    <div class="sr" role="log" aria-live="polite">${said.current}</div>
    ${!state.error && html`<div class="talk-foot"><${Composer} key=${id} send=${(text) => send(text)} stop=${halt} busy=${busy} focus=${id} draftOf=${id} t=${t}>
      <${Choices} choice=${chosen} choose=${choose} bases=${bases} t=${t} /><//></div>`}`;
}

export function Chat({ id }) {
  const t = useT(dictionary);
  const bases = useBases();
  const [cited, setCited] = useState(null);
  useEffect(() => setCited(null), [id]);
  const cite = (turn, citation, from) => {
    if (citation) setCited({ citation, from, knowledge: turn.knowledge ?? chatOf(id).state.get().knowledge ?? choice.get().knowledge });
  };
  return html`<div class=${`chat${cited ? " beside" : ""}`}>
    <div class="chat-room">${id ? html`<${Conversation} key=${id} id=${id} bases=${bases} cite=${cite} t=${t} />` : html`<${Start} bases=${bases} t=${t} />`}</div>
    ${cited && html`<${DocumentPanel} cited=${cited} close=${() => setCited(null)} t=${t} />`}
  </div>`;
}
