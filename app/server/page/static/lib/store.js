// A value that components follow.
import { useEffect, useState } from "../vendor/htm-preact.js";

export function store(value) {
  const followers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const each of [...followers]) each();
    },
    follow(each) {
      followers.add(each);
      return () => followers.delete(each);
    },
  };
}

export function useStore(held) {
  const [value, setValue] = useState(held.get());
  useEffect(() => {
    setValue(() => held.get()); // it may have changed between the drawing and now
    return held.follow(() => setValue(() => held.get()));
  }, [held]);
  return value;
}

// What the browser keeps for the page; a browser that keeps nothing is no error.
export const kept = {
  get(name) { try { return localStorage.getItem(`groundling.${name}`); } catch { return null; } },
  set(name, value) {
    try {
      if (value == null) localStorage.removeItem(`groundling.${name}`);
      else localStorage.setItem(`groundling.${name}`, value);
    } catch { /* private browsing */ }
  },
};
