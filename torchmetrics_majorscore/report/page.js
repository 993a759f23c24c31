const { models, scores, clips, captions, values, notes } = JSON.parse(document.getElementById("rows").textContent);
const get = (id) => document.getElementById(id);
const collator = new Intl.Collator("en", { numeric: true });
let titles = [], numeric = [], rows = [], texts = null, sorted = { column: -1, sign: 1 }, chosen = [], page = 0;

// All clips: every score in a row per clip and model, or one score with the models side by side.
function build() {
  const score = models.length > 1 ? Number(get("view").value) : -1, first = models[0];
  const numbers = score < 0 ? scores : [...models, ...models.slice(1).map((name) => `${first} − ${name}`)];
  const named = models.length > 1 && score < 0, written = Object.keys(notes);
  titles = ["Clip", ...(captions ? ["Caption"] : []), ...(named ? ["Model"] : []), ...numbers, ...written];
  numeric = titles.map((_, k) => k >= titles.length - numbers.length - written.length && k < titles.length - written.length);
  rows = clips.flatMap((clip, k) => {
    const start = captions ? [clip, captions[k]] : [clip];
    return score < 0 ? every(start, k, named, written) : [beside(start, k, score, written)];
  });
  texts = null;
  sorted = { column: -1, sign: 1 };
  head();
  select();
}
function every(start, clip, named, written) {
  const present = [...models.keys()].filter((m) => values[m][clip] !== null);
  return present.map((m) => [...start, ...(named ? [models[m]] : []), ...values[m][clip], ...written.map((name) => notes[name][m][clip] ?? "")]);
}
function beside(start, clip, score, written) {
  const own = models.map((_, m) => values[m][clip]?.[score] ?? null);
  const differences = own.slice(1).map((other) => (own[0] === null || other === null ? null : own[0] - other));
  const said = written.map((name) => models.flatMap((model, m) => (notes[name][m][clip] ? [`${model}: ${notes[name][m][clip]}`] : [])).join("; "));
  return [...start, ...own, ...differences, ...said];
}
function limit(id) {
  return get(id).value === "" ? null : Number(get(id).value);
}
function select() {
  const query = get("query").value.trim().toLowerCase(), column = Number(get("column").value);
  const least = limit("least"), most = limit("most"), bounded = least !== null || most !== null;
  const inside = (value) => value !== null && (least === null || value >= least) && (most === null || value <= most);
  if (query) texts ??= rows.map((row) => row.join("\n").toLowerCase());
  chosen = [...rows.keys()].filter((k) => (!query || texts[k].includes(query)) && (!bounded || inside(rows[k][column])));
  if (sorted.column >= 0) chosen.sort(compare);
  page = 0;
  show();
}
function compare(one, other) {
  const a = rows[one][sorted.column], b = rows[other][sorted.column];
  // A missing value comes last, whichever way the others are sorted.
  if (a === null || a === "" || b === null || b === "") return (a === null || a === "") - (b === null || b === "");
  return sorted.sign * (numeric[sorted.column] ? a - b : collator.compare(a, b));
}
function cell(value, column) {
  const td = document.createElement("td");
  td.className = numeric[column] ? "number" : `text ${titles[column] in notes ? "notes" : titles[column].toLowerCase()}`;
  const text = value === null ? "–" : numeric[column] ? value.toFixed(4) : value;
  if (text.length <= 150) td.textContent = text;
  // A long remark shows two lines until it is clicked or reached by keyboard.
  else td.append(Object.assign(document.createElement("div"), { className: "cut", tabIndex: 0, textContent: text }));
  return td;
}
function show(paper = 0) {
  const size = Math.max(Number(get("size").value), paper), start = paper ? 0 : page * size, end = Math.min(start + size, chosen.length);
  const lines = chosen.slice(start, end).map((k) => {
    const tr = document.createElement("tr");
    tr.append(...rows[k].map(cell));
    return tr;
  });
  get("clips").tBodies[0].replaceChildren(...lines);
  get("status").textContent = chosen.length
    ? `Rows ${start + 1} to ${end} of ${chosen.length}` + (chosen.length < rows.length ? `, filtered from ${rows.length}.` : ".")
    : `No row of ${rows.length} fits.`;
  const focused = document.activeElement;
  get("previous").disabled = page === 0;
  get("next").disabled = end >= chosen.length;
  // A button that is switched off would lose the keyboard's place.
  if (focused === get("next") && focused.disabled) get("previous").focus();
  if (focused === get("previous") && focused.disabled) get("next").focus();
}
function sort(column) {
  // Numbers start with the highest, text with A.
  sorted = { column, sign: sorted.column === column ? -sorted.sign : numeric[column] ? -1 : 1 };
  [...get("clips").tHead.rows[0].cells].forEach((th, k) => {
    if (k === column) th.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
    else th.removeAttribute("aria-sort");
  });
  select();
}
function head() {
  get("clips").tHead.rows[0].replaceChildren(...titles.map((title, column) => {
    const th = document.createElement("th"), button = document.createElement("button");
    th.scope = "col";
    th.dataset.title = title;
    button.type = "button";
    button.textContent = title;
    button.addEventListener("click", () => sort(column));
    th.append(button);
    return th;
  }));
  get("column").replaceChildren(...titles.map((title, k) => new Option(title, k)).filter((_, k) => numeric[k]));
}
if (models.length > 1) scores.forEach((score, k) => get("view").append(new Option(`${score}, models side by side`, k)));
get("controls").addEventListener("input", (event) => (event.target.id === "view" ? build() : select()));
get("controls").addEventListener("submit", (event) => event.preventDefault());
get("previous").addEventListener("click", () => { page -= 1; show(); });
get("next").addEventListener("click", () => { page += 1; show(); });
// Paper has no pages to turn: what fits the filter, as far as the largest page holds it.
addEventListener("beforeprint", () => show(Number([...get("size").options].at(-1).value)));
addEventListener("afterprint", () => show());
build();

