// Keys of the dashboard: / search, c create, j k move, enter open (the title is a link), ? help. None while one types.

const help = document.getElementById("help");
const links = () => [...document.querySelectorAll("#task-rows .task-link")];

function move(step) {
  const all = links();
  const row = document.activeElement.closest(".task");
  const at = all.findIndex((link) => row?.contains(link));
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + step))];
  next?.focus();
  next?.closest(".task").scrollIntoView({ block: "nearest" });
}

function create() {
  const box = document.getElementById("create");
  if (!box) return;
  box.open = true;
  document.getElementById("id_title").focus();
}

const KEYS = {
  "/": () => document.getElementById("q").focus(),
  c: create,
  j: () => move(1),
  k: () => move(-1),
  "?": () => help.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && event.target.matches("#q, #create input")) return event.target.blur();
  if (event.target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

document.getElementById("help-open").addEventListener("click", () => help.showModal());
help.addEventListener("click", (event) => {
  if (event.target === help || event.target.closest("[data-close]")) help.close();
});
document.getElementById("help-open").hidden = false;
