// The form of a new task: another kind is shown as soon as it is chosen, and the cursor stands where typed JSON is wrong.

document.addEventListener("change", (event) => event.target.id === "id_kind" && event.target.form.requestSubmit());

function place() {
  const form = document.getElementById("new-task");
  const wrong = form?.querySelector("textarea[data-cursor]") ?? form?.querySelector("[aria-invalid]");
  wrong?.focus();
  if (!wrong?.dataset.cursor) return;
  const at = Number(wrong.dataset.cursor);
  wrong.setSelectionRange(at, Math.min(at + 1, wrong.value.length));
}

document.addEventListener("htmx:afterSettle", (event) => event.target.id === "new-task" && place());
place();
