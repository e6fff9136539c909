// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// The page: reads the request from the form or the link, lets workers draw, selects candidates and shows them.
"use strict";

const MAX_SEED = 2n ** 64n - 1n;
const settings = JSON.parse(textOf("settings"));
const find = (selector) => document.querySelector(selector);
const size = settings.imageSize,
  numSymbolsPerRow = settings.numPixelSymbols / size;
const wholeImage = new Uint8Array(size * size);
const statusLines = { draw: find("#status"), complete: find("#pad-status") };
let wasm, pool, poolName, shown;
const contents = {}; // the bytes of the files that were read

function say(message, where = "draw", isError = false) {
  statusLines[where].textContent = message;
  statusLines[where].classList.toggle("error", isError);
}

function fail(error, where) {
  say(`That did not work: ${error.message || error}.`, where, true);
}

// ---- Loading

// A pool with the weights for a decoding. There is only one pool at a time.
async function getPool(decoding) {
  if (poolName === decoding) return pool;
  const names = decoding === "exact" ? ["fast", "exact"] : ["fast"];
  for (const name of names) contents[name] ??= await readContent(name, (share) => (find("#progress").value = share));
  find("#progress").removeAttribute("value");
  pool?.close();
  poolName = undefined;
  pool = new Pool(wasm, Object.fromEntries(names.map((name) => [name, contents[name]])));
  await pool.ready;
  poolName = decoding;
  return pool;
}

async function start() {
  showSettings();
  wasm = readWasm();
  await getPool("fast");
  setBusy(false);
  say(`Choose a ${settings.classWord}, and draw.`);
  await followLink();
}

// Disables the fields that cannot be changed while something is being drawn.
function setBusy(isBusy, canStop = false) {
  const hadFocus = document.activeElement;
  for (const id of ["#fields", "#pad-fields", "#draw"]) find(id).disabled = isBusy;
  find("#stop").disabled = !canStop;
  if (isBusy && canStop && [find("#draw"), document.body].includes(hadFocus)) find("#stop").focus();
  if (!isBusy && [find("#stop"), document.body].includes(hadFocus)) find("#draw").focus({ preventScroll: true });
  find("#progress").value = 0;
}

function showSettings() {
  const word = settings.classWord[0].toUpperCase() + settings.classWord.slice(1);
  find("#class-word").textContent = word;
  find("#temperature").value = settings.temperature;
  find("#candidates").value = settings.numCandidates;
  find("#pad-class").append(new Option("any", ""));
  settings.classNames.forEach((name, label) => {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: label });
    input.checked = label === 0;
    const option = document.createElement("label");
    option.append(input, name);
    find("#classes").append(option);
    find("#pad-class").append(new Option(name, label));
  });
  find("#form-of-text").textContent =
    `An image of ${size} × ${size} pixels is ${settings.numPixelSymbols} symbols, ${numSymbolsPerRow} per row, between the ` +
    `number of its class and ${settings.endSymbol}.`;
}

// ---- The request

function readRequest() {
  const label = Number(new FormData(find("#form")).get("class"));
  return {
    label,
    seed: readInteger("seed", 0n, MAX_SEED),
    numCandidates: Number(readInteger("candidates", 1n, 256n)),
    temperature: readTemperature(),
    decoding: find("#decoding").value,
    selection: find("#selection").value,
  };
}

function readInteger(id, smallest, largest) {
  const value = find(`#${id}`).value.trim();
  if (/^\d+$/.test(value) && BigInt(value) >= smallest && BigInt(value) <= largest) return BigInt(value);
  throw new Error(`${id} must be a whole number from ${smallest} to ${largest}, got ${value || "nothing"}`);
}

function readTemperature() {
  const value = find("#temperature").value.trim();
  if (/^\d*\.?\d+$/.test(value) && Number(value) > 0 && Number(value) <= 100) return Number(value);
  throw new Error(`temperature must be a number above 0, up to 100, got ${value || "nothing"}`);
}

// #class=7&seed=0&candidates=64&temperature=0.8&decoding=fast&selection=best
function writeLink({ label, seed, numCandidates, temperature, decoding, selection }) {
  const link = new URLSearchParams({
    class: label,
    seed,
    candidates: numCandidates,
    temperature,
    decoding,
    selection,
  });
  history.replaceState(null, "", `#${link}`);
}

// Fills the form from the link, and draws. The link may also have names of classes.
async function followLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  if (![...link].length || find("#draw").disabled) return;
  try {
    fillForm(link);
    readRequest();
  } catch (error) {
    return say(`The link cannot be followed: ${error.message}.`, "draw", true);
  }
  await run("draw", draw);
}

