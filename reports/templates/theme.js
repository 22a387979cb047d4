// The choice of light, dark or the system's theme; runs in the head, so that the page never flashes.
(() => {
  "use strict";
  const KEY = "lightsharp-theme";
  const root = document.documentElement;

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // some browsers keep nothing for files from disk
    }
  }

  function remember(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // it then holds until the page is closed
    }
  }

  function apply(choice) {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
    document.dispatchEvent(new CustomEvent("lightsharp:theme", { detail: { theme: choice } }));
  }

  apply(remembered());
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = root.dataset.theme ?? "auto";
    select.addEventListener("change", () => {
      remember(select.value);
      apply(select.value);
    });
    select.closest("[hidden]").hidden = false;
  });
})();
