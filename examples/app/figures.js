// Pictures to be clicked: the one whose text is shown is pressed, and "choose" takes its text to the server.
element.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.text) {
    for (const other of element.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", other === button);
    trigger("choose", { text: button.dataset.text });
  } else if (button?.matches(".link")) {
    let said = `The link is ${location.href}`;
    try {
      await navigator.clipboard.writeText(location.href);
      said = "The link is copied: it draws the same again.";
    } catch {}
    button.nextElementSibling.textContent = said;
  }
});