function fillForm(link) {
  for (const id of ["seed", "candidates", "temperature"]) if (link.has(id)) find(`#${id}`).value = link.get(id);
  for (const id of ["decoding", "selection"]) {
    const field = find(`#${id}`),
      allowed = Array.from(field.options, ({ value }) => value);
    if (link.has(id) && !allowed.includes(link.get(id)))
      throw new Error(`${id} must be ${allowed.join(" or ")}, got ${link.get(id)}`);
    field.value = link.get(id) ?? field.value;
  }
  const wanted = link.get("class") ?? "0";
  const label = /^\d$/.test(wanted) ? Number(wanted) : settings.classNames.indexOf(wanted);
  if (!(label in settings.classNames))
    throw new Error(`class must be one of ${settings.classNames.join(", ")}, got ${wanted}`);
  find(`input[value="${label}"]`).checked = true;
}

// Runs a task that draws, while the form is locked.
async function run(where, task) {
  let request;
  try {
    request = readRequest();
  } catch (error) {
    return fail(error, where);
  }
  setBusy(true);
  try {
    if (poolName !== request.decoding) say("Loading the model.", where);
    await getPool(request.decoding);
    setBusy(true, true);
    await task(request);
  } catch (error) {
    pool.close(); // other workers may still be drawing
    poolName = undefined;
    fail(error, where);
  } finally {
    setBusy(false);
  }
}

// ---- Drawing

async function draw(request) {
  const { label, seed, numCandidates, temperature } = request;
  writeLink(request);
  shown = undefined;
  for (const id of ["#best", "#reading", "#others"]) find(id).hidden = true;
  find("#drawing").hidden = false;
  const figures = Array.from({ length: numCandidates }, (_, index) => makeFigure(size, `Candidate ${index + 1}`, ""));
  figures.forEach((figure) => paint(figure.firstChild, wholeImage, 0));
  find("#drawing .figures").replaceChildren(...figures);
  say(`Drawing ${numCandidates} candidates.`);
  const perJob = Math.min(pool.numTexts, Math.ceil(numCandidates / 8 / pool.workers.length) * 8);
  const requests = [];
  for (let first = 0; first < numCandidates; first += perJob) {
    const keys = Array.from({ length: Math.min(perJob, numCandidates - first) }, (_, index) => [
      seed,
      label,
      0,
      first + index,
    ]);
    requests.push({ labels: [label], keys, temperature });
  }
  const startTime = performance.now();
  const answers = await pool.run(requests, showRows(figures, perJob));
  if (answers.includes(undefined)) return say("Stopped.");
  const seconds = (performance.now() - startTime) / 1000;
  const candidates = answers.flatMap(({ images, texts, probabilities }) =>
    texts.map((text, index) => ({ text, image: images[index], probabilities: probabilities[index] })),
  );
  candidates.forEach((candidate, index) => {
    const score = candidate.probabilities[label];
    Object.assign(candidate, {
      index,
      score,
      isRight: candidate.probabilities.indexOf(Math.max(...candidate.probabilities)) === label,
    });
  });
  find("#drawing").hidden = true;
  showCandidates(candidates, request, seconds);
}

// Shows texts as they grow, without animation frames, which a hidden page does not have.
function showRows(figures, perJob) {
  const numRowsOf = [];
  return (job, { numRows, symbols }) => {
    numRowsOf[job] = numRows;
    figures.slice(job * perJob, (job + 1) * perJob).forEach((figure, index) => {
      const values = symbols.subarray(index * settings.numPixelSymbols, (index + 1) * settings.numPixelSymbols);
      paint(figure.firstChild, unpack(values, size), numRows);
    });
    const numJobs = Math.ceil(figures.length / perJob);
    find("#progress").value = numRowsOf.reduce((one, other) => one + other, 0) / numJobs / size;
  };
}

function showCandidates(candidates, request, seconds) {
  shown = { candidates, request };
  const name = settings.classNames[request.label];
  const numTaken = candidates.filter(({ isRight }) => isRight).length;
  showSelection();
  say(
    `Done: ${candidates.length} candidates in ${seconds.toFixed(1)} s. The classifier takes ${numTaken} of them for ` +
      `${name}. ${Math.min(candidates.length, settings.numShown)} are shown first.`,
  );
}

function showSelection() {
  const selection = find("#selection").value;
  const { chosen, passedOver } = select(shown.candidates, selection, settings.numShown);
  const figures = chosen.map((candidate, rank) => {
    const words = formatScore(candidate.score);
    return makeCandidate(
      candidate,
      `Rank ${rank + 1}, candidate ${candidate.index + 1}: the classifier gives ${words}`,
      words,
    );
  });
  shown.chosen = chosen;
  find("#best-heading").textContent = selection === "best" ? "The best" : "Good ones that differ";
  find("#best .figures").replaceChildren(...figures);
  find("#best").hidden = find("#reading").hidden = false;
  read(chosen[0], figures[0]);
  showPassedOver(passedOver, selection);
}

function makeCandidate(candidate, description, words) {
  const figure = makeFigure(size, description, words, () => read(candidate, figure));
  paint(figure.firstChild, candidate.image);
  return figure;
}

