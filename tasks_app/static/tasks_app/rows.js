// Rows, and parts with data-morph, change in place: only what differs is touched, so that focus, a half-made click, what
// is unfolded and a selection survive. The relative times tick here, in the words of templatetags/task_text.py.

function morph(shown, next) {
  if (shown.isEqualNode(next)) return;
  if (shown.nodeType !== Node.ELEMENT_NODE || shown.tagName !== next.tagName) return shown.replaceWith(next);
  // What is unfolded is the reader's, not the server's.
  const kept = (name) => name === "open" && shown.tagName === "DETAILS";
  for (const { name } of [...shown.attributes]) if (!next.hasAttribute(name) && !kept(name)) shown.removeAttribute(name);
  for (const { name, value } of next.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  const [old, fresh] = [[...shown.childNodes], [...next.childNodes]];
  old.forEach((node, index) => (index < fresh.length ? morph(node, fresh[index]) : node.remove()));
  shown.append(...fresh.slice(old.length));
}

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const row = event.detail.target;
  const next = event.detail.fragment.firstElementChild;
  if (!row.matches(".task, [data-morph]") || next?.id !== row.id) return;
  event.detail.shouldSwap = false;
  // An answer may arrive after what the socket already showed.
  if (Number(next.dataset.version) < Number(row.dataset.version)) return;
  for (const time of next.querySelectorAll("time[data-ago]")) tick(time);
  const held = row.contains(document.activeElement);
  morph(row, next);
  if (held && !row.contains(document.activeElement)) row.querySelector(".task-verbs .icon-button")?.focus();
});

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ago(moment) {
  const seconds = Math.round((Date.now() - moment) / 1000);
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  if (size >= 30 * 86400) return new Date(moment).toISOString().slice(0, 10);
  const [unit, name] = UNITS.find(([unit]) => size >= unit);
  const text = `${Math.floor(size / unit)} ${name}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

function tick(time) {
  const text = ago(Date.parse(time.dateTime));
  if (time.textContent !== text) time.textContent = text;
}

setInterval(() => document.hidden || document.querySelectorAll("time[data-ago]").forEach(tick), 1000);
