// Addresses: #/view/part/part?name=value. Parts are decoded; a broken one stays as it is.
import { store, useStore } from "./store.js";

const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };

export function read(hash) {
  const [address, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, ...path] = address.split("/").filter(Boolean).map(decode);
  return { view: view ?? "", path, query: new URLSearchParams(query), hash };
}

const route = store(read(location.hash));
addEventListener("hashchange", () => route.set(read(location.hash)));

export const useRoute = () => useStore(route);

// Go to an address such as `traces/ID`; `replace` leaves none behind to come back to.
export function go(address, { replace = false } = {}) {
  const hash = `#/${address}`;
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    route.set(read(hash));
  } else {
    location.hash = hash;
  }
}