// Shows the candidates that were not chosen: the classifier took them for another class, or preferred others.
function showPassedOver(passedOver, selection) {
  const describe = ({ index, isRight, probabilities, score }) => {
    const largest = Math.max(...probabilities),
      other = settings.classNames[probabilities.indexOf(largest)];
    const words = isRight ? formatScore(score) : `taken for ${other}, ${formatScore(largest)}`;
    return makeCandidate(shown.candidates[index], `Candidate ${index + 1}: ${words}`, words);
  };
  const [mistaken, right] = [false, true].map((isRight) =>
    passedOver.filter((candidate) => candidate.isRight === isRight),
  );
  const which =
    mistaken.length === 1 ? "this one" : mistaken.length ? `these ${mistaken.length}` : "none of the others";
  find("#others").hidden = !passedOver.length;
  find("#mistaken").textContent = `The classifier took ${which} for another ${settings.classWord}.`;
  find("#others > .figures").replaceChildren(...mistaken.map(describe));
  find("#right").hidden = !right.length;
  const why = selection === "best" ? "with lower scores" : "with lower scores, or too similar to those above";
  find("#right summary").textContent =
    `${right.length} more are taken for ${settings.classNames[shown.request.label]}, ${why}`;
  find("#right .figures").replaceChildren(...right.map(describe));
}

// Shows a candidate, enlarged, with the symbols of each row of pixels beside it.
function read({ text, image }, figure) {
  document.querySelectorAll("[aria-pressed]").forEach((other) => other.setAttribute("aria-pressed", other === figure));
  const canvas = find("#reading canvas");
  [canvas.width, canvas.height] = [size, size];
  find(".reading").style.setProperty("--size", size);
  paint(canvas, image);
  const rows = text.slice(1, -1).match(new RegExp(`.{${numSymbolsPerRow}}`, "g"));
  find("#reading pre").textContent = rows.join("\n");
  find("#reading-heading").textContent = `Its text, between ${text[0]} and ${text.at(-1)}`;
}

// ---- Completion

const NUM_COMPLETIONS = 8;

async function complete(request) {
  const chosen = find("#pad-class").value;
  const labels = chosen === "" ? settings.classNames.map((_, label) => label) : [Number(chosen)];
  // noise of its own, because no class has the number 10
  const keys = Array.from({ length: NUM_COMPLETIONS }, (_, index) => [
    request.seed,
    10,
    chosen === "" ? 10 : chosen,
    index,
  ]);
  const known = pack(pad.image);
  say("Drawing the other half.", "complete");
  const figures = keys.map((_, index) => makeFigure(size, `Completion ${index + 1}`, ""));
  find("#completion .figures").replaceChildren(...figures);
  const show = showRows(figures, NUM_COMPLETIONS);
  const requests = [{ labels, keys, known, temperature: request.temperature }];
  const [answer] = await pool.run(requests, show);
  if (!answer) return say("Stopped.", "complete");
  const { images, probabilities } = answer;
  const shown = images.map((image, index) => {
    const label = answer.labels[index],
      words = `${settings.classNames[label]}, ${formatScore(probabilities[index][label])}`;
    const figure = makeFigure(size, `Completion ${index + 1}: ${words}`, words);
    paint(figure.firstChild, image);
    return figure;
  });
  find("#completion .figures").replaceChildren(...shown);
  say("Done, in no particular order: each has its class, and the classifier's probability of it.", "complete");
}

// Values 0 to 63 of symbols, from pixels of 0 or 1.
function pack(image) {
  const perSymbol = (size * size) / settings.numPixelSymbols;
  return Array.from({ length: image.length / perSymbol }, (_, index) =>
    image.subarray(index * perSymbol, (index + 1) * perSymbol).reduce((value, pixel) => value * 2 + pixel, 0),
  );
}

const pad = new Pad(find("#pad"), size, () => find("#completion .figures").replaceChildren());

// ---- Controls

find("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!find("#draw").disabled) run("draw", draw);
});
find("#stop").addEventListener("click", () => pool.stop());
find("#random").addEventListener("click", () => {
  find("#seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  run("draw", draw);
});
find("#save-png").addEventListener("click", () => {
  savePictures(
    `${nameFiles()}.png`,
    shown.chosen.map(({ image }) => image),
    size,
  );
});
find("#save-text").addEventListener("click", () => {
  const lines = shown.chosen.map(({ text }) => `${text}\n`);
  saveFile(`${nameFiles()}.txt`, new Blob(lines, { type: "text/plain" }));
});
find("#copy-link").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied. It draws the same images again.");
  } catch {
    say(`The link is ${location.href}`);
  }
});
find("#selection").addEventListener("change", () => {
  if (!shown) return;
  shown.request.selection = find("#selection").value;
  showSelection();
  writeLink(shown.request);
});
find("#complete").addEventListener("click", () => run("complete", complete));
find("#clear").addEventListener("click", () => pad.clear());
find("#upload").addEventListener("change", async ({ target }) => {
  try {
    await pad.read(target.files[0]);
    say("", "complete");
  } catch (error) {
    fail(error, "complete");
  }
  target.value = "";
});
window.addEventListener("hashchange", followLink);

function nameFiles() {
  return `${shown.request.label}-seed-${shown.request.seed}`;
}

start().catch(fail);
