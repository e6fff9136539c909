// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// The engine: engine.wasm with its weights, the decoding rules, and the classifier. It runs in a worker of the page,
// and in Node for the tests.
"use strict";

const GROUP = 8; // texts that are computed side by side, see kernels.h
const FINISH = { gelu_tanh: 2, gelu_erf: 3 };
const pad = (n) => (n + 3) & ~3;

// Maps names to arrays of the tensors that follow each other in `buffer`, each at a multiple of 4 bytes.
function readTensors(index, buffer) {
  const tensors = {};
  let offset = 0;
  for (const [name, dtype, shape] of index) {
    const size = shape.reduce((one, other) => one * other, 1);
    const values = dtype === "int8" ? new Int8Array(buffer, offset, size) : new Float32Array(buffer, offset, size);
    tensors[name] = { values, shape };
    offset = pad(offset + values.byteLength);
  }
  return tensors;
}

class Engine {
  // `module` is a WebAssembly.Module, and `numTexts` the number of texts that it can draw at the same time.
  constructor(module, settings, tensors, numTexts) {
    this.settings = settings;
    this.wasm = new WebAssembly.Instance(module).exports;
    this.tensors = tensors;
    this.numTexts = numTexts;
    this.staging = this.alloc(Math.max(...Object.values(tensors).map(({ values }) => values.byteLength)));
    this.loadModel(settings.model);
    this.loadClassifier();
    const numNoise = settings.numPixelSymbols * settings.numSymbolValues;
    [this.words, this.uniform] = [this.alloc(64), this.alloc(8 * numNoise)];
    this.tensors = undefined;
  }

  alloc(numBytes) {
    return this.wasm.alloc(numBytes) >>> 0 || this.refuseMemory();
  }

  refuseMemory() {
    throw new Error("there is not enough memory; close other pages, or draw fewer candidates");
  }

  floats(address, length) {
    return new Float32Array(this.wasm.memory.buffer, address, length);
  }

  put(name) {
    const { values } = this.tensors[name];
    const address = this.alloc(values.byteLength);
    this.floats(address, values.length).set(values);
    return address;
  }

  // A weight [K][N] in float32, or in int8 with a scale per column, and its bias [N], if any.
  putMatrix(name, bias) {
    const { values, shape } = this.tensors[name];
    const scales = this.tensors[`${name}.scales`];
    const addresses = [values instanceof Int8Array && `${name}.scales`, bias].map((part) =>
      part ? this.put(part) : 0,
    );
    new values.constructor(this.wasm.memory.buffer, this.staging, values.length).set(values);
    return this.wasm.matrix(this.staging, ...addresses, ...shape) || this.refuseMemory();
  }

  loadModel(model) {
    const { width, heads, layers, inner, positions, vocabulary, activation, epsilon } = model;
    const sizes = [width, heads, layers, inner, positions, vocabulary];
    this.wasm.model(...sizes, FINISH[activation], epsilon) || this.refuseMemory();
    for (let index = 0; index < layers; index++) {
      const norm = (name) => [this.put(`h.${index}.${name}.weight`), this.put(`h.${index}.${name}.bias`)];
      const linear = (name) => this.putMatrix(`h.${index}.${name}.weight`, `h.${index}.${name}.bias`);
      const attention = [...norm("ln_1"), linear("attn.c_attn"), linear("attn.c_proj")];
      const mlp = [...norm("ln_2"), linear("mlp.c_fc"), linear("mlp.c_proj")];
      this.wasm.layer(index, ...attention, ...mlp, model.attentionScales[index]);
    }
    const ends = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"].map((name) => this.put(name));
    this.wasm.ends(...ends, this.putMatrix("lm_head.weight"));
    this.wasm.room(Math.ceil(this.numTexts / GROUP)) || this.refuseMemory();
  }

