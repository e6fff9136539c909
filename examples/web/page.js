// The page: it unpacks the models, gives them to a worker, and shows what the worker draws.
// All scripts are classic ones and all data are scripts, for a page that was opened as a file may read nothing else.
"use strict";

const NUM_SHOWN = 8;
const ROWS_A_MESSAGE = 6;
// the files in data/ put themselves in here
const packed = {};
const form = document.querySelector("form"), button = document.querySelector("button");
const statusLine = document.querySelector("#status");
const best = document.querySelector("#best"), all = document.querySelector("#all");
let settings, worker;

function say(message, isError = false) {
  statusLine.textContent = message;
  statusLine.classList.toggle("error", isError);
}

function fail(error) {
  say(`That did not work: ${error.message || error}`, true);
}

function read(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = () => (name in packed ? resolve(packed[name]) : reject(new Error(`${script.src} is damaged.`)));
    script.onerror = () => reject(new Error(`${script.src} cannot be read.`));
    document.head.append(script);
  });
}

// base64 of gzip → bytes
async function unpack(name) {
  const symbols = atob(await read(name));
  delete packed[name];
  const bytes = Uint8Array.from(symbols, (symbol) => symbol.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function start() {
  settings = await read("settings");
  showClasses();
  const [code, glue, wasm, languageModel, classifier] = await Promise.all(
    ["worker", "glue", "wasm", "language_model", "classifier"].map(unpack),
  );
  worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => handlers[data.type](data);
  worker.onerror = fail;
  const files = { glue, wasm, languageModel, classifier };
  worker.postMessage({ type: "load", settings, files }, Object.values(files));
}

function showClasses() {
  settings.classNames.forEach((name, label) => {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: label });
    input.checked = label === 0;
    const option = document.createElement("label");
    option.append(input, name);
    document.querySelector("#classes").append(option);
  });
}

function readNumber(id) {
  const { value, min, max } = document.getElementById(id);
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < Number(min) || number > Number(max)) {
    throw new Error(`${id} is ${value || "empty or no number"}; allowed is a whole number from ${min} to ${max}.`);
  }
  return number;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (button.disabled) return;
  let request;
  try {
    const label = Number(new FormData(form).get("class"));
    request = { type: "draw", label, numCandidates: readNumber("candidates"), seed: readNumber("seed") };
  } catch (error) {
    say(error.message, true);
    return;
  }
  button.disabled = true;
  best.hidden = true;
  all.hidden = false;
  const figures = Array.from({ length: request.numCandidates }, (_, index) => makeFigure(`Candidate ${index + 1}`));
  all.querySelector(".figures").replaceChildren(...figures);
  say(`Row 0 of ${settings.imageSize}.`);
  worker.postMessage(request);
});

const handlers = {
  ready() {
    button.disabled = false;
    say("Choose a class, and draw.");
  },
  rows({ numRows, images }) {
    all.querySelectorAll("canvas").forEach((canvas, index) => paint(canvas, images[index]));
    if (numRows % ROWS_A_MESSAGE === 0) say(`Row ${numRows} of ${settings.imageSize}.`);
  },
  done({ label, candidates, numTaken, seconds }) {
    const shown = candidates.slice(0, NUM_SHOWN);
    best.querySelector(".figures").replaceChildren(...shown.map(showCandidate));
    best.querySelector(".texts").replaceChildren(...shown.map(showText));
    all.querySelector(".figures").replaceChildren(...candidates.map(showCandidate));
    best.hidden = false;
    button.disabled = false;
    say(
      `Done: ${candidates.length} candidates in ${seconds.toFixed(1)} s. The classifier takes ${numTaken} of them for ` +
        `${settings.classNames[label]}. The best ${shown.length} are shown first.`,
    );
  },
  error({ message, isReady }) {
    button.disabled = !isReady;
    fail(message);
  },
};

function makeFigure(description, caption = "") {
  const canvas = Object.assign(document.createElement("canvas"), {
    width: settings.imageSize,
    height: settings.imageSize,
  });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", description);
  paint(canvas, new Uint8Array(settings.imageSize ** 2));
  const figure = document.createElement("figure");
  figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: caption }));
  return figure;
}

function showCandidate({ index, image, score }, rank) {
  const words = formatScore(score);
  const figure = makeFigure(`Rank ${rank + 1}, candidate ${index + 1}: the classifier gives ${words}`, words);
  paint(figure.querySelector("canvas"), image);
  return figure;
}

function showText({ text }) {
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("code"), { textContent: text }));
  return item;
}

// white on black; `image` has a 0 or 1 for each pixel, row by row
function paint(canvas, image) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  image.forEach((pixel, index) => picture.data.set([255 * pixel, 255 * pixel, 255 * pixel, 255], 4 * index));
  context.putImageData(picture, 0, 0);
}

// rounded down, so that it says 100 only where it is 1
function formatScore(score) {
  const hundredths = Math.floor(score * 1e4 + 1e-6);
  return `${((score === 1 ? hundredths : Math.min(hundredths, 9999)) / 100).toFixed(2)} %`;
}

start().catch(fail);
