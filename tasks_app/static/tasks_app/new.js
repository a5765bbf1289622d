// The form of a new task: another kind is shown as soon as it is chosen, and the cursor stands where typed JSON is wrong.

document.getElementById("id_kind").addEventListener("change", (event) => event.target.form.requestSubmit());

const wrong = document.querySelector("textarea[data-cursor]") ?? document.querySelector("#new-form [aria-invalid]");
if (wrong) {
  wrong.focus();
  if (wrong.dataset.cursor) {
    const at = Number(wrong.dataset.cursor);
    wrong.setSelectionRange(at, Math.min(at + 1, wrong.value.length));
  }
}
