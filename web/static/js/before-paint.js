// @ts-check
// Runs before the page is drawn, so that a chosen theme and language are there from the first picture, and before the
// modules, without which a page says nothing.
"use strict";
try {
  const theme = localStorage.getItem("siaran-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const language = localStorage.getItem("siaran-language") || navigator.language;
  if (/^(id|in)\b/i.test(language)) document.documentElement.lang = "id"; // "in" is the old code of Indonesian
} catch {
  // The browser allows no storage: the defaults do.
}

// A browser drops the requests that are under way when its network changes, as a phone's does. One module that fails
// takes all others with it, so the page starts over: soon, and then at a pace that many viewers' pages may keep.
addEventListener("error", (event) => {
  if (!(event.target instanceof HTMLScriptElement)) return;
  const [navigation] = performance.getEntriesByType("navigation");
  const again = /** @type {PerformanceNavigationTiming | undefined} */ (navigation)?.type === "reload";
  setTimeout(() => location.reload(), (again ? 10_000 : 500) * (1 + Math.random()));
}, { capture: true, once: true });
