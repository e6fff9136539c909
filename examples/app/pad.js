// The pad: the upper half of an image, 15 rows of 30 pixels for one, drawn with a pointer or with keys. Its value is a string of 0 and 1, row by row.
const canvas = element.querySelector("canvas"), context = canvas.getContext("2d");
const COLUMNS = Number(canvas.dataset.columns), ROWS = COLUMNS / 2, SCALE = canvas.width / COLUMNS;
const where = element.querySelector(".where"), erase = element.querySelector(".erase");
let pixels = [], cursor = [ROWS >> 1, COLUMNS >> 1], last = null;

function read() {
  pixels = Array.from(props.value || "0".repeat(ROWS * COLUMNS), Number);
  paint();
}

function paint() {
  for (let index = 0; index < ROWS * COLUMNS; index++) {
    context.fillStyle = pixels[index] ? "#fff" : "#000";
    context.fillRect((index % COLUMNS) * SCALE, Math.floor(index / COLUMNS) * SCALE, SCALE, SCALE);
  }
  if (document.activeElement === canvas) {
    context.strokeStyle = "#f60";
    context.lineWidth = 4;
    context.strokeRect(cursor[1] * SCALE + 2, cursor[0] * SCALE + 2, SCALE - 4, SCALE - 4);
  }
}

function put(row, column, ink) {
  if (row >= 0 && row < ROWS && column >= 0 && column < COLUMNS) pixels[row * COLUMNS + column] = ink;
}

// a brush of 2×2 pixels, for strokes as wide as MNIST's
function stroke(from, to) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) * 2));
  for (let step = 0; step <= steps; step++) {
    const row = Math.round(from[0] + (to[0] - from[0]) * step / steps);
    const column = Math.round(from[1] + (to[1] - from[1]) * step / steps);
    for (const [down, right] of [[-1, -1], [-1, 0], [0, -1], [0, 0]]) put(row + down, column + right, erase.checked ? 0 : 1);
  }
  paint();
}

function locate(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientY - box.top) / box.height * ROWS, (event.clientX - box.left) / box.width * COLUMNS];
}

function save() {
  props.value = pixels.join("");
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = locate(event);
  stroke(last, last);
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  const next = locate(event);
  stroke(last, next);
  last = next;
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => {
    if (last) save();
    last = null;
  });
}
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const move = moves[event.key];
  if (!move && event.key !== " ") return;
  event.preventDefault();
  if (move) {
    cursor = [(cursor[0] + move[0] + ROWS) % ROWS, (cursor[1] + move[1] + COLUMNS) % COLUMNS];
  } else {
    put(...cursor, 1 - pixels[cursor[0] * COLUMNS + cursor[1]]);
    save();
  }
  const ink = pixels[cursor[0] * COLUMNS + cursor[1]] ? "ink" : "blank";
  where.textContent = `Row ${cursor[0] + 1}, column ${cursor[1] + 1}: ${ink}`;
  paint();
});
for (const name of ["focus", "blur"]) canvas.addEventListener(name, paint);
element.querySelector(".clear").addEventListener("click", () => {
  pixels.fill(0);
  save();
  paint();
});
watch("value", read);
read();