  loadClassifier() {
    const { imageSize, channels } = this.settings;
    this.stages = channels.map((_, stage) =>
      [0, 1].map((part) => this.putMatrix(`stages.${stage}.${part}.weight`, `stages.${stage}.${part}.bias`)),
    );
    this.linear = this.putMatrix("classifier.weight", "classifier.bias");
    const widths = channels.map((number, stage) => (imageSize >> stage) * pad(number));
    const largest = Math.max(imageSize ** 2 * 4, ...widths.map((width, stage) => width * (imageSize >> stage)));
    this.images = [this.alloc(largest * GROUP * 4), this.alloc(largest * GROUP * 4)];
    this.patches = this.alloc(Math.max(...widths.map((width) => width * 9), imageSize * 12) * GROUP * 4);
    this.scores = this.alloc(pad(this.settings.classNames.length) * GROUP * 4);
  }

  // Logits of the tokens after `position`, for the first `numRows` texts, as a function of row and id.
  step(position, ids, numRows) {
    new Int32Array(this.wasm.memory.buffer, this.wasm.ids_at(), numRows).set(ids.subarray(0, numRows));
    this.wasm.step(position, Math.ceil(numRows / GROUP));
    const stride = pad(this.settings.model.vocabulary) * GROUP;
    const logits = this.floats(this.wasm.logits_at(), Math.ceil(numRows / GROUP) * stride);
    return (row, id) => logits[Math.floor(row / GROUP) * stride + id * GROUP + (row % GROUP)];
  }

  // Gumbel noise [symbol][value] of one text, in float32 as in Python; `key` has integers, such as seed and index.
  noise(key) {
    const words = key.flatMap(splitInteger);
    new Uint32Array(this.wasm.memory.buffer, this.words, words.length).set(words);
    const size = this.settings.numPixelSymbols * this.settings.numSymbolValues;
    this.wasm.uniform(this.words, words.length, this.uniform, size);
    const noise = new Float32Array(size), uniform = new Float64Array(this.wasm.memory.buffer, this.uniform, size);
    for (let index = 0; index < size; index++) noise[index] = -Math.log(-Math.log(uniform[index]));
    return noise;
  }

  // Draws one text per key; `keys[i]` is the seed of the noise of text i. All texts begin with the symbols `known`. If
  // there are several `labels`, the class of a text is drawn from p(class | known), with all classes equally likely a
  // priori. `onRow` is called whenever a row of pixels is written, and may return a promise. If its value is false,
  // drawing stops and the result is undefined. Result: labels, and values 0 to 63 of the symbols, [texts][symbols].
  async draw({ labels, keys, known = [], temperature }, onRow = () => true) {
    const { numPixelSymbols, numSymbolValues, imageSize } = this.settings;
    const numTexts = keys.length,
      perRow = numPixelSymbols / imageSize;
    const noise = keys.map((key) => this.noise(key));
    const texts = new Texts(this, labels, numTexts);
    const symbols = new Uint8Array(numTexts * numPixelSymbols);
    for (let position = 0; position < numPixelSymbols; position++) {
      const logits = this.step(position, texts.ids, texts.numRows);
      if (position < known.length) {
        texts.extend(known[position], logits, temperature);
        for (let text = 0; text < numTexts; text++) symbols[text * numPixelSymbols + position] = known[position];
      } else {
        if (position === known.length) texts.drawLabels(noise);
        texts.branch(position, (row, text) => {
          const values = noise[text].subarray(position * numSymbolValues, (position + 1) * numSymbolValues);
          const value = this.choose(logits, row, values, temperature);
          symbols[text * numPixelSymbols + position] = value;
          return value;
        });
      }
      if ((position + 1) % perRow === 0 && !(await onRow((position + 1) / perRow, symbols))) return undefined;
    }
    return { labels: texts.labels, symbols };
  }

  // argmax(logits / T + noise), a sample of softmax(logits / T), over pixel symbols only; in float32 as in Python.
  choose(logits, row, noise, temperature) {
    let best = 0,
      highest = -Infinity;
    for (let value = 0; value < noise.length; value++) {
      const score = Math.fround(
        Math.fround(logits(row, this.settings.firstPixelId + value) / temperature) + noise[value],
      );
      if (score > highest) [best, highest] = [value, score];
    }
    if (highest === -Infinity)
      throw new Error("the language model must return finite logits, got NaN; its weights may overflow");
    return best;
  }

