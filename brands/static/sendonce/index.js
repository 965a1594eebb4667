/* Keeps the index page live: asks again every two seconds while the page is looked at, and less and
   less often while nobody answers. What is being pressed, selected or open stays as it is. */
(() => {
  const USUAL = 2000, LONGEST = 60000;
  const part = document.getElementById("live");
  const state = document.getElementById("live-state");
  let wait = USUAL, timer = 0, isPressed = false, opened = {};

  function say(how, words) {
    if (state.dataset.live === how && state.lastElementChild.textContent === words) return;
    state.dataset.live = how;
    state.lastElementChild.textContent = words;
  }

  function askLater(after) {
    clearTimeout(timer);
    timer = setTimeout(ask, after);
  }

  function ask() {
    if (document.hidden) return say("away", "Not live while this page is hidden");
    htmx.trigger(part, "live");
  }

  function isSelecting() {
    const selected = window.getSelection();
    return !selected.isCollapsed && part.contains(selected.anchorNode);
  }

  part.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) {
      wait = USUAL;
      say("on", "Live");
    } else {
      wait = Math.min(wait * 2, LONGEST);
      say("off", `Not live: the server does not answer. Trying again in ${Math.round(wait / 1000)} seconds`);
    }
    askLater(wait);
  });

  part.addEventListener("htmx:beforeSwap", (event) => {
    if (isPressed || isSelecting()) event.detail.shouldSwap = false;
    part.querySelectorAll("details[id]").forEach((one) => { opened[one.id] = one.open; });
  });
  part.addEventListener("htmx:afterSwap", () => {
    part.querySelectorAll("details[id]").forEach((one) => {
      if (one.id in opened) one.open = opened[one.id];
    });
  });

  part.addEventListener("pointerdown", () => { isPressed = true; });
  for (const ended of ["pointerup", "pointercancel"]) {
    window.addEventListener(ended, () => setTimeout(() => { isPressed = false; }));
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) askLater(0); });
  askLater(USUAL);
})();
