// A symbol that is chosen, or under the pointer, is framed among the pixels and told in words.
function show(input) {
  const frame = element.querySelector(".frame");
  frame.hidden = false;
  frame.style.left = `calc(${input.dataset.left * 100}% / var(--size))`;
  frame.style.top = `calc(${input.dataset.row * 100}% / var(--size))`;
  element.querySelector(".detail").textContent = input.getAttribute("aria-label");
}

// another text: the symbol that is still chosen is another
watch("value", () => {
  const chosen = element.querySelector("input:checked");
  if (chosen) show(chosen);
});
element.addEventListener("change", (event) => show(event.target));
element.addEventListener("mouseover", (event) => {
  const label = event.target.closest("label");
  if (label) show(label.querySelector("input"));
});
