// @ts-check
// Runs before the page is drawn, so that a chosen theme and language are there from the first picture.
"use strict";
try {
  const theme = localStorage.getItem("siaran-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const language = localStorage.getItem("siaran-language") || navigator.language;
  if (/^(id|in)\b/i.test(language)) document.documentElement.lang = "id"; // "in" is the old code of Indonesian
} catch {
  // The browser allows no storage: the defaults do.
}
