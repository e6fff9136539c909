// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// A worker of the page; the script that runs is engine.js followed by this file.
"use strict";

let engine, settings, stopped;

// Waits until messages such as "stop" have been handled. A timer would be slowed down in a hidden tab.
const channel = new MessageChannel();
const pause = () =>
  new Promise((resolve) => {
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });

const handlers = {
  load({ settings: given, wasm, contents, numTexts }) {
    settings = given;
    const tensors = {};
    for (const [name, content] of Object.entries(contents))
      Object.assign(tensors, readTensors(settings.files[name].tensors, content));
    engine = new Engine(new WebAssembly.Module(wasm), settings, tensors, numTexts);
    postMessage({ type: "ready" });
  },
  async draw({ request }) {
    stopped = false;
    const result = await engine.draw(request, async (numRows, symbols) => {
      postMessage({ type: "rows", numRows, symbols });
      await pause();
      return !stopped;
    });
    if (!result) return postMessage({ type: "stopped" });
    const { labels, symbols } = result;
    const images = labels.map((_, index) => engine.image(symbols, index));
    const texts = labels.map((label, index) => engine.text(label, symbols, index));
    postMessage({ type: "done", labels, images, texts, probabilities: engine.judge(images) });
  },
  stop() {
    stopped = true;
  },
};

self.onmessage = async ({ data }) => {
  try {
    await handlers[data.type](data);
  } catch (error) {
    postMessage({ type: "error", message: error.message || String(error) });
  }
};
