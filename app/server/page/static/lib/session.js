// Who looks at the page: {person, csrf, people}; null until the server has said so.
import { store } from "./store.js";

export const who = store(null);
export const session = () => who.get() ?? { person: null, csrf: null, people: false };
