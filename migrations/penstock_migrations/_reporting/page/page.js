"use strict";
// Sorting: by the cell's data-sort, else its text; numbers as numbers.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => value(a).localeCompare(value(b), "en", { numeric: true }));
      body.append(...(up ? rows : rows.reverse()));
    });
  });
}
// Filtering: what is shown has each word, the issue, and only chips that are pressed.
const form = document.querySelector(".filters");
if (form) {
  const rows = [...document.querySelectorAll("#findings tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const chips = [...form.querySelectorAll("[data-chip]")];
  const filter = () => {
    const words = form.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
    const issue = form.querySelector("select").value;
    const off = chips.filter((chip) => chip.getAttribute("aria-pressed") === "false").map((chip) => chip.dataset.chip);
    let shown = 0;
    rows.forEach((row, index) => {
      const kinds = row.dataset.chips.split(" ");
      row.hidden = !words.every((word) => texts[index].includes(word)) || (issue && row.dataset.issue !== issue) ||
        off.some((chip) => kinds.includes(chip));
      shown += row.hidden ? 0 : 1;
    });
    form.querySelector("output").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") === "false"));
      filter();
    });
  }
}
