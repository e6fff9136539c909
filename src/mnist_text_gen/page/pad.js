// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
// The pad: the user draws an upper half with a pointer or the keyboard, or uploads a picture.
"use strict";

const WIDE = 1.5; // a picture that is at least this many times as wide as high is only the upper half

class Pad {
  constructor(canvas, size, onChange) {
    [this.canvas, this.size, this.onChange] = [canvas, size, onChange];
    [canvas.width, canvas.height] = [size, size / 2];
    this.cursor = [Math.floor(size / 2), Math.floor(size / 4)];
    canvas.addEventListener("pointerdown", (event) => {
      if (this.isLocked()) return;
      canvas.setPointerCapture(event.pointerId);
      this.erasing = event.button === 2 || event.shiftKey;
      this.stroke(event);
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && this.stroke(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("focus", () => this.show());
    canvas.addEventListener("blur", () => this.show());
    this.clear();
  }

  isLocked() {
    return this.canvas.closest("fieldset").disabled;
  }

  clear() {
    this.set(new Uint8Array((this.size * this.size) / 2));
  }

  set(image) {
    this.image = image;
    this.show();
    this.onChange();
  }

  show() {
    paint(this.canvas, this.image);
    if (this.canvas !== document.activeElement || !this.canvas.matches(":focus-visible")) return;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#8ab4f8b0";
    context.fillRect(...this.cursor, 1, 1);
  }

  // Draws ink, two pixels wide, at all places since the last event.
  stroke(event) {
    const box = this.canvas.getBoundingClientRect();
    for (const { clientX, clientY } of event.getCoalescedEvents?.().concat(event) ?? [event]) {
      const x = ((clientX - box.left) / box.width) * this.size,
        y = (((clientY - box.top) / box.height) * this.size) / 2;
      for (let row = Math.floor(y - 0.8); row <= y + 0.8; row++)
        for (let column = Math.floor(x - 0.8); column <= x + 0.8; column++)
          if (row >= 0 && row < this.size / 2 && column >= 0 && column < this.size)
            this.image[row * this.size + column] = this.erasing ? 0 : 1;
    }
    this.show();
    this.onChange();
  }

  press(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (this.isLocked() || (!step && event.key !== " ")) return;
    event.preventDefault();
    const limits = [this.size - 1, this.size / 2 - 1];
    if (step) this.cursor = this.cursor.map((place, axis) => Math.min(Math.max(place + step[axis], 0), limits[axis]));
    else this.image[this.cursor[1] * this.size + this.cursor[0]] ^= 1;
    this.show();
    if (!step) this.onChange();
  }

  // Ink may be bright on dark or dark on bright: most of the rim is background.
  async read(file) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      throw new Error(`${file.name} must be a picture that this browser can read`);
    }
    const height = bitmap.width >= WIDE * bitmap.height ? this.size / 2 : this.size;
    const canvas = makeCanvas(this.size, height, "");
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff"; // behind transparent pixels
    context.fillRect(0, 0, this.size, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, this.size, height);
    const { data } = context.getImageData(0, 0, this.size, height);
    const grey = Array.from({ length: this.size * height }, (_, pixel) => {
      return 0.299 * data[4 * pixel] + 0.587 * data[4 * pixel + 1] + 0.114 * data[4 * pixel + 2];
    });
    const rim = grey.filter((_, pixel) => {
      const [row, column] = [Math.floor(pixel / this.size), pixel % this.size];
      return row % (height - 1) === 0 || column % (this.size - 1) === 0;
    });
    const isBright = rim.filter((value) => value >= 128).length * 2 >= rim.length;
    const image = Uint8Array.from(grey.slice(0, (this.size * this.size) / 2), (value) => value >= 128 !== isBright);
    if (!image.includes(1)) throw new Error(`the upper half of ${file.name} must have ink, got a blank one`);
    this.set(image);
  }
}
