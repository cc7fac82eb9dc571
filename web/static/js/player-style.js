// @ts-check
// The look of the player. A constructed style sheet works under a strict Content-Security-Policy on any site.
export const playerStyle = new CSSStyleSheet();
playerStyle.replaceSync(`
:host {
  display: block;
  position: relative;
  aspect-ratio: 16 / 9;
  overflow: hidden;
  background: #0b0d14;
  color: #f6f1e6;
  font-family: "Plus Jakarta Sans", system-ui, sans-serif;
  font-size: 15px;
  line-height: 1.45;
}
:host(:fullscreen) { aspect-ratio: auto; border-radius: 0; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.frame { position: absolute; inset: 0; container-type: size; }
video, ::slotted(video) {
  position: absolute;
  inset: 0;
  width: 100%;
  height: 100%;
  object-fit: contain;
  background: #0b0d14;
}
.icon {
  width: 1.4em;
  height: 1.4em;
  flex: none;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.8;
  stroke-linecap: round;
  stroke-linejoin: round;
}
:focus-visible { outline: 3px solid #a4b1ff; outline-offset: 2px; }

.overlay {
  position: absolute;
  inset: 0;
  display: flex;
  flex-direction: column;
  align-items: center;
  justify-content: safe center;
  gap: 8px;
  padding: 24px;
  overflow-y: auto;
  text-align: center;
  background: radial-gradient(circle at 50% 45%, rgb(27 33 60 / 82%), rgb(11 13 20 / 94%));
}
.art { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }
.art:not([hidden]) + .overlay {
  background: radial-gradient(closest-side, rgb(11 13 20 / 88%) 20%, rgb(11 13 20 / 58%));
}
.message {
  margin: 10px 0 0;
  font-size: clamp(18px, 2.6vw, 26px);
  font-weight: 700;
  letter-spacing: -0.02em;
  text-wrap: balance;
}
.detail { margin: 0 0 10px; max-width: 34em; color: #b9bccb; text-wrap: balance; }
.detail:empty, .retry:empty { display: none; }
.retry { margin: 0 0 10px; color: #b9bccb; font-variant-numeric: tabular-nums; font-size: 14px; }
.choices { display: flex; flex-wrap: wrap; justify-content: center; gap: 8px 12px; }
.quiet {
  min-height: 44px;
  padding: 0 18px;
  border-radius: 99px;
  background: transparent;
  color: #c9cbe0;
  text-decoration: underline;
  text-underline-offset: 0.2em;
}
.quiet:hover { background: rgb(255 255 255 / 12%); }
.report {
  position: absolute;
  inset: 0;
  display: flex;
  flex-direction: column;
  gap: 10px;
  padding: 14px 16px;
  background: #0b0d14;
}
.report p { margin: 0; color: #b9bccb; font-size: 14px; }
.report pre {
  flex: 1;
  min-height: 0;
  margin: 0;
  padding: 10px 12px;
  overflow: auto;
  border-radius: 10px;
  background: #191d2a;
  font: 12px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap;
  overflow-wrap: anywhere;
  user-select: text;
}
/* Four petals around a heart, the kawung of batik; while it waits they breathe in turn. */
.ring {
  position: relative;
  isolation: isolate;
  flex: none;
  width: 56px;
  height: 56px;
  background: radial-gradient(circle, #ff6a54 0 6px, transparent 6.6px);
}
.ring::before, .ring::after {
  content: "";
  position: absolute;
  z-index: -1;
  inset: 0;
  background:
    radial-gradient(ellipse 13px 7.4px at 13px 28px, #a4b1ff 96%, transparent),
    radial-gradient(ellipse 13px 7.4px at 43px 28px, #a4b1ff 96%, transparent);
  rotate: 45deg;
  animation: breathe 2.4s ease-in-out infinite;
}
.ring::after { rotate: -45deg; animation-delay: -1.2s; }
@keyframes breathe { 50% { opacity: 0.25; } }
[data-state="error"] .ring::before,
[data-state="error"] .ring::after,
[data-state="ended"] .ring::before,
[data-state="ended"] .ring::after {
  animation: none;
  opacity: 0.45;
}
[data-state="ended"] .ring { filter: grayscale(1); }

button { font: inherit; color: inherit; cursor: pointer; border: 0; }
.centre {
  position: absolute;
  left: 0;
  right: 0;
  bottom: 76px;
  display: flex;
  justify-content: center;
  gap: 12px;
  pointer-events: none;
  transition: translate 200ms;
}
.centre > * { pointer-events: auto; }
.pill {
  display: inline-flex;
  align-items: center;
  gap: 10px;
  min-height: 50px;
  padding: 0 24px;
  border-radius: 99px;
  background: #f6f1e6;
  color: #1d2233;
  font-weight: 700;
  box-shadow: 0 8px 30px rgb(0 0 0 / 45%);
  transition: background 160ms;
}
.pill:hover { background: #fff; }

.bar {
  position: absolute;
  left: 0;
  right: 0;
  bottom: 0;
  display: flex;
  align-items: center;
  gap: 10px;
  padding: 36px 12px 10px;
  background: linear-gradient(transparent, rgb(6 8 14 / 78%));
  transition: opacity 200ms;
}
[data-state="idle"] .bar,
[data-state="connecting"] .bar,
[data-state="waiting"] .bar,
[data-state="error"] .bar,
[data-state="ended"] .bar {
  display: none;
}
.asleep { cursor: none; }
.asleep .bar { opacity: 0; }
.asleep .centre { translate: 0 44px; }
.round { display: grid; place-items: center; width: 44px; height: 44px; border-radius: 50%; background: transparent; }
.round:hover { background: rgb(255 255 255 / 16%); }
.space { flex: 1; }
.live {
  display: inline-flex;
  align-items: center;
  padding: 2px 10px;
  border-radius: 99px;
  background: #d2382a;
  color: #fff;
  font-size: 12px;
  font-weight: 750;
  letter-spacing: 0.05em;
  text-transform: uppercase;
  white-space: nowrap;
}
[data-state="interrupted"] .live { background: #8f5412; }
[data-state="paused"] .live { background: #565c72; }
[data-state="paused"] video, [data-state="paused"] ::slotted(video) { filter: brightness(0.55); }
[data-state="paused"] .centre { bottom: 0; top: 0; align-items: center; }
[data-state="paused"] .pill { min-height: 64px; padding: 0 34px; font-size: 18px; }
.chip {
  position: absolute;
  top: 14px;
  left: 14px;
  right: 14px;
  width: fit-content;
  max-width: calc(100% - 28px);
  margin: 0 auto;
  padding: 8px 16px;
  border-radius: 99px;
  background: rgb(11 13 20 / 82%);
  color: #f6f1e6;
  font-size: 14px;
  text-align: center;
  text-wrap: balance;
}
.chip:empty { display: none; }
.fact {
  font-variant-numeric: tabular-nums;
  font-size: 14px;
  white-space: nowrap;
  text-shadow: 0 1px 3px rgb(0 0 0 / 60%);
}
.fact:empty { display: none; }
.quality {
  height: 44px;
  max-width: 17em;
  padding: 0 6px;
  border: 0;
  border-radius: 12px;
  background: transparent;
  color: inherit;
  font: inherit;
  font-size: 14px;
  text-overflow: ellipsis;
  text-shadow: 0 1px 3px rgb(0 0 0 / 60%);
  field-sizing: content;
  cursor: pointer;
}
.quality:hover { background: rgb(255 255 255 / 16%); }
.quality option { background: #191d2a; color: #f6f1e6; text-shadow: none; }
input[type="range"] { width: 96px; height: 44px; margin: 0; accent-color: #f6f1e6; cursor: pointer; }
:host([controls="none"]) .bar { display: none; }
:host([controls="none"]) .centre { bottom: 24px; }
@media (max-width: 560px) {
  .bar .fact + .fact { display: none; }
  .overlay { padding: 12px 16px; gap: 4px; }
  .ring { scale: 0.8; margin: -6px 0; }
  .message { margin-top: 6px; }
  input[type="range"] { display: none; }
  .bar { gap: 6px; padding-inline: 6px; }
  .quality { min-width: 0; max-width: 7.5em; }
  .pill { min-height: 44px; padding: 0 18px; font-size: 14px; }
  .centre { bottom: 60px; }
  .asleep .centre { translate: 0 46px; }
}
@container (max-height: 300px) {
  [data-state="error"] .ring { display: none; }
  .overlay { padding: 8px 12px; gap: 2px; }
  .message { margin: 0; font-size: 16px; }
  .detail { margin: 0; font-size: 13px; line-height: 1.35; max-width: 40em; }
  .retry { margin: 0 0 4px; font-size: 13px; }
  .overlay .pill, .quiet { min-height: 44px; padding-inline: 16px; font-size: 14px; }
  .report { padding: 8px 10px; gap: 6px; }
  .report p { font-size: 12px; }
  .report .pill, .report .quiet { min-height: 36px; }
}
@container (min-height: 200px) and (max-height: 300px) {
  .choices { margin-top: 8px; }
}
@media (prefers-reduced-motion: reduce) {
  .ring::before, .ring::after { animation: none; }
  .bar, .centre { transition: none; }
}
`);
