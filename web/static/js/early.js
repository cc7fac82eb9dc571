// Runs before the page is drawn, so that a chosen theme and language do not flash in later.
"use strict";
try {
  const theme = localStorage.getItem("siaran-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const language = localStorage.getItem("siaran-language") || navigator.language;
  if (/^(id|in)\b/i.test(language)) document.documentElement.lang = "id";
} catch {
  // Storage may be forbidden; the defaults are fine.
}
