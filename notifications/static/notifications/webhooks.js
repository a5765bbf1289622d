// Parts of pages that ask for themselves again, since nobody announces what becomes of webhooks. Not while deliveries are
// picked or something is typed or unfolded to be typed: rows would move under the hand.

const ASK_AGAIN_MS = 3000;

function isBusy() {
  return document.querySelector(".pick:checked, .replay[open], #recover[open]") || document.activeElement?.matches("input, select, textarea");
}

setInterval(() => {
  if (document.hidden || isBusy()) return;
  for (const part of document.querySelectorAll("[data-again]")) {
    if (!part.querySelector("#delivery-now:not([data-unsettled])")) htmx.trigger(part, "changed");
  }
}, ASK_AGAIN_MS);

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target.matches("[data-again]") && isBusy()) event.detail.shouldSwap = false;
});
