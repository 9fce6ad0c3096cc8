// LangGraph's API, as far as a chat needs it.
import { api, ask, frames } from "../lib/api.js";

const MODES = ["messages-tuple", "updates", "custom"];
const STATES = 80; // of a thread that are read for its turns and branches
const at = (thread, rest = "") => `/threads/${encodeURIComponent(thread)}${rest}`;

// A thread with an empty state to begin from: without it, the first question could not be asked
// in another way later and stay in its thread. It is written as if by the smallest graph, which
// needs no documents; the first run tells which graph the thread is of.
export async function createThread(metadata) {
  const { thread_id: thread } = await api.post("/threads", { metadata: { ...metadata, graph_id: "ask" } });
  await api.post(at(thread, "/state"), { values: null, as_node: "__end__" });
  return thread;
}

export const getThread = (thread) => api.get(at(thread));
export const renameThread = (thread, title) => api.patch(at(thread), { metadata: { title } });
export const deleteThread = (thread) => api.delete(at(thread));
export const history = (thread) => api.post(at(thread, "/history"), { limit: STATES });
export const cancel = (thread, run) => api.post(at(thread, `/runs/${run}/cancel?wait=true&action=interrupt`));

// The run that a thread is at work on; null: none.
export async function running(thread) {
  for (const status of ["running", "pending"]) {
    const [run] = await api.get(at(thread, `/runs?limit=1&status=${status}`));
    if (run) return run.run_id;
  }
  return null;
}

// Begin a run and read its events; it goes on when the page goes away, and can be joined again.
export async function* stream(thread, { graph, input, command, checkpoint, knowledge }, signal) {
  const answer = await ask("POST", at(thread, "/runs/stream"), {
    assistant_id: graph, input, command,
    checkpoint: checkpoint ? { checkpoint_id: checkpoint, checkpoint_ns: "" } : undefined,
    config: knowledge ? { configurable: { knowledge } } : undefined,
    metadata: knowledge ? { knowledge } : undefined,
    stream_mode: MODES, stream_resumable: true, on_disconnect: "continue", multitask_strategy: "reject",
  }, { signal, headers: { Accept: "text/event-stream" } });
  yield* frames(answer.body);
}

export const join = (thread, run, after, signal) =>
  api.events(at(thread, `/runs/${run}/stream`), { signal, headers: { "Last-Event-ID": after ?? "-1" } });
