// The socket: tells the server what this page shows, drops what the page no longer has, and says honestly whether what
// you see is live, delayed (the server's beat stays away) or offline.

const SILENT_MS = 3000;
const NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff";
const mark = document.getElementById("live");
let socket = null;
let lastBeat = 0;
let told = "";
let refused = false;

const rows = () => [...document.querySelectorAll("#task-rows > .task")];

function tell(force) {
  if (!socket || !document.getElementById("tasks")) return;
  const shown = Object.fromEntries(rows().map((row) => [row.id.slice(5), Number(row.dataset.version)]));
  const { query, hasOlder, isOlder } = document.getElementById("tasks").dataset;
  const ids = Object.keys(shown);
  // Nothing new belongs on an older page.
  const floor = isOlder !== undefined ? NEWEST : hasOlder !== undefined ? ids.at(-1) : "";
  const page = [query, ...ids].join();
  if (page === told && !force) return;
  told = page;
  socket.send(JSON.stringify({ shown, query, floor }));
}

function show() {
  const silent = Date.now() - lastBeat;
  const state = !socket ? "offline" : silent > SILENT_MS ? "delayed" : "live";
  if (state === "live" && mark.dataset.state === "delayed") tell(true);
  const word = { live: "Live", delayed: `Delayed ${Math.round(silent / 1000)} s`, offline: "Offline" }[state];
  const why = {
    live: "Changes show up as they happen",
    delayed: "The server is connected, but hears nothing of changes; what you see may be old",
    offline: refused ? "You are no longer logged in" : "No connection to the server; trying again",
  }[state];
  if (!socket && mark.dataset.state === "connecting" && silent < SILENT_MS) return;
  mark.dataset.state = state;
  mark.title = why;
  const text = mark.querySelector(".live-word");
  if (text.textContent !== word) text.textContent = word;
}

htmx.config.wsReconnectDelay = (tries) => Math.min(10_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2);
htmx.defineExtension("known-rows", {
  transformResponse(text) {
    if (!text.startsWith("<")) return text;
    const box = document.createElement("template");
    box.innerHTML = text;
    for (const row of box.content.querySelectorAll(".task")) if (!document.getElementById(row.id)) row.remove();
    return box.innerHTML;
  },
});

mark.hidden = false;
lastBeat = Date.now();
mark.addEventListener("htmx:wsOpen", (event) => {
  socket = event.detail.socketWrapper;
  lastBeat = Date.now();
  tell(true);
  show();
});
mark.addEventListener("htmx:wsClose", (event) => {
  socket = null;
  const { code } = event.detail.event;
  refused = code === 4401;
  // The extension itself tries again only after these codes.
  if (!refused && ![1006, 1011, 1012, 1013].includes(code)) {
    setTimeout(() => event.detail.socketWrapper.reconnect(), 500 + 1000 * Math.random());
  }
  show();
});
mark.addEventListener("htmx:wsBeforeMessage", (event) => {
  if (event.detail.message === "beat") lastBeat = Date.now();
  if (event.detail.message === "changed") htmx.trigger("#task-page", "changed");
  show();
});
mark.addEventListener("htmx:wsAfterMessage", () => {
  // On an empty list nothing is pushed away: what is new comes by itself.
  const news = document.getElementById("news");
  if (news && !news.hidden && !rows().length && !document.getElementById("tasks").dataset.query) news.click();
});
document.addEventListener("htmx:afterRequest", () => tell(false));
setInterval(show, 500);
