"use strict";
// Everything from the records is shown through textContent; nothing here builds HTML from text.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Tables: a click on a head sorts, a second one turns the order round; empty cells stay last.
function sortTable(head) {
  const body = head.closest("table").tBodies[0];
  const index = head.cellIndex;
  const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const key = (row) => row.cells[index].dataset.v ?? "";
  const numeric = !head.classList.contains("words");
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    return turn * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
  });
  body.append(...rows);
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sortTable(button.parentNode));
}

// Pictures.
const state = { set: 0, metric: "", method: "", worst: 6, zoom: 4 };

const higher = (metric) => data.higher[metric] !== false;
const shown = (metric, value) =>
  value === undefined ? "" : typeof value === "string" ? value : value.toFixed(/^(psnr|fid)/.test(metric) ? 2 : 4);
const number = (value) => (value === "inf" ? Infinity : value === "-inf" ? -Infinity : typeof value === "number" ? value : NaN);

function choice(label, key, options, after) {
  const select = make("select", { onchange: () => { state[key] = options[select.selectedIndex][1]; after(); } });
  for (const [text, value] of options) {
    const option = make("option", {}, text);
    option.selected = value === state[key];
    select.append(option);
  }
  return make("label", {}, label, select);
}

function controls() {
  const set = data.sets[state.set];
  if (!set.metrics.includes(state.metric)) state.metric = set.metrics[0] ?? "";
  if (!set.methods.includes(state.method)) state.method = set.methods[0] ?? "";
  const all = set.scenes.length;
  const counts = [3, 6, 12, 24].filter((k) => k < all).map((k) => [`the ${k} worst`, k]).concat([[`all ${all}`, Infinity]]);
  if (!counts.some(([, k]) => k === state.worst)) state.worst = counts[0][1];
  const parts = [];
  if (data.sets.length > 1) {
    parts.push(choice("test set", "set", data.sets.map((s, i) => [s.title, i]), () => { controls(); scenes(); }));
  }
  parts.push(choice("show", "worst", counts, scenes));
  if (set.methods.length) parts.push(choice("for", "method", set.methods.map((m) => [m, m]), scenes));
  if (set.metrics.length) parts.push(choice("by", "metric", set.metrics.map((m) => [m, m]), scenes));
  parts.push(choice("zoom under the pointer", "zoom", [["off", 1], ["2×", 2], ["4×", 4], ["8×", 8]], () => {}));
  parts.push(make("span", { class: "count", id: "count" }));
  byId("controls").replaceChildren(...parts);
}

function badness(scene) {
  const value = number((scene.scores[state.method] ?? {})[state.metric]);
  return Number.isNaN(value) ? Infinity : higher(state.metric) ? value : -value;
}

function scenes() {
  const set = data.sets[state.set];
  const order = [...set.scenes].sort((a, b) => badness(a) - badness(b) || 0).slice(0, state.worst);
  byId("scenes").replaceChildren(...order.map(card));
  byId("count").textContent = `${order.length} of ${set.total} images`;
}

function card(scene) {
  const tiles = make("div", { class: "tiles" });
  const values = Object.values(scene.scores).map((s) => number(s[state.metric])).filter((v) => !Number.isNaN(v));
  const best = values.length > 1 ? (higher(state.metric) ? Math.max(...values) : Math.min(...values)) : NaN;
  tiles.style.setProperty("--ratio", scene.ratio);
  for (const [label, id] of scene.images) {
    const value = (scene.scores[label] ?? {})[state.metric];
    const frame = make("button", { class: "frame", type: "button", title: `Compare ${label}`, onclick: () => compare(scene, label) },
      make("img", { src: data.pictures[id], alt: `${scene.name}, ${label}`, loading: "lazy", draggable: "false" }));
    const text = make("span", number(value) === best ? { class: "top" } : {}, shown(state.metric, value));
    tiles.append(make("figure", {}, frame, make("figcaption", {}, make("b", { title: label }, label), text)));
  }
  tiles.addEventListener("pointermove", (event) => zoomAt(tiles, event));
  tiles.addEventListener("pointerleave", () => tiles.classList.remove("zoomed"));
  return make("div", { class: "scene" }, make("h3", {}, scene.name, make("span", {}, scene.size)), tiles);
}

function zoomAt(tiles, event) {
  const frame = event.target.closest(".frame");
  if (!frame || event.pointerType === "touch" || state.zoom === 1) return tiles.classList.remove("zoomed");
  const box = frame.getBoundingClientRect();
  tiles.style.setProperty("--x", `${(100 * (event.clientX - box.left)) / box.width}%`);
  tiles.style.setProperty("--y", `${(100 * (event.clientY - box.top)) / box.height}%`);
  tiles.style.setProperty("--zoom", state.zoom);
  tiles.classList.add("zoomed");
}

let compared = null;

function compare(scene, label) {
  compared = scene;
  const labels = scene.images.map(([name]) => name);
  const other = labels.includes("gt") && label !== "gt" ? "gt" : labels.find((name) => name !== label) ?? label;
  for (const [id, chosen] of [["left", label], ["right", other]]) {
    byId(id).replaceChildren(...labels.map((name) => make("option", {}, name)));
    byId(id).selectedIndex = labels.indexOf(chosen);
  }
  byId("compare-name").textContent = scene.name;
  byId("compare").style.setProperty("--ratio", scene.ratio);
  split(50);
  showPair();
  byId("compare").showModal();
  byId("split").focus();
}

function showPair() {
  for (const [side, image, score] of [["left", "over", "left-score"], ["right", "under", "right-score"]]) {
    const [label, id] = compared.images[byId(side).selectedIndex];
    byId(image).src = data.pictures[id];
    byId(image).alt = label;
    const value = (compared.scores[label] ?? {})[state.metric];
    byId(score).textContent = value === undefined ? label : `${label}: ${shown(state.metric, value)} ${state.metric}`;
  }
}

function split(percent) {
  byId("split").value = percent;
  byId("compare").style.setProperty("--split", `${percent}%`);
}

function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = event.currentTarget.getBoundingClientRect();
  split(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
}

if (data.sets.length) {
  byId("pictures").hidden = false;
  controls();
  scenes();
  for (const id of ["left", "right"]) byId(id).addEventListener("change", showPair);
  byId("split").addEventListener("input", () => split(byId("split").value));
  for (const kind of ["pointerdown", "pointermove"]) document.querySelector(".stage").addEventListener(kind, drag);
  byId("close").addEventListener("click", () => byId("compare").close());
  byId("compare").addEventListener("click", (event) => { if (event.target === byId("compare")) byId("compare").close(); });
}
