// Who looks at the page: {person, csrf, people}; null until the server has said so.
// `entering`: a session is on its way, and a refusal meanwhile shows nobody out.
import { store } from "./store.js";

export const who = store(null);
export const session = () => who.get() ?? { person: null, csrf: null, people: false };
