// What a server cannot do while a text is written: put words where the cursor is.
"use strict";

const BOXES = ["id_subject", "id_text", "id_mail_text", "id_html"];
let lastBox = "";

function textBox() {
  const last = document.getElementById(lastBox);
  return last || document.getElementById("id_text") || document.getElementById("id_mail_text");
}

document.addEventListener("focusin", (event) => {
  if (BOXES.includes(event.target.id)) lastBox = event.target.id;
});

function changed(box) {
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
}

document.addEventListener("click", (event) => {
  const box = textBox();
  const chip = event.target.closest("[data-insert]");
  const plainer = event.target.closest("[data-plainer]");
  if (!box) return;
  if (chip) {
    const before = box.value.slice(0, box.selectionStart);
    const gap = before && !/\s$/.test(before) ? " " : "";
    const words = (box.id === "id_html" && chip.dataset.html) || chip.dataset.insert;
    box.setRangeText(gap + words, box.selectionStart, box.selectionEnd, "end");
    changed(box);
  }
  if (plainer) {
    box.value = plainer.dataset.plainer;
    changed(box);
  }
});

document.addEventListener("input", (event) => {
  const saved = document.getElementById("id_text_name");
  if (event.target.id === "id_name" && saved) saved.placeholder = event.target.value;
});

// After a form was refused: straight to the first field that is wrong.
document.addEventListener("DOMContentLoaded", () => {
  const wrong = document.querySelector(".so-wrong input, .so-wrong select, .so-wrong textarea");
  if (wrong) wrong.focus();
});