  // The classifier's probabilities [images][classes]; an image has pixels of 0 or 1, row by row.
  judge(images) {
    const { imageSize, channels, classNames, classifierTemperature } = this.settings;
    const results = [];
    for (let first = 0; first < images.length; first += GROUP) {
      let [from, to] = this.images,
        size = imageSize;
      const pixels = this.floats(from, size * size * 4 * GROUP).fill(0);
      images
        .slice(first, first + GROUP)
        .forEach((image, index) => image.forEach((pixel, place) => (pixels[place * 4 * GROUP + index] = pixel)));
      channels.forEach((number, stage) => {
        for (const matrix of this.stages[stage]) {
          this.wasm.convolve(matrix, from, to, this.patches, size);
          [from, to] = [to, from];
        }
        this.wasm.pool(from, to, size, pad(number));
        [from, to, size] = [to, from, size >> 1];
      });
      this.wasm.linear(this.linear, from, this.scores);
      const logits = this.floats(this.scores, classNames.length * GROUP);
      for (let index = 0; index < Math.min(GROUP, images.length - first); index++)
        results.push(softmax(classNames.map((_, label) => logits[label * GROUP + index] / classifierTemperature)));
    }
    return results;
  }

  text(label, symbols, index) {
    const { firstPixelId, numPixelSymbols, symbols: names, endSymbol } = this.settings;
    const values = symbols.subarray(index * numPixelSymbols, (index + 1) * numPixelSymbols);
    return [label, ...Array.from(values, (value) => firstPixelId + value)].map((id) => names[id]).join("") + endSymbol;
  }

  // The pixels, 0 or 1, of text `index`.
  image(symbols, index) {
    const { numPixelSymbols, imageSize } = this.settings;
    return unpack(symbols.subarray(index * numPixelSymbols, (index + 1) * numPixelSymbols), imageSize);
  }
}

// Texts that are equal so far share one row of the engine. Where they begin to differ, the row is copied.
class Texts {
  constructor(engine, labels, numTexts) {
    this.engine = engine;
    this.labels = Array(numTexts).fill(labels[0]);
    this.rowLabels = labels;
    this.rows = new Int32Array(numTexts); // the row of each text
    this.numRows = labels.length;
    this.ids = new Int32Array(Math.max(numTexts, labels.length));
    this.ids.set(labels);
    this.logProbabilities = labels.map(() => 0); // of the known symbols, per row
  }

  extend(value, logits, temperature) {
    const { firstPixelId, numSymbolValues } = this.engine.settings;
    for (let row = 0; row < this.numRows; row++) {
      const scores = Array.from(
        { length: numSymbolValues },
        (_, index) => logits(row, firstPixelId + index) / temperature,
      );
      this.logProbabilities[row] += Math.log(softmax(scores)[value]);
      this.ids[row] = firstPixelId + value;
    }
  }

  // Draws each text's class from p(class | known), with the noise of its first symbol, which is known and not drawn.
  drawLabels(noise) {
    if (this.rowLabels.length === 1) return;
    this.rows.forEach((_, text) => {
      const scores = this.logProbabilities.map((score, row) => score + noise[text][row]);
      this.rows[text] = scores.indexOf(Math.max(...scores));
      this.labels[text] = this.rowLabels[this.rows[text]];
    });
  }

  branch(position, choose) {
    const heirs = new Map(); // row and value → row
    const taken = new Set(); // rows in which a text already continues
    const { firstPixelId, numSymbolValues } = this.engine.settings;
    this.rows.forEach((row, text) => {
      const value = choose(row, text);
      const key = row * numSymbolValues + value;
      if (!heirs.has(key)) {
        const heir = taken.has(row) ? this.freeRow(row, position + 1) : row;
        taken.add(row);
        heirs.set(key, heir);
        this.ids[heir] = firstPixelId + value;
      }
      this.rows[text] = heirs.get(key);
    });
    this.numRows = Math.max(...this.rows) + 1;
  }

  freeRow(row, numPositions) {
    const used = new Set(this.rows);
    let free = 0;
    while (used.has(free)) free++;
    this.engine.wasm.fork(row, free, numPositions);
    return free;
  }
}

function splitInteger(integer) {
  const words = [];
  for (let rest = BigInt(integer); rest || !words.length; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  return words;
}

function softmax(scores) {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

if (typeof module !== "undefined") module.exports = { Engine, readTensors, decodeBase85 };
