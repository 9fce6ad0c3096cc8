// One conversation: its turns, the run that is at work, and what can be done. Knows no page.
import { store } from "../lib/store.js";
import * as client from "./client.js";
import { end, newest, pathTo, read, text } from "./turns.js";

const WAITS = [500, 1000, 2000, 4000]; // milliseconds before a broken stream is joined again
const CHECKED = ["rag", "agent"]; // graphs that may take back what they have written
export const READS = ["rag", "agent", "toolbox"]; // graphs that look into documents

const sleep = (time) => new Promise((done) => setTimeout(done, time));

const chats = new Map();

// The chat of a thread; it goes on while other views are looked at.
export function chatOf(thread) {
  if (!chats.has(thread)) chats.set(thread, new Chat(thread));
  return chats.get(thread);
}

// What a thread is called before the server knows it: by what is being asked.
export const titleOf = (thread) => chats.get(thread)?.state.get().live?.question ?? "";

export const forget = (thread) => { chats.get(thread)?.leave(); chats.delete(thread); };

// Every change of a list of threads: a new one, a new title, a turn.
export const changes = store(0);
export const changed = () => changes.set(changes.get() + 1);

export class Chat {
  constructor(thread) {
    this.thread = thread;
    // live: the turn at work; lost: its stream broke and is being joined again.
    this.state = store({ loading: true, error: null, turns: new Map(), leaf: null, live: null, knowledge: null, graph: null });
    this.times = new Map(); // run → seconds that its calls took, in their order
  }

  #set(change) { this.state.set({ ...this.state.get(), ...change }); }

