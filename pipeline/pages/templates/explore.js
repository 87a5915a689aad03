"use strict";
// Switches of channels, reasons and cells on demand, keys, and the lasso of the map. Pages work without it.
const one = (what, inside = document) => inside.querySelector(what);
const all = (what, inside = document) => [...inside.querySelectorAll(what)];

function drawn() {
  const on = all("[data-view]").filter((box) => box.checked).map((box) => box.name);
  const channels = on.filter((name) => name !== "outlines");
  const outlines = on.includes("outlines");
  document.cookie = `view=${[...channels, ...(outlines ? [] : ["plain"])].join(".")}; path=/; samesite=strict`;
  for (const image of all("img[data-image]")) {
    const address = new URL(image.src);
    address.searchParams.set("channels", channels.join("."));
    if (!("plain" in image.dataset)) address.searchParams.set("outlines", outlines ? 1 : 0);
    image.src = address.pathname + address.search;
  }
  const stage = one("#stage");
  if (stage) stage.classList.toggle("plain", !outlines);
}
for (const box of all("[data-view]")) box.addEventListener("change", drawn);

async function text(address) {
  const answer = await fetch(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page;
}

function put(place, page) {
  place.replaceChildren(...(one("main", page) || page.body).childNodes);
}

for (const link of all("a[data-why]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const place = one("#why");
    place.textContent = "Looking for the reasons …";
    put(place, await text(link.href));
    place.scrollIntoView({ block: "nearest" });
  });
}

function mark(label, scroll) {
  for (const path of all("path[data-cell]")) path.classList.toggle("here", path.dataset.cell === label);
  for (const row of all("tr[data-row]")) {
    const here = row.dataset.row === label;
    row.classList.toggle("here", here);
    if (here && scroll) row.scrollIntoView({ block: "nearest" });
  }
}

function coloured(column) {
  const rows = all("#cells tbody tr");
  const values = new Map(rows.map((row) => [row.dataset.row, Number(all("td[data-value]", row)[column]?.dataset.value)]));
  const known = [...values.values()].filter(Number.isFinite);
  const share = "share" in (one("#colour-by").selectedOptions[0]?.dataset || {}); // of 0 to 1
  const low = share ? 0 : Math.min(...known), high = share ? 1 : Math.max(...known);
  for (const path of all("path[data-cell]")) {
    const value = values.get(path.dataset.cell);
    const part = high > low ? (value - low) / (high - low) : 0.5;
    path.style.fill = column === "" || !Number.isFinite(value) ? "" : `hsl(40 100% 55% / ${0.05 + 0.7 * part})`;
  }
}

async function cells(place) {
  put(place, await text(place.dataset.part));
  const form = one("form", place);
  if (form) form.action = place.dataset.post;
  const choice = one("#colour-by");
  if (choice) choice.addEventListener("change", () => coloured(choice.value));
  for (const row of all("tr[data-row]", place)) row.addEventListener("click", () => mark(row.dataset.row, false));
  for (const box of all("input[name=cell]", place)) {
    box.addEventListener("change", () => one(`path[data-cell="${box.value}"]`)?.classList.toggle("out", box.checked));
  }
}
for (const place of all("[data-part]")) cells(place);
for (const path of all("path[data-cell]")) {
  path.addEventListener("click", () => mark(path.dataset.cell, true));
  path.addEventListener("focus", () => mark(path.dataset.cell, false));
  path.addEventListener("keydown", (event) => { if (event.key === "Enter") mark(path.dataset.cell, true); });
}

const asNamed = one("#as-named");
if (asNamed) {
  asNamed.addEventListener("click", () => {
    for (const box of all("#labels input[name=location]")) box.checked = "named" in box.dataset;
  });
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (field || event.ctrlKey || event.metaKey || event.altKey) return;
  const boxes = all("[data-view]");
  if (event.key === "ArrowLeft") one("a[rel=prev]")?.click();
  else if (event.key === "ArrowRight") one("a[rel=next]")?.click();
  else if (event.key === "s") one("#labels")?.requestSubmit();
  else if (event.key === "m") asNamed?.click();
  else if (event.key === "o") one("[data-view][name=outlines]")?.click();
  else if (/^[1-4]$/.test(event.key)) boxes.filter((box) => box.name !== "outlines")[event.key - 1]?.click();
  else return;
  event.preventDefault();
});

async function map(canvas) {
  const { x, y, kind } = await (await fetch(canvas.dataset.places)).json();
  const colours = canvas.dataset.colours.split(" ");
  const brush = canvas.getContext("2d");
  const size = x.length > 5000 ? 2.5 : 6;
  function paint(corners) {
    brush.clearRect(0, 0, 1000, 1000);
    for (const which of [3, 4, 0, 2, 1]) { // what is wrong lies on top
      brush.fillStyle = colours[which];
      for (let i = 0; i < x.length; i++) {
        if (kind[i] !== which) continue;
        brush.beginPath();
        brush.arc(x[i], 1000 - y[i], size, 0, 7);
        brush.fill();
      }
    }
    if (corners.length) {
      brush.strokeStyle = "#1d2329";
      brush.lineWidth = 2;
      brush.beginPath();
      for (const [left, up] of corners) brush.lineTo(left, 1000 - up);
      brush.closePath();
      brush.stroke();
    }
  }
  paint([]);
  canvas.dataset.ready = x.length;
  let corners = null;
  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [1000 * (event.clientX - frame.left) / frame.width, 1000 - 1000 * (event.clientY - frame.top) / frame.height].map(Math.round);
  };
  canvas.addEventListener("pointerdown", (event) => { corners = [place(event)]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!corners) return;
    const [left, up] = place(event), [before, under] = corners[corners.length - 1];
    if (Math.hypot(left - before, up - under) < 8) return;
    corners.push([left, up]);
    paint(corners);
  });
  canvas.addEventListener("pointerup", () => {
    const drawnCorners = corners;
    corners = null;
    if (drawnCorners.length < 3) {
      const [left, up] = drawnCorners[0];
      location.href = `/at?x=${left}&y=${up}`;
      return;
    }
    const step = Math.ceil(drawnCorners.length / 100);
    location.href = `/?lasso=${drawnCorners.filter((_, i) => i % step === 0).flat().join(",")}`;
  });
}
const canvas = one("#map");
if (canvas) map(canvas);
