// Run the engine of a page in Node: `node run_engine.js PAGE MODE [TEXTS] < requests.json`, MODE fast or exact.
// A request is [name, arguments], answered by the function of that name; the answers are one line of JSON.
const fs = require("node:fs"),
  path = require("node:path"),
  zlib = require("node:zlib");

const [folder, mode, numTexts = 64] = process.argv.slice(2);
const html = fs.readFileSync(path.join(folder, "index.html"), "utf8");
const embedded = (id) => html.match(new RegExp(`<script id="${id}"[^>]*>([^]*?)</scr` + "ipt>"))[1];
const library = { exports: {} };
new Function("module", embedded("engine"))(library);
const { Engine, readTensors, decodeBase85 } = library.exports;
const settings = JSON.parse(embedded("settings"));

function read(name) {
  const pieces = [];
  const receive = (name, index, fingerprint, sum, text) => (pieces[index] = decodeBase85(text));
  for (const file of fs.readdirSync(path.join(folder, "data")).filter((file) => file.startsWith(name)))
    new Function("receive", fs.readFileSync(path.join(folder, "data", file), "utf8"))(receive);
  const content = zlib.gunzipSync(Buffer.concat(pieces).subarray(0, settings.files[name].numBytes));
  return readTensors(settings.files[name].tensors, new Uint8Array(content).buffer);
}

const tensors = mode === "exact" ? { ...read("fast"), ...read("exact") } : read("fast");
const wasm = new WebAssembly.Module(Buffer.from(embedded("wasm"), "base64"));
const engine = new Engine(wasm, settings, tensors, Number(numTexts));

const answer = {
  noise: (key) => [...engine.noise(key)],
  // texts and probabilities of the classes
  async draw(request) {
    const { labels, symbols } = await engine.draw(request);
    const images = labels.map((_, index) => engine.image(symbols, index));
    return {
      labels,
      texts: labels.map((_, index) => engine.text(labels[index], symbols, index)),
      probabilities: engine.judge(images),
    };
  },
  // logits [texts][positions][vocabulary] of what follows each of the ids [texts][positions]
  logits(ids) {
    const logits = ids.map(() => []);
    for (let position = 0; position < ids[0].length; position++) {
      const of = engine.step(
        position,
        Int32Array.from(ids, (row) => row[position]),
        ids.length,
      );
      ids.forEach((_, row) => logits[row].push(settings.symbols.map((_, id) => of(row, id))));
    }
    return logits;
  },
  // nats [texts] of ids [texts][positions] behind the first
  nats(ids) {
    return this.logits(ids.map((row) => row.slice(0, -1))).map((positions, row) =>
      positions.reduce((sum, scores, position) => {
        const highest = Math.max(...scores);
        const normalizer = highest + Math.log(scores.reduce((one, score) => one + Math.exp(score - highest), 0));
        return sum + normalizer - scores[ids[row][position + 1]];
      }, 0),
    );
  },
  judge: (images) => engine.judge(images),
};

(async () => {
  const answers = [];
  for (const [name, request] of JSON.parse(fs.readFileSync(0, "utf8"))) answers.push(await answer[name](request));
  console.log(JSON.stringify(answers));
})();