// Boxes that scroll say so, and only they are stops for the keyboard.
const watcher = new ResizeObserver((changes) => new Set(changes.map((change) => change.target.closest(".scroll"))).forEach((box) => {
  const wide = box.scrollWidth > box.clientWidth;
  box.classList.toggle("wide", wide);
  box.tabIndex = wide ? 0 : -1;
}));
for (const box of document.querySelectorAll(".scroll")) [box, box.querySelector("table")].forEach((part) => watcher.observe(part));

// On paper a player is its poster.
for (const video of document.querySelectorAll("video")) {
  const poster = Object.assign(new Image(), { src: video.poster, alt: "", className: "paper" });
  video.after(poster);
}

// Figures as files: the page's text colour becomes that of a white page.
function drawing(figure) {
  const svg = figure.querySelector("svg").cloneNode(true), { width, height } = svg.viewBox.baseVal;
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  return { width, height, text: new XMLSerializer().serializeToString(svg).replaceAll("currentColor", ink) };
}
async function raster({ width, height, text }) {
  const image = new Image(), canvas = document.createElement("canvas"), brush = canvas.getContext("2d");
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  Object.assign(canvas, { width: 1600, height: Math.round((1600 * height) / width) });
  brush.fillStyle = "#ffffff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
async function save(figure, name, kind) {
  const drawn = drawing(figure);
  const file = kind === "png" ? await raster(drawn) : new Blob([drawn.text], { type: "image/svg+xml" });
  const url = URL.createObjectURL(file);
  Object.assign(document.createElement("a"), { download: `${name}.${kind}`, href: url }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
for (const box of document.querySelectorAll(".save")) {
  for (const button of box.children) button.addEventListener("click", () => save(box.closest("figure"), box.dataset.name, button.value));
}
