// What a chat page built on LangGraph's `useStream` does, without a browser.
//
//     node use_stream.mjs http://127.0.0.1:2024 probe     prints what the hook showed, as JSON
//
// React renders into nothing (react-test-renderer); the hook, its client and its streams are
// the published ones.

import { createElement } from "react";
import TestRenderer, { act } from "react-test-renderer";
import { useStream } from "@langchain/langgraph-sdk/react";

const [url, assistantId] = process.argv.slice(2);
globalThis.IS_REACT_ACT_ENVIRONMENT = true;
globalThis.window ??= {}; // where there is none the hook does not come back to a run
console.error = () => undefined; // the hook's and the renderer's remarks; errors are in `shown`

/** Show a page with the hook in it; `page.hook` is what the hook says at present. */
async function open(options = {}) {
  const page = { hook: null, threadId: options.threadId ?? null, errors: [], storage: new Map() };
  const storage = {
    getItem: (key) => page.storage.get(key) ?? null,
    setItem: (key, value) => page.storage.set(key, value),
    removeItem: (key) => page.storage.delete(key),
  };
  function Page() {
    page.hook = useStream({
      apiUrl: url,
      apiKey: null,
      assistantId,
      fetchStateHistory: true,
      messagesKey: "messages",
      onThreadId: (id) => (page.threadId = id),
      onError: (error) => page.errors.push(String(error?.message ?? error)),
      reconnectOnMount: options.resumable ? () => storage : undefined,
      ...options,
    });
    // Reading them is how a page tells the hook which streams it wants.
    void page.hook.messages;
    void page.hook.values;
    return null;
  }
  await act(async () => {
    page.root = TestRenderer.create(createElement(Page));
  });
  await until(() => !page.hook.isThreadLoading);
  return page;
}

async function until(holds, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`in vain: ${holds}`);
    await act(() => new Promise((resolve) => setTimeout(resolve, 20)));
  }
}

async function submit(page, values, options) {
  await act(async () => {
    await page.hook.submit(values, options);
  });
  await until(() => !page.hook.isLoading);
}

const said = (hook) => hook.messages.map((message) => [message.type, message.content]);
const human = (content) => ({ messages: [{ type: "human", content }] });
const shown = {};

// A conversation: streamed, kept, and there again when the page is opened anew.
const page = await open();
await submit(page, human("hello"));
shown.first = said(page.hook);
shown.thread = typeof page.threadId === "string" && page.threadId.length === 36;
await submit(page, human("and again"));
shown.second = said(page.hook);
const reopened = await open({ threadId: page.threadId });
await until(() => reopened.hook.messages.length > 0);
shown.reopened = said(reopened.hook);

// Edit and resend: a branch from before the second question.
const question = page.hook.messages[2];
const before = page.hook.getMessagesMetadata(question).firstSeenState.parent_checkpoint;
await submit(page, human("something else"), { checkpoint: before });
shown.edited = said(page.hook);
const branches = page.hook.getMessagesMetadata(page.hook.messages[2]).branchOptions ?? [];
shown.branches = branches.length;
await act(async () => page.hook.setBranch(branches[0]));
shown.otherBranch = said(page.hook);

// Regenerate: the answer again, from just before it.
const again = await open();
await submit(again, human("hello"));
const answer = again.hook.messages.at(-1);
const asked = again.hook.getMessagesMetadata(answer).firstSeenState.parent_checkpoint;
await submit(again, undefined, { checkpoint: asked });
shown.regenerated = said(again.hook);
shown.anotherAnswer = again.hook.messages.at(-1).id !== answer.id;

// A question to the person, answered later by another page.
const asks = await open();
await submit(asks, { ...human("may you?"), wish: "ask" });
shown.interrupt = asks.hook.interrupt?.value;
const resumes = await open({ threadId: asks.threadId });
await until(() => resumes.hook.interrupt !== undefined);
shown.interruptReopened = resumes.hook.interrupt?.value;
await submit(resumes, undefined, { command: { resume: "yes" } });
shown.resumed = resumes.hook.values.note;
shown.interruptAfter = resumes.hook.interrupt ?? null;

// A failure is told, and the conversation goes on.
const fails = await open();
await submit(fails, { ...human("hello"), wish: "fail" });
shown.error = String(fails.hook.error?.message ?? fails.hook.error);
await submit(fails, { ...human("hello"), wish: "none" });
shown.afterError = said(fails.hook).at(-1);

// Stopped by the person.
const stops = await open();
await act(async () => {
  const running = stops.hook.submit({ ...human("hello"), wish: "slow" });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await stops.hook.stop();
  await running;
});
shown.stopped = !stops.hook.isLoading;

// A page that was left while an answer was written finds it when it comes back.
const leaves = await open({ resumable: true });
let running;
await act(async () => {
  running = leaves.hook.submit({ ...human("hello"), wish: "slow" });
  await new Promise((resolve) => setTimeout(resolve, 400));
});
const stored = leaves.storage;
const back = await open({
  threadId: leaves.threadId,
  reconnectOnMount: () => ({
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => stored.set(key, value),
    removeItem: (key) => stored.delete(key),
  }),
});
await until(() => back.hook.messages.length === 2 && !back.hook.isLoading);
shown.cameBack = said(back.hook);
await act(async () => await running);

// The client's other parts that chat pages use.
const client = page.hook.client;
shown.threads = (await client.threads.search({ ids: [page.threadId] })).map((each) => each.status);
shown.assistants = (await client.assistants.search({ graphId: assistantId })).map((each) => each.name);
await client.store.putItem(["a"], "k", { n: 1 });
shown.item = (await client.store.getItem(["a"], "k")).value;
await client.threads.delete(page.threadId);
shown.errors = page.errors.concat(again.errors, asks.errors, resumes.errors, reopened.errors, back.errors);

process.stdout.write(JSON.stringify(shown, null, 1));
process.exit(0);
