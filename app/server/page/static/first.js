// Theme and language before the first paint, so that nothing flashes.
(() => {
  const kept = (name) => { try { return localStorage.getItem(`groundling.${name}`); } catch { return null; } };
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const language = kept("language") ?? navigator.language;
  document.documentElement.lang = language.toLowerCase().startsWith("ko") ? "ko" : "en";
})();