  #live(change) {
    const { live } = this.state.get();
    if (live) this.#set({ live: { ...live, ...change } });
  }

  async load() {
    try {
      const thread = await client.getThread(this.thread);
      const { knowledge, graph_id: graph } = thread.metadata ?? {};
      this.#set({ knowledge: knowledge ?? null, graph: graph ?? null });
      await this.#reload();
      if (thread.status === "busy" && !this.state.get().live) await this.#rejoin();
    } catch (error) {
      this.#set({ error });
    } finally {
      this.#set({ loading: false });
    }
  }

  async #reload(change = {}) {
    const turns = read(await client.history(this.thread));
    const { leaf, live } = this.state.get();
    const keep = leaf && turns.has(leaf) && !live;
    this.#set({ turns, leaf: keep ? leaf : newest(turns), error: null, ...change });
  }

  async #rejoin() {
    const run = await client.running(this.thread);
    if (!run) return;
    const { turns, leaf } = this.state.get();
    const at = turns.get(leaf); // what stands half done is what is at work
    const half = at?.status === "stopped";
    this.#begin({ question: half ? at.question : "", parent: half ? at.parent : leaf, run });
    await this.#follow((signal) => client.join(this.thread, run, null, signal));
  }

  // The turns to be shown, the one at work last.
  path() {
    const { turns, leaf, live } = this.state.get();
    const path = pathTo(turns, live ? live.parent : leaf);
    const last = path.at(-1);
    // What was written before it was stopped is kept here alone.
    if (last?.status === "stopped" && last.run === this.part?.run) path[path.length - 1] = { ...last, answer: this.part.answer };
    return live ? [...path, live] : path;
  }

  show(id) {
    this.#set({ leaf: end(this.state.get().turns, id) });
  }

  #begin(live) {
    this.#set({
      error: null,
      live: { id: "live", status: "live", answer: "", thoughts: "", citations: [], claims: [], closest: [], notices: [], steps: [], interrupts: [],
        verdict: null, node: null, calls: [], lost: false, failed: null, run: null, ...live },
    });
    this.stop = new AbortController();
  }

  // Ask; after a turn, which makes a branch where something follows it already.
  async send(question, { graph, knowledge, after, base = null }) {
    if (this.state.get().live?.interrupts.length) await this.following; // it has asked, but may not have ended yet
    const { turns, live, leaf } = this.state.get();
    if (live && !live.failed) return;
    if (after === undefined) after = leaf;
    // A turn that was not finished gets another version instead of one that follows it.
    const at = turns.get(after);
    const parent = !at ? null : at.status === "done" ? at.id : at.parent;
    if (at && at.status !== "done") base = at.base;
    const used = READS.includes(graph) ? knowledge : null;
    this.#set({ graph, knowledge });
    this.again = () => this.send(question, { graph, knowledge, after, base });
    this.#begin({ question, parent, graph, knowledge: used, draft: CHECKED.includes(graph) });
    await this.#follow((signal) => client.stream(this.thread,
      { graph, input: { question }, knowledge: used, checkpoint: parent ?? base }, signal));
  }

  // Answer what a turn waits for.
  async resume(asked, value) {
    await this.following; // it has asked, but may not have ended yet
    const { turns, leaf } = this.state.get();
    const turn = turns.get(asked.id) ?? turns.get(leaf) ?? asked;
    const graph = turn.graph ?? this.state.get().graph;
    this.again = () => this.resume(asked, value);
    this.#begin({ ...turn, id: "live", status: "live", interrupts: [], graph, draft: CHECKED.includes(graph) });
    await this.#follow((signal) => client.stream(this.thread,
      { graph, command: { resume: value }, knowledge: turn.knowledge, checkpoint: turn.id }, signal));
  }

  #follow(open) {
    this.following = this.#read(open);
    return this.following;
  }

  // Read a run to its end, joining it again where the connection breaks.
  async #read(open) {
    const { signal } = this.stop;
    let last = null;
    let tries = 0;
    for (;;) {
      try {
        for await (const frame of open(signal)) {
          last = frame.id ?? last;
          tries = 0;
          if (this.state.get().live?.lost) this.#live({ lost: false });
          this.#hear(frame);
        }
        break;
      } catch (error) {
        if (signal.aborted) return;
        const { run } = this.state.get().live ?? {};
        // Refused, or never begun, or gone with the server: there is nothing to join.
        if (error.status || !run || tries >= 60) {
          if (run && error.status === 404) break;
          this.#live({ failed: { message: error.message, hint: error.hint ?? "", status: error.status } });
          return;
        }
        this.#live({ lost: true });
        await sleep(WAITS[Math.min(tries, WAITS.length - 1)]);
        tries += 1;
        open = (again) => client.join(this.thread, run, last, again);
      }
    }
    await this.#over();
  }

  async #over() {
    const { live } = this.state.get();
    const failed = live?.failed ?? null;
    if (live?.stopping && live.answer) this.part = { run: live.run, answer: live.answer };
    for (let tries = 0; ; tries += 1) {
      try {
        await this.#reload({ live: failed ? { ...this.state.get().live, failed } : null });
        break;
      } catch (error) {
        if (error.status && error.status < 500 && error.status !== 429) {
          this.#live({ failed: { message: error.message, hint: error.hint } });
          break;
        }
        await sleep(WAITS[Math.min(tries, WAITS.length - 1)]);
      }
    }
    changed();
  }

  #hear({ event, data }) {
    const [name] = event.split("|");
    if (name === "metadata") this.#live({ run: data.run_id });
    else if (name === "messages") this.#token(data[0]);
    else if (name === "updates") this.#update(data);
    else if (name === "error") this.#live({ failed: { message: data.message || data.error, hint: data.hint ?? "", kind: data.error } });
  }

  #token(message) {
    const words = text(message?.content);
    if (!words || !["AIMessageChunk", "ai"].includes(message.type)) return;
    const { live } = this.state.get();
    if (!live) return;
    const same = live.message === message.id;
    const whole = message.type === "ai";
    this.#live({ message: message.id, answer: same && !whole ? live.answer + words : words, writing: true });
  }

  #update(update) {
    if (update.__interrupt__) {
      this.#live({ interrupts: update.__interrupt__, calls: [] });
      return;
    }
    for (const [node, values] of Object.entries(update)) {
      const { live } = this.state.get();
      const change = { node };
      for (const key of ["answer", "citations", "claims", "closest", "verdict", "notices", "steps", "thoughts"]) {
        if (values?.[key] != null) change[key] = values[key];
      }
      if (values?.verdict) change.draft = false;
      if (values?.calls) {
        change.calls = values.calls;
        if (values.calls.length) this.asked = performance.now();
      }
      if (values?.steps?.length > (live?.steps.length ?? 0) && this.asked) {
        const times = this.times.get(live.run) ?? [];
        const took = (performance.now() - this.asked) / 1000;
        this.times.set(live.run, [...times, ...Array(values.steps.length - times.length).fill(took)]);
      }
      this.#live(change);
    }
  }

  // Stop the answer. What was written of it stays to be read until something else is shown.
  async halt() {
    const { live } = this.state.get();
    if (!live?.run || live.stopping) return;
    this.#live({ stopping: true });
    try {
      await client.cancel(this.thread, live.run);
    } catch (error) {
      if (error.status !== 404 && error.status !== 409) {
        this.#live({ stopping: false });
        throw error;
      }
    }
  }

  leave() { this.stop?.abort(); }
}
