// The worker: the language model writes texts, the classifier judges their images. In the script that runs,
// ONNX Runtime Web, `ort`, stands in front of this.
"use strict";

const TEMPERATURE = 0.8;
const CLASSIFIER_TEMPERATURE = 0.8;
let settings, languageModel, classifier;

self.onmessage = async ({ data }) => {
  try {
    await (data.type === "load" ? load(data) : draw(data));
  } catch (error) {
    postMessage({ type: "error", message: error.message || String(error), isReady: Boolean(classifier) });
  }
};

async function load({ settings: given, files }) {
  settings = given;
  // more threads need shared memory, which a page has only where its server sends headers for it
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = files.wasm;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([files.glue], { type: "text/javascript" })) };
  languageModel = await ort.InferenceSession.create(files.languageModel);
  classifier = await ort.InferenceSession.create(files.classifier);
  postMessage({ type: "ready" });
}

async function draw({ label, numCandidates, seed }) {
  const start = performance.now();
  const texts = await writeTexts(label, numCandidates, seed);
  const images = texts.map(readImage);
  const probabilities = await judge(images);
  const candidates = texts.map((ids, index) => ({
    index,
    text: ids.map((id) => settings.symbols[id]).join("") + settings.endSymbol,
    image: images[index],
    score: probabilities[index][label],
  }));
  candidates.sort((one, other) => other.score - one.score);
  const numTaken = probabilities.filter((row) => row.indexOf(Math.max(...row)) === label).length;
  postMessage({ type: "done", label, candidates, numTaken, seconds: (performance.now() - start) / 1000 });
}

// Ids of the class and of all pixel symbols, one array a candidate. Only pixel symbols may follow the class.
async function writeTexts(label, numCandidates, seed) {
  const { symbols, numPixelSymbols, imageSize } = settings;
  const texts = Array.from({ length: numCandidates }, () => [label]);
  const noise = texts.map((_, index) => makeUniform(seed, label, index));
  const symbolsARow = numPixelSymbols / imageSize;
  let cache = emptyCache(numCandidates);
  for (let position = 0; position < numPixelSymbols; position++) {
    const { logits, ...present } = await languageModel.run({
      input_ids: integers(texts.map((ids) => ids[position]), [numCandidates, 1]),
      attention_mask: integers(Array(numCandidates * (position + 1)).fill(1), [numCandidates, position + 1]),
      position_ids: integers(Array(numCandidates).fill(position), [numCandidates, 1]),
      ...cache,
    });
    cache = Object.fromEntries(Object.entries(present).map(([name, states]) => [pastName(name), states]));
    texts.forEach((ids, row) => {
      const scores = logits.data.subarray(row * symbols.length, (row + 1) * symbols.length);
      ids.push(sample(scores, noise[row]));
    });
    if ((position + 1) % symbolsARow === 0) {
      postMessage({ type: "rows", numRows: (position + 1) / symbolsARow, images: texts.map(readImage) });
    }
  }
  return texts;
}

function integers(values, dims) {
  return new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
}

function pastName(name) {
  return name.replace("present", "past_key_values");
}

function emptyCache(numCandidates) {
  const dims = [numCandidates, settings.numHeads, 0, settings.headSize];
  const names = languageModel.outputNames.filter((name) => name.startsWith("present."));
  return Object.fromEntries(names.map((name) => [pastName(name), new ort.Tensor("float32", new Float32Array(0), dims)]));
}

// A pixel symbol from softmax(scores / TEMPERATURE): the largest of the logits with Gumbel noise, −log(−log u)
function sample(scores, uniform) {
  let best = -1, highest = -Infinity;
  for (let id = settings.firstPixelId; id < settings.endPixelId; id++) {
    const score = scores[id] / TEMPERATURE - Math.log(-Math.log(uniform()));
    if (score > highest) [best, highest] = [id, score];
  }
  return best;
}

// Uniform numbers in (0, 1): sfc32 from PractRand by Chris Doty-Humphrey, seeded with three 32-bit words. So a
// candidate depends on the seed, its class and its own number, and, but for the last bits of matrix products, not on
// how many others are drawn.
function makeUniform(a, b, c) {
  let counter = 1;
  const next = () => {
    const output = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + output) | 0;
    return output >>> 0;
  };
  for (let round = 0; round < 15; round++) next();
  return () => (next() + 0.5) / 2 ** 32;
}

// 0 or 1 for each pixel; those that are not written yet are 0
function readImage(ids) {
  const { imageSize, numPixelSymbols, firstPixelId } = settings;
  const image = new Uint8Array(imageSize * imageSize);
  const pixelsASymbol = image.length / numPixelSymbols;
  ids.slice(1).forEach((id, position) => {
    for (let pixel = 0; pixel < pixelsASymbol; pixel++) {
      image[position * pixelsASymbol + pixel] = ((id - firstPixelId) >> (pixelsASymbol - 1 - pixel)) & 1;
    }
  });
  return image;
}

// the classifier's probabilities of all classes, for each image
async function judge(images) {
  const { imageSize, classNames } = settings;
  const pixels = Float32Array.from(images.flatMap((image) => Array.from(image)));
  const { logits } = await classifier.run({
    pixel_values: new ort.Tensor("float32", pixels, [images.length, 1, imageSize, imageSize]),
  });
  return images.map((_, index) => {
    const row = logits.data.subarray(index * classNames.length, (index + 1) * classNames.length);
    return softmax(Array.from(row, (logit) => logit / CLASSIFIER_TEMPERATURE));
  });
}

// in single precision at the end, as Python's scores are
function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => Math.fround(power / sum));
}
