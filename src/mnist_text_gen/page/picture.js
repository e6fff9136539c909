// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// Pictures: canvases of pixels, figures with captions, and files to save.
"use strict";

// four bytes, red in the lowest
const [WHITE, BLACK, UNWRITTEN, WRITING] = [0xffffffff, 0xff000000, 0xff6e5446, 0xfff8b48a];

// Paints white on black. Rows from `numRows` on are not written yet; the first of them is marked as the next.
function paint(canvas, image, numRows = canvas.height) {
  const context = canvas.getContext("2d"), numWritten = numRows * canvas.width;
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer).fill(UNWRITTEN);
  pixels.fill(WRITING, numWritten, numWritten + canvas.width);
  for (let pixel = 0; pixel < numWritten; pixel++) pixels[pixel] = image[pixel] ? WHITE : BLACK;
  context.putImageData(picture, 0, 0);
}

function makeCanvas(width, height, description) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", description);
  return canvas;
}

// A button with a picture and a caption; without `onChoose` it cannot be pressed.
function makeFigure(size, description, caption, onChoose) {
  const figure = Object.assign(document.createElement("button"), { type: "button", disabled: !onChoose });
  if (!onChoose) figure.style.opacity = 1;
  const text = Object.assign(document.createElement("span"), { textContent: caption });
  figure.append(makeCanvas(size, size, description), text);
  if (onChoose) {
    figure.setAttribute("aria-pressed", "false");
    figure.addEventListener("click", () => onChoose(figure));
  }
  return figure;
}

function saveFile(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Saves one picture of all images, four per row, with pixels that are eight pixels wide.
function savePictures(name, images, size) {
  const scale = 8,
    gap = 8,
    perRow = Math.min(4, images.length);
  const step = size * scale + gap;
  const sheet = makeCanvas(perRow * step + gap, Math.ceil(images.length / perRow) * step + gap, "");
  const context = sheet.getContext("2d");
  context.fillStyle = "#888";
  context.fillRect(0, 0, sheet.width, sheet.height);
  images.forEach((image, index) =>
    image.forEach((pixel, place) => {
      context.fillStyle = pixel ? "#fff" : "#000";
      const [left, top] = [(index % perRow) * step + gap, Math.floor(index / perRow) * step + gap];
      context.fillRect(left + (place % size) * scale, top + Math.floor(place / size) * scale, scale, scale);
    }),
  );
  sheet.toBlob((blob) => saveFile(name, blob));
}

// A percentage, rounded down, so that only a score of 1 becomes 100 %.
function formatScore(score) {
  const hundredths = Math.floor(Math.fround(score) * 1e4 + 1e-6);
  return `${((score === 1 ? hundredths : Math.min(hundredths, 9999)) / 100).toFixed(2)} %`;
}
