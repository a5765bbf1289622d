// Light or dark: as the system prefers, until the switch says otherwise. Not a module, so that it runs before the first
// paint and a page never flashes in the wrong colours.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (value) => {
    try { value ? localStorage.setItem("theme", value) : localStorage.removeItem("theme"); } catch { /* private mode */ }
  };
  const apply = (value) => {
    if (value === "light" || value === "dark") root.dataset.theme = value;
    else delete root.dataset.theme;
  };
  const shown = () => root.dataset.theme ?? (system.matches ? "dark" : "light");

  root.classList.add("js");
  apply(kept());
  addEventListener("storage", (event) => event.key === "theme" && apply(event.newValue));
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      const wanted = shown() === "dark" ? "light" : "dark";
      // Back at what the system prefers, the page follows the system again.
      const choice = wanted === (system.matches ? "dark" : "light") ? null : wanted;
      keep(choice);
      apply(choice);
    });
  });
})();
