// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// Loading of weights from scripts, the only files that a page can read if it was opened as a file; and the workers.
"use strict";

const MAX_WORKERS = 4;
const BATCH = 64; // how many texts all workers can draw at the same time
const pieces = {}; // file name → its bytes and the fingerprint of all files of its kind

// Called by data/*.js.
function receive(name, index, fingerprint, sum, text) {
  const bytes = decodeBase85(text),
    view = new DataView(bytes.buffer);
  let found = 0;
  for (let place = 0; place < bytes.length; place += 4) found = (found + view.getUint32(place)) >>> 0;
  pieces[fileName(name, index)] = { bytes, fingerprint, isWhole: found === sum };
}

function fileName(name, index) {
  return `data/${name}-${String(index).padStart(2, "0")}.js`;
}

function readPiece(name, index) {
  const file = fileName(name, index),
    script = document.createElement("script");
  return new Promise((resolve, reject) => {
    script.src = file;
    script.onerror = () => reject(new Error(`${file} cannot be read; it must be beside index.html`));
    script.onload = () => {
      const piece = pieces[file];
      delete pieces[file];
      script.remove();
      if (!piece?.isWhole) reject(new Error(`${file} is damaged; write or download the page again`));
      else if (piece.fingerprint !== settings.files[name].fingerprint)
        reject(new Error(`${file} belongs to another page than this index.html`));
      else resolve(piece.bytes);
    };
    document.head.append(script);
  });
}

// The bytes of the tensors in data/`name`-*.js.
async function readContent(name, onProgress) {
  const { numPieces, numBytes } = settings.files[name];
  let numRead = 0;
  const reads = Array.from({ length: numPieces }, async (_, index) => {
    const bytes = await readPiece(name, index);
    onProgress((numRead += 1) / numPieces);
    return bytes;
  });
  const packed = new Blob(await Promise.all(reads)).slice(0, numBytes);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

function readWasm() {
  const wasm = Uint8Array.from(atob(textOf("wasm")), (symbol) => symbol.charCodeAt(0));
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(wasm))
    throw new Error(
      "this browser has no WebAssembly with SIMD; Chrome 91, Firefox 89, Safari 16.4 and later versions have it",
    );
  return wasm;
}

function textOf(id) {
  return document.getElementById(id).textContent;
}

// Workers with the same weights, which share the texts to be drawn.
class Pool {
  constructor(wasm, contents) {
    const size = Math.min(navigator.hardwareConcurrency || 1, MAX_WORKERS);
    const script = URL.createObjectURL(new Blob([textOf("engine"), textOf("worker")], { type: "text/javascript" }));
    this.numTexts = Math.ceil(BATCH / 8 / size) * 8; // per worker
    this.workers = Array.from({ length: size }, () => new Worker(script));
    this.ready = Promise.all(
      this.workers.map((worker) =>
        this.ask(worker, { type: "load", settings, wasm, contents, numTexts: this.numTexts }),
      ),
    );
  }

  // Sends a message and waits for the answer, the first message back that is not about rows.
  ask(worker, message, onRows) {
    return new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message || "a worker of this page cannot run"));
      worker.onmessage = ({ data }) => {
        if (data.type === "rows") onRows(data);
        else if (data.type === "error") reject(new Error(data.message));
        else resolve(data);
      };
      worker.postMessage(message);
    });
  }

  // The answers to requests, which have the keys of at most `numTexts` texts each; undefined for those stopped.
  async run(requests, onRows) {
    this.isStopped = false;
    const answers = Array(requests.length).fill(undefined);
    let next = 0;
    await Promise.all(
      this.workers.map(async (worker) => {
        while (next < requests.length && !this.isStopped) {
          const job = next++;
          const answer = await this.ask(worker, { type: "draw", request: requests[job] }, (rows) => onRows(job, rows));
          if (answer.type === "done") answers[job] = answer;
        }
      }),
    );
    return answers;
  }

  stop() {
    this.isStopped = true;
    for (const worker of this.workers) worker.postMessage({ type: "stop" });
  }

  close() {
    for (const worker of this.workers) worker.terminate();
  }
}
