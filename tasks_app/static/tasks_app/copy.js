// Buttons that copy the text of what their data-copy names. navigator.clipboard exists only on https and on one's own
// machine; elsewhere the buttons stay hidden.

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
  copy.dataset.copied = "";
  setTimeout(() => delete copy.dataset.copied, 1500);
});

document.documentElement.classList.toggle("can-copy", Boolean(navigator.clipboard));
