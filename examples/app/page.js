() => {
  // Gradio makes each radio button a group of its own, also later on, and each would be a tab stop.
  for (const group of document.querySelectorAll("#digit, #selection")) {
    const join = () => {
      for (const input of group.querySelectorAll("input")) if (input.name !== group.id) input.name = group.id;
    };
    new MutationObserver(join).observe(group, { subtree: true, childList: true, attributeFilter: ["name"] });
    join();
    group.setAttribute("aria-label", group.querySelector("[data-testid=block-info]").textContent);
  }
}
