// The pad: an image, drawn with a pointer or with keys. Its value has a figure for each pixel, row by row: 0 is blank and 1 ink; 2 and 3 are the same, but not known.
const UNKNOWN = 2, COLORS = ["#000", "#fff", "#46546e", "#7d8aa5"];
const canvas = element.querySelector("canvas"), context = canvas.getContext("2d"), where = element.querySelector(".where");
const SIZE = Number(canvas.dataset.columns), SCALE = canvas.width / SIZE;
let pixels = [], cursor = [SIZE >> 2, SIZE >> 1], last = null;

function read() {
  pixels = Array.from(props.value, Number);
  paint();
}

function paint() {
  pixels.forEach((pixel, index) => {
    context.fillStyle = COLORS[pixel];
    context.fillRect((index % SIZE) * SCALE, Math.floor(index / SIZE) * SCALE, SCALE, SCALE);
  });
  if (document.activeElement === canvas) {
    context.strokeStyle = "#f60";
    context.lineWidth = 4;
    context.strokeRect(cursor[1] * SCALE + 2, cursor[0] * SCALE + 2, SCALE - 4, SCALE - 4);
  }
}

const brush = () => Number(element.querySelector("input:checked").value);

function put(row, column) {
  if (row < 0 || row >= SIZE || column < 0 || column >= SIZE) return;
  const index = row * SIZE + column;
  pixels[index] = brush() === UNKNOWN ? UNKNOWN | pixels[index] : brush();
}

// 2×2 pixels, for strokes as wide as MNIST's, and twice that to make pixels unknown
function stroke(from, to) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) * 2)), half = brush() === UNKNOWN ? 2 : 1;
  for (let step = 0; step <= steps; step++) {
    const [row, column] = [0, 1].map((axis) => Math.round(from[axis] + ((to[axis] - from[axis]) * step) / steps));
    for (let down = -half; down < half; down++) for (let right = -half; right < half; right++) put(row + down, column + right);
  }
  paint();
}

function locate(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientY - box.top) / box.height) * SIZE, ((event.clientX - box.left) / box.width) * SIZE];
}

function save() {
  paint();
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
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move && event.key !== " ") return;
  event.preventDefault();
  const index = () => cursor[0] * SIZE + cursor[1];
  if (move) {
    cursor = cursor.map((place, axis) => (place + move[axis] + SIZE) % SIZE);
  } else {
    // a second time takes it back
    if (brush() === UNKNOWN) pixels[index()] ^= UNKNOWN;
    else pixels[index()] = pixels[index()] === brush() ? 1 - brush() : brush();
    save();
  }
  const pixel = ["blank", "ink", "unknown", "unknown"][pixels[index()]];
  where.textContent = `Row ${cursor[0] + 1}, column ${cursor[1] + 1}: ${pixel}`;
  paint();
});
for (const name of ["focus", "blur"]) canvas.addEventListener(name, paint);
element.querySelector(".clear").addEventListener("click", () => {
  pixels = pixels.map((pixel) => pixel & UNKNOWN);
  save();
});
// what was drawn under what is not known is kept
const KEEP = {
  upper: (row) => row < SIZE >> 1,
  lower: (row) => row >= SIZE >> 1,
  left: (row, column) => column < SIZE >> 1,
  right: (row, column) => column >= SIZE >> 1,
  none: () => false,
};
for (const button of element.querySelectorAll("[data-keep]")) {
  button.addEventListener("click", () => {
    const keep = KEEP[button.dataset.keep];
    pixels = pixels.map((pixel, index) => (pixel & 1) | (keep(Math.floor(index / SIZE), index % SIZE) ? 0 : UNKNOWN));
    save();
  });
}
watch("value", read);
read();
