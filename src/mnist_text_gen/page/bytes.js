// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// Decoding for the page and its workers: pieces of the weights, and values of symbols.
"use strict";

// Five digits are four bytes, see `encode_base85` in writing.py.
function decodeBase85(text) {
  const bytes = new Uint8Array((text.length / 5) * 4);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index * 5 < text.length; index++) {
    let number = 0;
    for (let digit = index * 5; digit < index * 5 + 5; digit++) {
      const code = text.charCodeAt(digit);
      number = number * 85 + code - (code > 92 ? 36 : 35);
    }
    view.setUint32(index * 4, number);
  }
  return bytes;
}

// Pixels, 0 or 1, from values of symbols: six pixels each, most significant bit first.
function unpack(symbols, imageSize) {
  const image = new Uint8Array(imageSize ** 2), perSymbol = image.length / symbols.length;
  for (let pixel = 0; pixel < image.length; pixel++)
    image[pixel] = (symbols[Math.floor(pixel / perSymbol)] >> (perSymbol - 1 - (pixel % perSymbol))) & 1;
  return image;
}
