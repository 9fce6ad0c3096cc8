// Texts by key, in the language of the page. A dictionary is {en: {key: text}, ko: {key: text}}.
import { kept, store, useStore } from "./store.js";

const chosen = store(document.documentElement.lang === "ko" ? "ko" : "en");

export const language = () => chosen.get();

export function setLanguage(name) {
  kept.set("language", name);
  document.documentElement.lang = name;
  chosen.set(name);
}

export const useLanguage = () => useStore(chosen);

// Without a key in the language, English; without that, `fallback`, else the key itself.
export function translator(dictionary, name = language()) {
  return (key, values = {}, fallback = key) => {
    const text = dictionary[name]?.[key] ?? dictionary.en[key] ?? fallback;
    return String(text).replace(/\{(\w+)\}/g, (_, each) => values[each] ?? "");
  };
}

export const useT = (dictionary) => translator(dictionary, useLanguage());
