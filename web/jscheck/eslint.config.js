import js from "@eslint/js";
import globals from "globals";

const ecmaVersion = 2024;

// The base path is the folder above: eslint is run there.
export default [
  js.configs.recommended,
  {
    files: ["static/**/*.js"],
    languageOptions: { ecmaVersion, sourceType: "module", globals: globals.browser },
    rules: { eqeqeq: ["error", "always", { null: "ignore" }], "no-var": "error", "prefer-const": "error" },
  },
  { files: ["static/js/before-paint.js"], languageOptions: { sourceType: "script" } },
  {
    files: ["jscheck/**/*.js"],
    languageOptions: { ecmaVersion, sourceType: "module", globals: { ...globals.node, ...globals.browser } },
  },
  { ignores: ["static/vendor/**"] },
];
