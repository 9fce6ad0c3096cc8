// The turns of a thread, and their branches, from its history of states. Knows no page.
//
// A turn ends at a state that has nothing to do next. What follows a state is its branch, so
// turns with one and the same turn before them are versions of each other. Ids of states are
// UUIDs of version 6: their order is that of time.

export const text = (content) => typeof content === "string" ? content
  : (content ?? []).map((part) => (typeof part === "string" ? part : part.text ?? "")).join("");

const idOf = (state) => state.checkpoint?.checkpoint_id ?? state.checkpoint_id;
const parentOf = (state) => state.parent_checkpoint?.checkpoint_id ?? null;
const people = (values) => (values?.messages ?? []).filter((each) => each.type === "human");

export function interruptsOf(state) {
  const own = state.interrupts ?? [];
  const held = (state.tasks ?? []).flatMap((task) => task.interrupts ?? []);
  return held.length ? held : own;
}

// What a state tells of the turn that it ends, or stops in.
function turnOf(state, status) {
  const values = state.values ?? {};
  const messages = values.messages ?? [];
  const asked = messages.findLastIndex((each) => each.type === "human");
  const said = messages.slice(asked + 1).findLast((each) => each.type === "ai" && text(each.content));
  return {
    id: idOf(state), status,
    // Of a question that was not let through, the messages keep nothing.
    question: asked >= 0 && !values.blocked ? text(messages[asked].content) : values.question ?? "",
    answer: status === "done" ? values.answer || text(said?.content) : text(said?.content),
    thoughts: status === "done" ? values.thoughts ?? "" : "",
    citations: status === "done" ? values.citations ?? [] : [],
    claims: status === "done" ? values.claims ?? [] : [],
    closest: status === "done" ? values.closest ?? [] : [],
    verdict: status === "done" ? values.verdict ?? null : null,
    notices: values.notices ?? [], steps: values.steps ?? [],
    interrupts: interruptsOf(state),
    run: state.metadata?.run_id ?? null,
    graph: state.metadata?.graph_id ?? null,
    knowledge: state.metadata?.knowledge ?? null,
    created: state.created_at ?? null,
  };
}

// Turns that are only left in the messages of later ones.
function earlier(state) {
  const messages = state.values?.messages ?? [];
  const last = messages.findLastIndex((each) => each.type === "human");
  const turns = [];
  for (const message of messages.slice(0, Math.max(0, last))) {
    if (message.type === "human") {
      turns.push({ id: `old-${turns.length}`, status: "old", question: text(message.content), answer: "", citations: [], claims: [],
        closest: [], notices: [], steps: [], interrupts: [], verdict: null, run: null });
    } else if (message.type === "ai" && turns.length && text(message.content)) turns.at(-1).answer = text(message.content);
  }
  return turns;
}

// {turns: Map of id → turn with `parent`, `before`}, from states in any order.
export function read(states) {
  const byId = new Map(states.map((state) => [idOf(state), state]));
  const followed = new Set(states.map(parentOf).filter(Boolean));
  const isEnd = (state) => !(state.next ?? []).length && people(state.values).length > 0;
  const turns = new Map();
  for (const state of [...states].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))) {
    const end = isEnd(state);
    if (!end && followed.has(idOf(state))) continue; // it went on
    const status = end ? "done" : interruptsOf(state).length ? "waits" : "stopped";
    if (!end && !people(state.values).length) continue; // nothing was asked yet
    let parent = parentOf(state);
    let base = parent; // the state right before the turn, to have it again from
    while (parent && byId.has(parent) && !isEnd(byId.get(parent))) {
      parent = parentOf(byId.get(parent));
      if (parent) base = parent;
    }
    const lost = parent !== null && !byId.has(parent);
    const turn = { ...turnOf(state, status), parent: lost ? null : parent, before: [], base: lost ? null : base };
    // A first turn whose own past is gone: what it knows of it is in its messages.
    if (turn.parent === null) turn.before = earlier(state);
    turn.root = turn.parent === null ? turn.before.map((each) => each.question).join("\n") : null;
    // A state that was corrected from outside stands for the one before it.
    const corrected = end && ["update", "fork"].includes(state.metadata?.source) ? turns.get(parent) : null;
    if (corrected) {
      turns.delete(corrected.id);
      Object.assign(turn, { parent: corrected.parent, base: corrected.base, before: corrected.before, root: corrected.root });
    }
    turns.set(turn.id, turn);
  }
  for (const turn of turns.values()) if (turn.parent && !turns.has(turn.parent)) turn.parent = null;
  return turns;
}

// Words that stand in the place of refuted ones: they are not what was refuted.
const isCorrected = (claim, points) =>
  claim.verdict === "REFUTED" && claim.correction && points.slice(claim.start, claim.end).join("") === claim.correction;

// The claims of an answer, with CORRECTED as the verdict on those that were; offsets count code
// points, as Python does.
export function judged(claims, answer) {
  const points = [...answer];
  return claims.map((claim) => (isCorrected(claim, points) ? { ...claim, verdict: "CORRECTED" } : claim));
}

// What is to be said of an answer. A conversation's `answered` only says that it was let through.
export const verdictOf = ({ verdict, citations, steps }) =>
  verdict === "answered" && !citations.length && !steps.some((step) => step.outcome === "done") ? null : verdict;

export const newest = (turns) => [...turns.keys()].sort().at(-1) ?? null;

// The turns up to one, the first first; with those that only messages are left of.
export function pathTo(turns, id) {
  const path = [];
  for (let turn = turns.get(id); turn; turn = turns.get(turn.parent)) path.unshift(turn);
  return path.length ? [...path[0].before, ...path] : [];
}

export const versions = (turns, turn) =>
  turn.status === "old" ? [turn]
    : [...turns.values()].filter((each) => each.parent === turn.parent && each.root === turn.root).sort((a, b) => (a.id < b.id ? -1 : 1));

// The last that was said in the branch of a turn.
export function end(turns, id) {
  const after = [...turns.values()].filter((each) => each.parent === id).map((each) => end(turns, each.id)).sort();
  return after.at(-1) ?? id;
}
