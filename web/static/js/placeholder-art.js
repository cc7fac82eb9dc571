// @ts-check
// What is shown in place of a picture: kawung, the oldest batik pattern, in colours that follow from a name.

const colours = [ // of the cloth, the petals and the heart
  ["#26327a", "#5566c8", "#e6ab63"],
  ["#6b3d10", "#b5793a", "#f5e6ce"],
  ["#7d2217", "#c4574a", "#f5d9a8"],
  ["#1d4a3a", "#4b9274", "#f0d9a0"],
  ["#47275f", "#8a62ab", "#f2c6b8"],
  ["#1c4257", "#4d8ba8", "#f4cf9b"],
];

/**
 * hash is FNV-1a, and one more round: without that, similar names would look alike.
 * @param {string} text
 */
function hash(text) {
  let n = 2166136261;
  for (const c of text) n = Math.imul(n ^ (c.codePointAt(0) ?? 0), 16777619);
  n = Math.imul(n ^ (n >>> 15), 0x2c1b3c6d);
  return (n ^ (n >>> 13)) >>> 0;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} name
 */
export function drawPlaceholder(canvas, name) {
  const n = hash(name);
  const [cloth, petals, heart] = colours[n % colours.length];
  const { width, height } = canvas;
  const g = canvas.getContext("2d");
  if (!g) return;
  const cell = width / (5 + ((n >>> 8) % 3));
  g.fillStyle = cloth;
  g.fillRect(0, 0, width, height);
  for (let row = -1; row * cell < height + cell; row++) {
    for (let column = -1; column * cell < width + cell; column++) {
      const x = (column + 0.5) * cell + ((n >>> 12) % 2 ? cell / 2 : 0);
      const y = (row + 0.5) * cell;
      // Light from one corner keeps the pattern from looking like wallpaper.
      const glow = 1 - Math.hypot(x - width * 0.2, y) / Math.hypot(width, height);
      g.globalAlpha = 0.22 + 0.6 * Math.max(0, glow);
      g.fillStyle = petals;
      for (let i = 0; i < 4; i++) {
        const turn = Math.PI / 4 + (i * Math.PI) / 2;
        g.beginPath();
        const [px, py] = [x + Math.cos(turn) * cell * 0.34, y + Math.sin(turn) * cell * 0.34];
        g.ellipse(px, py, cell * 0.32, cell * 0.175, turn, 0, 2 * Math.PI);
        g.fill();
      }
      g.fillStyle = heart;
      g.beginPath();
      g.arc(x, y, cell * 0.055, 0, 2 * Math.PI);
      g.fill();
    }
  }
  g.globalAlpha = 1;
}
