"use strict";
// Draws snapshot.json. Whatever comes from it becomes text, never markup; only what has changed is touched.

const POLL = 1000; // milliseconds between an answer and the next question
const PATIENCE = 5000; // milliseconds for an answer
const FEW = 200; // rows that are drawn unless all are asked for
const OPEN = { open: Infinity, "half-open": Number.MAX_VALUE }; // breakers, where the fullest limits are first
const SVG = "http://www.w3.org/2000/svg";
const COLUMNS = [
  ["name", "Name", ""], ["kind", "Kind", "kind"], ["mode", "Mode", ""], ["share", "In use", "use"],
  ["queued", "Waiting", "n"], ["rate", "Done/s", "n"], ["refused", "Refused/s", "n"], ["trend", "", "trend"],
];
const TILES = [["Fullest limit", 1], ["Waiting", 0], ["Done per second", 0], ["Event-loop lag", 0]];

const $ = (id) => document.getElementById(id);
const known = (value) => value !== null && value !== undefined;
const state = { kinds: null, before: null, now: null, history: new Map(), tiles: TILES.map(() => []), sort: "share",
  down: true, paused: false, all: false, timer: 0, turn: 0, answered: 0, soon: false };

function make(tag, classes, ...inside) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...inside);
  return made;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// --- words

