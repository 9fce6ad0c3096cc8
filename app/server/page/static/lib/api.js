// The server: JSON asked for and given, event streams read, errors made readable.
import { translator } from "./i18n.js";
import { store } from "./store.js";
import { session, who } from "./session.js";

const words = {
  en: { offline: "The server cannot be reached.", strange: "The server gave an answer that cannot be read.", failed: "It failed ({status})." },
  ko: { offline: "서버에 연결할 수 없습니다.", strange: "서버의 응답을 읽을 수 없습니다.", failed: "실패했습니다({status})." },
};

// Whether the server can be reached; the shell shows it and looks again.
export const online = store(true);

// What went wrong: `status` of HTTP (0: not reached), `code` for programs, `hint` for people.
export class Problem extends Error {
  constructor(message, { status = 0, code = "", hint = "", retry = 0 } = {}) {
    super(message);
    Object.assign(this, { name: "Problem", status, code, hint, retry });
  }
}

export async function ask(method, path, body, { signal, headers = {} } = {}) {
  const t = translator(words);
  const form = body instanceof FormData;
  const sent = { ...headers };
  if (body !== undefined && !form) sent["Content-Type"] = "application/json";
  const asker = session();
  const { csrf } = asker;
  if (csrf && method !== "GET") sent["X-CSRF-Token"] = csrf;
  let answer;
  try {
    answer = await fetch(path, {
      method, signal, headers: sent, credentials: "same-origin", redirect: "error",
      body: body === undefined ? undefined : form ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    online.set(false);
    throw new Problem(t("offline"), { code: "offline" });
  }
  online.set(true);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  // A refusal of one who is somebody else by now says nothing.
  const still = who.get() === null || who.get() === asker;
  if (answer.status === 401 && path !== "/api/session" && still && !asker.entering) who.set({ person: null, csrf: null, people: true });
  throw new Problem(String(told.detail ?? told.error?.message ?? t("failed", { status: answer.status })), {
    status: answer.status, code: told.code ?? "", hint: told.hint ?? "",
    retry: Number(answer.headers.get("Retry-After")) || 0,
  });
}

async function json(method, path, body, options) {
  const answer = await ask(method, path, body, options);
  if (answer.status === 204) return null;
  const text = await answer.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(translator(words)("strange"), { status: answer.status });
  }
}

// Frames of an event stream, as WHATWG HTML 9.2 has them: {id, event, data}, data parsed.
export async function* frames(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let frame = { id: undefined, event: "message", data: [] };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      // A line break at the very end may be the first half of one.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (frame.data.length) yield { ...frame, data: JSON.parse(frame.data.join("\n")) };
          frame = { id: frame.id, event: "message", data: [] };
        } else if (!line.startsWith(":")) {
          const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
          if (name === "data") frame.data.push(text);
          else if (name === "event") frame.event = text;
          else if (name === "id") frame.id = text;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export const api = {
  get: (path, options) => json("GET", path, undefined, options),
  post: (path, body, options) => json("POST", path, body, options),
  put: (path, body, options) => json("PUT", path, body, options),
  patch: (path, body, options) => json("PATCH", path, body, options),
  delete: (path, body, options) => json("DELETE", path, body, options),
  async* events(path, options = {}) {
    const answer = await ask("GET", path, undefined, { ...options, headers: { Accept: "text/event-stream", ...options.headers } });
    yield* frames(answer.body);
  },
};
