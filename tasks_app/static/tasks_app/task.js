// The page of one task: asks again while webhooks are under way (nobody announces those), keeps the newest log line in
// view, unfolds what an address points to, and puts the cursor where typed JSON is wrong.

const ASK_AGAIN_MS = 3000;

setInterval(() => {
  if (!document.hidden && document.querySelector("#deliveries[data-unsettled]")) htmx.trigger("#task-page", "changed");
}, ASK_AGAIN_MS);

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id !== "task-page") return;
  const log = document.querySelector(".log");
  if (log && !log.matches(":hover, :focus")) log.scrollTop = log.scrollHeight;
});

function unfold() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target?.tagName !== "DETAILS") return;
  target.open = true;
  target.querySelector("textarea, button")?.focus();
}
addEventListener("hashchange", unfold);
document.addEventListener("click", (event) => {
  // The same address again changes no hash.
  if (event.target.closest("a[href='#rerun']")) setTimeout(unfold);
});
unfold();

const wrong = document.querySelector("textarea[data-cursor]");
if (wrong) {
  wrong.focus();
  const at = Number(wrong.dataset.cursor);
  wrong.setSelectionRange(at, Math.min(at + 1, wrong.value.length));
}