function number(value) {
  if (!known(value)) return "";
  if (value >= 1e6) return (value / 1e6).toFixed(1) + "M";
  if (value >= 1e4) return (value / 1e3).toFixed(1) + "k";
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

function seconds(value) {
  if (!known(value)) return "";
  if (value < 1) return (value * 1e3).toFixed(value < 0.01 ? 1 : 0) + " ms";
  if (value < 60) return value.toFixed(value < 10 ? 1 : 0) + " s";
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

const percent = (share) => `${Math.round(share * 100)}%`;
const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString();

// --- from the snapshot to rows

function used(kind, values) {
  if (kind === "breaker") return { share: null, said: String(values.state ?? "").replace("_", " ") };
  if (kind === "rate") return usedOfRate(values);
  const { running, max_running: most } = values;
  if (!known(running)) return { share: null, said: "" };
  if (!known(most)) return { share: null, said: `${number(running)} running` };
  const share = most ? running / most : running || values.queued ? 1 : 0;
  return { share, said: `${number(running)} of ${number(most)}, ${percent(share)}` };
}

function usedOfRate(values) {
  let worst = { share: null, said: "" };
  for (const [field, available] of Object.entries(values)) {
    const [, dimension] = /^dimensions\.(.+)\.available$/.exec(field) ?? [];
    const amount = values[`dimensions.${dimension}.amount`];
    if (!dimension || !amount) continue;
    const share = Math.min(1, Math.max(0, 1 - available / amount));
    if (worst.share === null || share > worst.share) worst = { share, said: `${dimension} ${percent(share)}` };
  }
  return worst;
}

const keyOf = (each) => `${each.kind} ${each.name}`;

function keyed(resources) {
  const seen = new Map();
  return new Map(resources.map((each) => {
    const times = (seen.get(keyOf(each)) ?? 0) + 1;
    seen.set(keyOf(each), times);
    return [`${keyOf(each)} ${times}`, each];
  }));
}

function rowsOf(now, before) {
  const old = before ? keyed(before.resources) : new Map();
  const passed = before ? now.at - before.at : 0;
  return [...keyed(now.resources)].map(([key, each]) => {
    const fields = state.kinds[each.kind] ?? { done: [], refused: [] };
    const last = old.get(key)?.values;
    const { share, said } = used(each.kind, each.values);
    return { key, track: keyOf(each), kind: each.kind, name: each.name, mode: each.mode ?? "", share, said,
      queued: each.values.queued ?? null, rate: speed(fields.done, each.values, last, passed),
      refused: speed(fields.refused, each.values, last, passed), values: each.values,
      level: level(share, said, each.values.queued) };
  });
}

function speed(fields, values, last, passed) {
  if (!last || passed <= 0 || !fields.some((field) => known(values[field]))) return null;
  const grown = fields.reduce((sum, field) => sum + (values[field] ?? 0) - (last[field] ?? 0), 0);
  return Math.max(0, grown) / passed;
}

function level(share, said, queued) {
  if (share === null) return { open: "open", "half open": "half-open" }[said] ?? "";
  return share >= 1 || (queued && share >= threshold()) ? "full" : share >= threshold() ? "near" : "";
}

function threshold() {
  return state.now.process.threshold;
}

// --- charts

function chart() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "chart");
  svg.setAttribute("viewBox", "0 0 100 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  for (const part of ["area", "line"]) svg.append(document.createElementNS(SVG, "path"));
  svg.children[0].setAttribute("class", "area");
  svg.children[1].setAttribute("class", "line");
  return svg;
}

function mark(svg) {
  const line = document.createElementNS(SVG, "line");
  for (const [name, value] of [["class", "mark"], ["x1", "0"], ["x2", "100"]]) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function draw(svg, points, most, at, says) {
  const { interval, window: whole, started } = state.now.process;
  for (const line of svg.querySelectorAll(".mark")) {
    for (const end of ["y1", "y2"]) set(line, end, String(23 - 22 * threshold()));
  }
  const range = Math.min(whole, Math.max(60, at - started));
  const gap = 5 * interval + whole / 60;
  const pieces = [];
  let last = -Infinity;
  for (const [when, value] of points) {
    const x = 100 * (1 - (at - when) / range);
    if (x < 0) continue;
    if (when - last > gap) pieces.push([]);
    pieces.at(-1).push(`${x.toFixed(1)} ${(23 - 22 * Math.min(1, value / most)).toFixed(1)}`);
    last = when;
  }
  set(svg.children[1], "d", pieces.map((piece) => "M" + piece.join("L")).join(""));
  set(svg.children[0], "d", pieces.map((piece) => `M${piece[0].split(" ")[0]} 23L${piece.join("L")}L${piece.at(-1).split(" ")[0]} 23Z`).join(""));
  const highest = points.reduce((high, point) => Math.max(high, point[1]), 0);
  set(svg, "aria-label", `The last ${seconds(range)}: highest ${says(highest)}, now ${says(points.at(-1)?.[1] ?? 0)}`);
}

function remember(snapshot) {
  const oldest = snapshot.at - snapshot.process.window;
  const seen = new Set();
  for (const each of snapshot.utilisation) {
    const key = keyOf(each);
    seen.add(key);
    const points = state.history.get(key) ?? [];
    const last = points.at(-1)?.[0] ?? -Infinity;
    for (const point of each.points) if (point[0] > last) points.push(point);
    while (points.length && points[0][0] < oldest) points.shift();
    state.history.set(key, points);
  }
  for (const key of state.history.keys()) if (!seen.has(key)) state.history.delete(key);
}

// --- the table

const drawn = new Map();

function headings() {
  for (const [name, label, classes] of COLUMNS) {
    const cell = make("th", classes);
    cell.scope = "col";
    if (name === "trend") cell.textContent = "Lately";
    else {
      const button = make("button", "", label);
      button.type = "button";
      button.addEventListener("click", () => {
        state.down = state.sort === name ? !state.down : !["name", "kind", "mode"].includes(name);
        state.sort = name;
        show();
      });
      cell.append(button);
    }
    cell.dataset.sort = name;
    $("resources").tHead.rows[0].append(cell);
  }
}

function newRow() {
  const row = make("tr", "one");
  const cells = Object.fromEntries(COLUMNS.map(([name, label, classes]) => {
    const cell = make("td", classes);
    if (classes === "n") cell.dataset.label = label;
    row.append(cell);
    return [name, cell];
  }));
  cells.name.className = "name";
  const button = make("button");
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  cells.name.append(button);
  const mode = make("span", "mode");
  cells.mode.append(mode);
  const said = make("span", "said"), bar = make("progress");
  bar.max = 1;
  bar.setAttribute("aria-hidden", "true");
  cells.share.append(said, bar);
  const svg = mark(chart());
  cells.trend.append(svg);
  const kept = { row, cells, button, mode, said, bar, svg, more: null, values: new Map() };
  button.addEventListener("click", () => { toggle(kept); show(); });
  return kept;
}

function toggle(kept) {
  if (kept.more) {
    kept.more.remove();
    kept.more = null;
    kept.values.clear();
  } else {
    const cell = make("td", "", make("dl"));
    cell.colSpan = COLUMNS.length;
    kept.more = make("tr", "more", cell);
  }
  kept.button.setAttribute("aria-expanded", String(Boolean(kept.more)));
}

function fill(kept, row) {
  const classes = row.level ? `one ${row.level}` : "one";
  if (kept.row.className !== classes) kept.row.className = classes;
  say(kept.button, row.name);
  say(kept.cells.kind, row.kind);
  say(kept.mode, row.mode);
  if (kept.mode.className !== `mode ${row.mode}`) kept.mode.className = `mode ${row.mode}`;
  say(kept.said, row.said);
  kept.bar.hidden = row.share === null;
  if (row.share !== null && kept.bar.value !== Math.min(1, row.share)) kept.bar.value = Math.min(1, row.share);
  say(kept.cells.queued, number(row.queued));
  say(kept.cells.rate, number(row.rate));
  say(kept.cells.refused, number(row.refused));
  const points = state.history.get(row.track) ?? [];
  kept.svg.toggleAttribute("hidden", !points.length);
  if (points.length) draw(kept.svg, points, 1, state.now.at, percent);
  if (kept.more) details(kept, row.values);
}

function details(kept, values) {
  const list = kept.more.querySelector("dl");
  for (const [field, value] of Object.entries(values)) {
    let entry = kept.values.get(field);
    if (!entry) {
      entry = make("dd");
      kept.values.set(field, entry);
      list.append(make("div", "", make("dt", "", field.replaceAll("_", " ")), entry));
    }
    say(entry, !known(value) ? "–" : typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value));
  }
}

function compare(one, other) {
  const [a, b] = [one, other].map((row) => (state.sort === "share" ? OPEN[row.level] : null) ?? row[state.sort]);
  const names = one.key < other.key ? -1 : 1;
  if (a === b) return names;
  if (!known(a) || a === "") return 1; // what has no value is last, whichever way
  if (!known(b) || b === "") return -1;
  return (a < b ? -1 : 1) * (state.down ? -1 : 1);
}

const words = () => $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
const holds = (text, wanted) => wanted.every((word) => text.toLowerCase().includes(word));

function table(rows) {
  const wanted = words(), kind = $("kind").value;
  const fits = rows.filter((row) => (!kind || row.kind === kind)
    && holds(`${row.name} ${row.kind} ${row.mode} ${row.said} ${row.level}`, wanted)).sort(compare);
  const shown = state.all ? fits : fits.slice(0, FEW);
  const body = $("resources").tBodies[0];
  const keys = new Set(shown.map((row) => row.key));
  for (const [key, kept] of drawn) {
    if (keys.has(key)) continue;
    kept.row.remove();
    kept.more?.remove();
    drawn.delete(key);
  }
  let next = body.firstElementChild;
  for (const row of shown) {
    let kept = drawn.get(row.key);
    if (!kept) drawn.set(row.key, (kept = newRow()));
    fill(kept, row);
    for (const part of kept.more ? [kept.row, kept.more] : [kept.row]) {
      if (part === next) next = next.nextElementSibling;
      else body.insertBefore(part, next);
    }
  }
  say($("number"), `${fits.length === rows.length ? "" : `${fits.length} of `}${rows.length} resource${rows.length === 1 ? "" : "s"}`);
  $("rest").hidden = fits.length <= shown.length;
  say($("rest").firstElementChild, `Show all ${fits.length}`);
  for (const cell of $("resources").tHead.rows[0].cells) {
    const sorted = cell.dataset.sort === state.sort;
    if (sorted) set(cell, "aria-sort", state.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
}

function kindsOf(rows) {
  const select = $("kind");
  const old = [...select.options].slice(1).map((option) => option.value);
  const now = [...new Set([...rows.map((row) => row.kind), ...(select.value ? [select.value] : [])])].sort();
  if (old.join(" ") === now.join(" ")) return;
  const chosen = select.value;
  while (select.options.length > 1) select.remove(1);
  for (const kind of now) select.add(new Option(kind, kind));
  select.value = chosen;
}

// --- tiles

function tiles(rows) {
  const limits = rows.filter((row) => row.share !== null && row.kind !== "rate");
  const fullest = limits.reduce((most, row) => (most && most.share >= row.share ? most : row), null);
  const near = limits.filter((row) => row.share >= threshold()).length;
  const waiting = rows.reduce((sum, row) => sum + (row.queued ?? 0), 0);
  const queues = rows.filter((row) => row.queued).length;
  const rated = rows.filter((row) => row.rate !== null && ["limiter", "pool", "rate"].includes(row.kind));
  const done = rated.length ? rated.reduce((sum, row) => sum + row.rate, 0) : null;
  const [lag, blocked] = ["p99", "stalled"].map((field) => state.now.loops.reduce((most, loop) => Math.max(most, loop[field]), 0));
  const fields = [
    [fullest?.share ?? 0, percent, fullest ? `${fullest.name}; ${near} of ${limits.length} near their limit` : "no limits"],
    [waiting, number, waiting ? `in ${queues} queue${queues > 1 ? "s" : ""}` : "nobody waits"],
    [done, number, "permits, connections and reservations"],
    [Math.max(lag, blocked), seconds, `${blocked > lag ? "blocked now" : "p99"}; ${state.now.threads.alive} threads`],
  ];
  fields.forEach(([value, says, note], index) => {
    const points = state.tiles[index], tile = $("tiles").children[index];
    const past = index === 0 ? highestOfAll() : points;
    if (value !== null && points.at(-1)?.[0] !== state.now.at) points.push([state.now.at, value]);
    while (points.length && points[0][0] < state.now.at - state.now.process.window) points.shift();
    say(tile.querySelector("output"), value === null ? "…" : says(value));
    say(tile.querySelector("p"), note);
    tile.className = index === 0 && value >= threshold() ? `tile ${value >= 1 ? "full" : "near"}` : "tile";
    const most = TILES[index][1] || past.reduce((high, point) => Math.max(high, point[1]), 0) || 1;
    draw(tile.querySelector("svg"), past, most, state.now.at, says);
  });
}

function highestOfAll() {
  const highest = new Map();
  for (const points of state.history.values()) {
    for (const [when, share] of points) {
      const step = Math.round(when);
      if (share >= (highest.get(step) ?? 0)) highest.set(step, share);
    }
  }
  return [...highest].sort((one, other) => one[0] - other[0]);
}

// --- tasks

function tasks(roots) {
  const wanted = words();
  let all = 0;
  const count = (node) => { all += 1; node.children.forEach(count); };
  roots.forEach((root) => root.children.forEach(count));
  say($("tasks-number"), roots.length ? number(all) : "no task manager");
  branch($("tasks"), roots, wanted, all <= FEW);
}

function fits(node, wanted) {
  return !wanted.length || holds(Object.values(node).filter((value) => typeof value === "string").join(" "), wanted)
    || node.children.some((child) => fits(child, wanted));
}

function branch(list, nodes, wanted, open) {
  const seen = new Map(), old = list.kept ?? new Map(), kept = new Map();
  let next = list.firstElementChild;
  for (const node of nodes) {
    if (!fits(node, wanted)) continue;
    const name = `${node.name} ${node.created ?? ""}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    const key = `${name} ${seen.get(name)} ${Boolean(node.children.length)}`;
    const item = old.get(key) ?? newNode(node.children.length, open);
    kept.set(key, item);
    twig(item, node, wanted, open);
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
  }
  for (const [key, item] of old) if (!kept.has(key)) item.remove();
  list.kept = kept;
}

function newNode(children, open) {
  const line = make("span", "line", make("b"), ...["function", "part", "age", "waits", "place"].map((name) => make("span", name)));
  if (!children) return make("li", "leaf", line);
  const more = make("details", "", make("summary", "", line), make("ul"));
  more.open = open;
  more.addEventListener("toggle", showSoon);
  return make("li", "", more);
}

function twig(item, node, wanted, open) {
  const [name, does, part, age, waits, place] = item.querySelector(".line").children;
  say(name, String(node.name ?? ""));
  say(does, node.function && node.function !== node.name ? node.function : node.mode ?? "");
  say(part, node.part_of ?? "");
  say(age, seconds(node.age));
  say(waits, node.waits_on ?? "");
  say(place, node.created ? `made at ${node.created}` : "");
  const more = item.querySelector("details");
  if (more) branch(more.lastElementChild, more.open ? node.children : [], wanted, open);
}

// --- what is short

function list(place, entries, fillItem) {
  while (place.children.length > entries.length) place.lastElementChild.remove();
  entries.forEach((entry, index) => fillItem(place.children[index] ?? place.appendChild(make("li")), entry));
}

function alerts(all) {
  const active = all.filter((each) => each.state === "active");
  $("alerts").hidden = !active.length;
  list($("alerts").querySelector("ul"), active, (item, each) => {
    if (!item.children.length) item.append(make("b"), " ", make("span"));
    say(item.children[0], each.summary);
    const since = seconds(Math.max(0, state.now.at - each.since));
    say(item.children[1], `${each.severity} for ${since}, ${each.name}; runbook: ${each.runbook}`);
  });
}

function modes(capabilities) {
  list($("modes"), Object.entries(capabilities).sort(), (item, [name, mode]) => {
    if (!item.children.length) item.append(make("span"), make("span"));
    say(item.children[0], name);
    say(item.children[1], mode);
    item.children[1].className = `mode ${mode}`;
  });
}

function loops(all) {
  list($("loops"), all, (item, each) => {
    if (!item.children.length) item.append(make("span"), make("span", "note"));
    say(item.children[0], each.loop);
    const now = each.stalled >= 0.1 ? `blocked for ${seconds(each.stalled)}; ` : "";
    say(item.children[1], `${now}lag ${seconds(each.p50)} p50, ${seconds(each.p99)} p99, ${seconds(each.max)} max`);
  });
}

// --- all of it

function show() {
  if (!state.now) return;
  const rows = rowsOf(state.now, state.before);
  kindsOf(rows);
  table(rows);
  tiles(rows);
  tasks(state.now.tasks);
  alerts(state.now.alerts);
  modes(state.now.capabilities);
  loops(state.now.loops);
}

function showSoon() {
  if (!state.soon) requestAnimationFrame(() => { state.soon = false; show(); });
  state.soon = true;
}

function status(text, lost) {
  document.body.classList.toggle("lost", lost);
  say($("said"), text);
}

async function read(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function poll() {
  clearTimeout(state.timer);
  const turn = ++state.turn; // whoever polls next takes over
  try {
    state.kinds ??= await read("kinds.json");
    const since = state.now ? `?since=${state.now.at - 2 * state.now.process.interval}` : "";
    const snapshot = await read(`snapshot.json${since}`);
    if (turn === state.turn) take(snapshot);
  } catch (error) {
    if (turn === state.turn) lost(error);
  }
  if (turn === state.turn && !document.hidden) state.timer = setTimeout(poll, POLL);
}

function take(snapshot) {
  const { pid, python, started, unreadable } = snapshot.process;
  const before = state.now?.process;
  if (before && (before.pid !== pid || before.started !== started || snapshot.at < state.now.at)) { // another process, or clock
    Object.assign(state, { before: null, now: null, history: new Map(), tiles: TILES.map(() => []) });
    return;
  }
  [state.before, state.now, state.answered] = [state.now, snapshot, Date.now()];
  remember(snapshot);
  say($("process"), `process ${pid}, Python ${python}, watched for ${seconds(snapshot.at - started)}`);
  status(unreadable ? `${unreadable} resources could not be read` : "", false);
  show();
}

function lost(error) {
  const since = state.answered ? ` since ${clock(state.answered)}` : "";
  const refused = error instanceof TypeError || error.name === "TimeoutError" ? "" : ` (${error.message})`;
  status(`No answer from the process${since}; trying again${refused}`, true);
}

function pause() {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", String(state.paused));
  if (!state.paused) return poll();
  clearTimeout(state.timer);
  state.turn += 1;
  status(`Paused at ${clock(Date.now())}`, false);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select");
  if (event.key === "Escape" && event.target === $("filter")) {
    $("filter").value = "";
    $("filter").blur();
    show();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    $("filter").focus();
  } else if (event.key === "p" && !typing) pause();
}

function start() {
  headings();
  for (const [title] of TILES) {
    $("tiles").append(make("div", "tile", make("h2", "", title), make("output"), make("p", "note"), chart()));
  }
  mark($("tiles").firstElementChild.querySelector("svg"));
  $("pause").addEventListener("click", pause);
  $("filter").addEventListener("input", show);
  $("kind").addEventListener("change", show);
  $("rest").firstElementChild.addEventListener("click", () => { state.all = true; show(); });
  document.addEventListener("keydown", key);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !state.paused) poll(); });
  poll();
}

start();
