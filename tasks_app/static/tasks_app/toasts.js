// Short notes: at most three, a newer one about the same thing takes the place of the older, and they go by themselves.

const MOST = 3;
const STAY_MS = 6000;
const box = document.getElementById("toasts");

function leave(toast) {
  if (toast.matches(":hover")) return setTimeout(leave, 1000, toast);
  toast.remove();
}

new MutationObserver((changes) => {
  for (const toast of changes.flatMap((change) => [...change.addedNodes])) {
    if (!toast.id) continue;
    for (const other of [...box.children]) if (other !== toast && other.id === toast.id) other.remove();
    setTimeout(leave, STAY_MS, toast);
  }
  for (const surplus of [...box.children].slice(MOST)) surplus.remove();
}).observe(box, { childList: true });

function trouble(text) {
  const toast = document.getElementById("trouble").content.cloneNode(true);
  toast.querySelector(".toast-text").textContent = text;
  box.prepend(toast);
}

// What the page asks for by itself is nothing that a person did; the live mark says that the server is away.
const byItself = (event) => event.target.matches(".system-box, .chart-box, #task-page, #q");

document.addEventListener("htmx:sendError", (event) => {
  if (!byItself(event)) trouble("The server cannot be reached. Nothing was changed.");
});
document.addEventListener("htmx:responseError", (event) => {
  if (byItself(event)) return;
  const { status } = event.detail.xhr;
  if (status === 404) trouble("This task is gone.");
  else if (status === 403) trouble("This page is out of date. Load it again.");
  else trouble("The server could not do it. Nothing was changed; try again in a moment.");
});
