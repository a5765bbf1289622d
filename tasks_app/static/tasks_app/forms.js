// What forms and buttons do better with JavaScript: one shared form for the rows' buttons, a dialog before deleting, a
// form that folds away on small screens.

const dialog = document.getElementById("dialog");
const create = document.getElementById("create");
const small = matchMedia("(max-width: 719px)");

document.addEventListener("htmx:configRequest", (event) => {
  const button = event.detail.triggeringEvent?.submitter;
  if (event.target.id === "verbs" && button) event.detail.path = button.getAttribute("formaction");
});

document.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    await htmx.ajax("GET", link.href, { target: "#dialog", swap: "innerHTML" });
    if (dialog.querySelector("#confirm-delete")) dialog.showModal();
  }
  if (event.target.closest("#dialog [data-close]") || event.target === dialog) {
    event.preventDefault();
    dialog.close();
  }
});

dialog.addEventListener("close", () => dialog.replaceChildren());
dialog.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id === "confirm-delete") dialog.close();
});

const fold = () => { if (create) create.open = !small.matches || Boolean(create.querySelector("[aria-invalid]")); };
small.addEventListener("change", fold);
fold();
