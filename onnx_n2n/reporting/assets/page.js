// Shows the document of the page. Texts become text nodes and never markup, and sections are built when they are opened.
"use strict";
(() => {
  const doc = JSON.parse(document.getElementById("data").textContent);
  const page = document.getElementById("page");
  const two = doc.facts.length > 0 && doc.facts[0].sides.length === 2;
  const ROWS = 100; // of a list before a button shows more
  const OPEN = 60; // lines of the tree that are open at first, about

  // --- elements

  function el(tag, names, ...inside) {
    const found = document.createElement(tag);
    if (names) found.className = names;
    for (const each of inside.flat()) if (each !== null && each !== undefined && each !== "") found.append(each);
    return found;
  }
  function titled(element, text) { element.title = text; return element; }
  const full = new Intl.NumberFormat("en");
  function count(number) { return full.format(number); }
  function short(number) {
    for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
      if (Math.abs(number) >= size * 0.99995) return (number / size).toPrecision(3).replace(/e.*/, "") + " " + unit;
    }
    return String(number);
  }
  function times(before, after) { return before > 0 ? "×" + (after / before).toFixed(2) : ""; }
  function many(number, one, more) { return count(number) + " " + (number === 1 ? one : more || one + "s"); }
  function sci(number) { return number === null ? "not finite" : number === 0 ? "0" : number.toExponential(1); }
  function arrow(before, after) {
    return before === after ? [before] : [before, el("span", "arrow", "→"), el("b", "", after)];
  }
  function bars(sides, most, single = !two) {
    const found = el("span", "bars");
    found.setAttribute("aria-hidden", "true");
    sides.forEach((side, place) => {
      const bar = el("span", "bar" + (place === 1 || single ? " after" : ""));
      bar.style.width = most > 0 && side > 0 ? (100 * side / most).toFixed(2) + "%" : "0";
      if (!(side > 0)) bar.style.minWidth = "0";
      found.append(bar);
    });
    return found;
  }
  function cell(sides, most, label) {
    const found = el("span", "cell");
    if (!sides) return found;
    found.dataset.label = label;
    found.append(bars(sides, most), el("span", "text", arrow(...sides.map(short).concat(two ? [] : [short(sides[0])]))));
    return titled(found, label + ": " + sides.map(count).join(" → "));
  }
  function more(box, entries, show, step = ROWS) {
    let place = 0;
    const button = el("button", "more");
    button.type = "button";
    function next() {
      const batch = document.createDocumentFragment();
      for (const end = Math.min(place + step, entries.length); place < end; place++) batch.append(show(entries[place]));
      box.append(batch);
      button.textContent = "Show " + Math.min(step, entries.length - place) + " more of " + count(entries.length);
      button.hidden = place >= entries.length;
    }
    button.addEventListener("click", next);
    next();
    return button;
  }

  // --- the tree of layers

  const nodes = doc.nodes;
  function entry(value) { // a node, or a block with the sums of what is in it
    if (typeof value === "number") return { node: nodes[value], p: nodes[value].p, m: nodes[value].m, size: 1 };
    const inside = value[1].map(entry);
    if (inside.length === 1 && inside[0].node) return Object.assign(inside[0], { title: value[0] });
    const sum = (key) => inside.reduce((sides, each) => {
      if (!each[key]) return sides;
      return sides ? sides.map((side, place) => side + each[key][place]) : each[key].slice();
    }, null);
    const work = {}; // what each operator has of the parameters and multiply-adds
    for (const each of inside) {
      const own = each.node ? { [each.node.o]: [...each.p || [], ...each.m || []].reduce((a, b) => a + b, 0) } : each.work;
      for (const [operator, number] of Object.entries(own)) work[operator] = (work[operator] || 0) + number;
    }
    return { title: value[0], inside, p: sum("p"), m: sum("m"), size: inside.reduce((n, each) => n + each.size, 0), work };
  }
  const roots = doc.tree.map(entry);
  function index(entries, path) {
    for (const each of entries) each.node ? each.node.path = path : index(each.inside, path.concat(each.title));
  }
  index(roots, []);
  function largest(entries, key) {
    return entries.reduce((most, each) => Math.max(most, ...(each[key] || [0])), 0);
  }
  const SIGNS = { "+": ["plus", "added"], "-": ["minus", "removed"], "~": ["tilde", "changed"] };

  function lines(entries, depth) {
    const box = document.createDocumentFragment(), scale = { p: largest(entries, "p"), m: largest(entries, "m") };
    box.append(more(box, entries, (each) => line(each, depth, scale), 2 * ROWS));
    return box;
  }
  function line(each, depth, scale, path) {
    const node = each.node, found = el("details", node ? "leaf" : "block"), summary = el("summary", "line");
    found.style.setProperty("--depth", depth);
    const label = el("span", "label"), name = el("span", "name");
    if (node && node.s) label.append(titled(el("span", "sign " + SIGNS[node.s][0], node.s), SIGNS[node.s][1]));
    if (node && node.s === "-") found.classList.add("gone");
    name.textContent = each.title || node.n || "(no name)";
    label.append(name);
    if (!node) label.append(el("span", "many", many(each.size, "node")));
    if (path && path.length) label.append(el("span", "path", path.join(" / ")));
    summary.append(label, operators(each),
      cell(each.p, scale.p, "Parameters"), cell(each.m, scale.m, "Multiply-adds"));
    found.append(summary);
    let built = false;
    const build = () => {
      if (built) return;
      built = true;
      found.append(node ? particulars(node, depth) : lines(each.inside, depth + 1));
    };
    found.addEventListener("toggle", () => { if (found.open) build(); });
    each.open = () => { build(); found.open = true; };
    return found;
  }
  function operators(each) { // of a block those that do most of its work
    const work = Object.entries(each.work || {}).filter(([, number]) => number > 0).sort((one, other) => other[1] - one[1]);
    const text = each.node ? each.node.o : work.filter(([, number]) => number > 0.001 * work[0][1]).map(([name]) => name).join(", ");
    return titled(el("span", "op", text), text);
  }
  function particulars(node, depth) {
    const list = el("dl"), box = el("div", "inside", list);
    box.style.setProperty("--depth", depth);
    const add = (term, text) => { if (text) list.append(el("dt", "", term), el("dd", "", text)); };
    add("node", node.n);
    add("operator", node.o);
    add("inputs", (node.i || []).join(", "));
    add("outputs", (node.t || []).join(", "));
    for (const [what, before, after] of node.c || []) add(what, (before ?? "none") + " → " + (after ?? "none"));
    return box;
  }
  function tree(entries, paths) {
    const found = el("div", "tree");
    found.append(el("div", "line head", el("span", "label", ""), el("span", "op", "Operator"), el("span", "right", "Parameters"),
      el("span", "right", "Multiply-adds")));
    if (paths) {
      const scale = { p: largest(entries, "p"), m: largest(entries, "m") };
      found.append(more(found, entries, (each) => line(each, 0, scale, each.node.path)));
      return found;
    }
    found.append(lines(entries, 0));
    let shown = entries.length, level = entries;
    while (level.length) { // open level by level, as long as there is room
      const inside = (list) => list.reduce((n, each) => n + each.inside.length, 0);
      let blocks = level.filter((each) => each.inside && each.open && (each.p || each.m));
      if (shown + inside(blocks) > OPEN) { // or the one block that has most in it
        blocks = blocks.sort((one, other) => other.size - one.size).slice(0, 1);
      }
      const size = inside(blocks);
      if (!blocks.length || shown + size > OPEN) break;
      blocks.forEach((each) => each.open());
      shown += size;
      level = blocks.flatMap((each) => each.inside);
    }
    return found;
  }

  // --- tables

  function table(columns, rows, show) {
    const body = el("tbody"), head = el("tr", "", columns.map(([title, names]) => el("th", names || "", title)));
    [...head.children].forEach((each) => { each.scope = "col"; });
    const box = el("div", "", el("div", "wide", el("table", "", el("thead", "", head), body)));
    box.append(more(body, rows, show));
    return box;
  }
  function td(names, ...inside) { return el("td", names, ...inside); }
  function listed(names) {
    const found = names.slice(0, 3).join(", ");
    return names.length > 3 ? found + " and " + (names.length - 3) + " more" : found;
  }

  const GROUPS = {
    columns: two ? [["Group"], ["Before", "number"], ["After", "number"], [""], ["Layers that make, and read, its channels"]]
      : [["Group"], ["Channels", "number"], ["Grows"], ["+1 costs", "number"], ["×2 costs", "number"], [""],
        ["Layers that make, and read, its channels"]],
    row(group) {
      const layers = td("text", listed(group.make), el("span", "arrow", "→"), listed(group.read));
      if (group.note) layers.append(el("div", "soft", group.note));
      if (!two) {
        return el("tr", "", td("name", group.name), td("number", count(group.sides[0])), td("nowrap", group.grows),
          td("number", count(group.one)), td("number", count(group.double)),
          td("meter", bars([group.double], GROUPS.most())), layers);
      }
      const [before, after] = group.sides;
      return el("tr", before === after ? "same" : "", td("name", group.name), td("number", count(before)),
        td("number", after === null ? "?" : before === after ? count(after) : el("b", "", count(after))),
        td("meter", bars([before, after || 0], GROUPS.most())), layers);
    },
    most: () => doc.groups.reduce((most, each) => Math.max(most, ...(two ? each.sides : [each.double])), 0),
  };
  function pin(each) {
    const most = doc.pins.reduce((found, other) => Math.max(found, other.parameters), 0);
    const found = el("details", "pin leaf"), numbers = el("span", "cell", bars([each.parameters], most, true),
      el("span", "text", short(each.parameters)));
    found.style.setProperty("--depth", 0);
    found.append(el("summary", "line", el("span", "label", el("span", "", each.reason)),
      titled(numbers, count(each.parameters) + " parameters"), el("span", "axes", many(each.axes.length, "axis", "axes"))));
    found.addEventListener("toggle", () => {
      if (found.open && found.children.length === 1) {
        const inside = el("div", "inside");
        inside.append(table([["Weight"], ["Axis", "number"], ["Length", "number"]], each.axes, ([weight, axis, size]) =>
          el("tr", "", td("name", weight), td("number", axis), td("number", count(size)))));
        found.append(inside);
      }
    });
    return found;
  }
  const WHAT = { shape: "another shape", type: "another type", values: "other values", name: "another name" };
  function weight([name, what, before, after, was, elements, different, most]) {
    let said = "";
    if (elements !== undefined && what !== "name") {
      said = different === 0 ? (what === "shape" ? "old numbers kept in place" : "")
        : count(different) + " of " + count(elements) + " numbers differ" + (most === null ? "" : ", by up to " + sci(most));
    }
    const form = before && after ? arrow(before, after) : [before || after];
    return el("tr", "", td("name", name, was ? el("div", "soft", "was " + was) : ""), td("nowrap", WHAT[what] || what),
      td("mono", form), td("text", said));
  }
  function output(each) {
    const share = each.error === null || !each.tolerance ? 1 : each.error / each.tolerance;
    const bar = el("span", "bar" + (each.ok ? " after" : ""));
    bar.style.width = Math.min(100, 100 * share).toFixed(2) + "%";
    if (share === 0) bar.style.minWidth = "0";
    if (!each.ok) bar.style.background = "var(--bad)";
    const state = each.vacuous ? "no input moves it" : each.undecided ? "undecided" : each.ok ? "the same" : "not the same";
    return el("tr", "", td("name", each.name), td("nowrap", state), td("number", sci(each.error)),
      td("number", sci(each.rounding_error)), td("number", sci(each.tolerance)), td("meter", titled(el("span", "bars", bar),
        "error as a share of what is acceptable: " + (100 * share).toFixed(1) + " %")));
  }

  // --- sections

  const sections = [];
  // A section of a list: `show` builds it from entries, `text` says what the search looks at.
  function section(id, title, hint, entries, text, show) {
    if (!entries || !entries.length) return;
    const box = el("section"), content = el("div");
    box.id = id;
    box.append(el("h2", "", title), hint ? el("p", "hint", hint) : "", content);
    const all = show(entries);
    content.append(all);
    sections.push({ id, title, box, content, all, entries, show, texts: null, text });
  }
  const lower = (...parts) => parts.flat(3).filter((each) => each !== null).join("\n").toLowerCase();

  page.textContent = "";
  page.className = two ? "two" : "one";
  document.title = doc.title + " — onnx-n2n " + doc.kind;
  const KINDS = { inspect: "What can grow", diff: "Differences", verify: "Verification" };
  page.append(el("header", "", el("p", "kind", KINDS[doc.kind] || doc.kind), el("h1", "", doc.title), el("p", "lead", doc.lead)));
  const facts = el("dl", "facts");
  for (const fact of doc.facts) {
    const [before, after = before] = fact.sides, long = Math.max(before, after) >= 1e6 ? short : count;
    const value = titled(el("dd", "", arrow(long(before), long(after))), fact.sides.map(count).join(" → "));
    const label = el("dt", "", fact.label);
    if (fact.of) value.append(el("span", "soft", " of " + count(fact.of)));
    if (after !== before && before > 0) label.append(el("b", "", times(before, after)));
    facts.append(el("div", "fact", label, value, fact.note ? el("p", "", fact.note) : ""));
  }
  page.append(facts);
  if (doc.sentences && doc.sentences.length) {
    const good = doc.ok === true, bad = doc.ok === false || (doc.left_out || []).length > 0;
    page.append(el("div", "verdict" + (bad ? " bad" : good ? " good" : ""), doc.sentences.map((each) => el("p", "", each))));
  }

  const search = el("input"), found = el("div", "found"), nav = el("nav"), tools = el("div", "tools", search, nav, found);
  search.type = "search";
  search.placeholder = "Search nodes, tensors, groups …   /";
  search.setAttribute("aria-label", "Search nodes, tensors and groups");
  found.setAttribute("role", "status");
  nav.setAttribute("aria-label", "Sections");
  page.append(tools);

  if (doc.left_out) {
    section("left-out", "Left out", "This failed verification, so the student does not have it. It is a bug in onnx-n2n: please " +
      "report it with the command.", doc.left_out, (each) => lower(each), (entries) => table([["What"], ["Error"], ["Command"]],
      entries, (each) => el("tr", "", td("name", each[0]), td("text", each[1]), td("mono", each[2]))));
  }
  const leafs = nodes.map((node) => ({ node, p: node.p, m: node.m, size: 1 }));
  section("layers", "Layers", "Blocks follow the names in the model. A bar compares the lines of one block" +
    (two ? ": grey is the teacher, blue the student." : "."), leafs,
  ({ node }) => lower(node.n, node.o, node.i || [], node.t || [], node.path),
  (entries) => entries === leafs ? tree(roots) : tree(entries, true));
  section("groups", "Groups", "All axes that must have the same length grow together. A group is named after the first layer that " +
    "makes its channels.", doc.groups, (each) => lower(each.name, each.make, each.read, each.note || ""),
  (entries) => table(GROUPS.columns, entries, GROUPS.row));
  section("kept", "Kept as it was", "What was asked for and could not be had.", doc.kept, (each) => lower(each.map(String)),
    (entries) => table([["Group"], ["Size", "number"], ["Why"]], entries,
      (each) => el("tr", "", td("name", each[0]), td("number", each[1] === null ? "" : count(each[1])), td("text", each[2]))));
  section("added", "Added layers", "", doc.added, (each) => lower(each), (entries) => table([["At"], ["What"]], entries,
    (each) => el("tr", "", td("name", each[0]), td("text", each[1]))));
  section("pinned", "Pinned, and why", "Axes of weights that may not grow" + (two ? " in the teacher" : "") + ", with the first " +
    "cause. What keeps most parameters from growing comes first.", doc.pins, (each) => lower(each.reason, each.axes.map(String)),
  (entries) => { const box = el("div", "tree"); box.append(more(box, entries, pin)); return box; });
  section("outputs", "Errors per output", "How far the student is from the teacher, and how far the teacher is from itself when it " +
    "is rounded otherwise; both relative to how far inputs move the output. The bar is the error as a share of what is acceptable.",
  doc.outputs, (each) => lower(each.name), (entries) => table([["Output"], [""], ["Error", "number"], ["Rounding error", "number"],
    ["Acceptable", "number"], [""]], entries, output));
  section("weights", "Weights that differ", "", doc.weights, (each) => lower(each.slice(0, 5)),
    (entries) => table([["Weight"], [""], ["Type and shape"], ["Numbers"]], entries, weight));
  section("rest", "What else differs", "", doc.rest, (each) => lower(each), (entries) => table([[""], ["Name"], ["Teacher"],
    ["Student"]], entries, (each) => el("tr", "", td("nowrap", each[0]), td("name", each[1]), td("text mono", each[2] ?? "—"),
    td("text mono", each[3] ?? "—"))));
  section("places", "Places for depth", "Where layers can be added that change nothing at first.", doc.places,
    (each) => lower(each.name, each.kind, each.tensor), (entries) => table([["At"], ["Kind"], ["Stage", "number"], ["Tensor"]],
      entries, (each) => el("tr", "", td("name", each.name), td("nowrap", each.kind), td("number", each.stage),
        td("mono", each.tensor))));
  section("barred", "No depth here", "", doc.barred, (each) => lower(each.name, each.reason), (entries) => table([["At"], ["Why"]],
    entries, (each) => el("tr", "", td("name", each.name), td("text", each.reason))));
  section("notes", "Notes", "", doc.notes, (each) => lower(each),
    (entries) => el("ul", "plain", entries.map((each) => el("li", "", each))));
  section("lineage", "Lineage", "How the model was made, the oldest first. A digest is a SHA-256 of what the model says.",
    doc.lineage.length > 1 ? doc.lineage : [], (each) => lower(each.map(String)), (entries) =>
      el("ol", "lineage", entries.map(([text, seed, digest, version, idle]) => el("li", "",
        titled(el("span", "mono soft", digest.slice(0, 12)), digest),
        text ? el("span", "made mono", text + (idle ? " did nothing: " + idle : "")) : el("span", "soft", "  this model"),
        text ? el("span", "soft", (seed === null ? "" : "seed " + seed + ", ") + "onnx-n2n " + version) : ""))));
  for (const each of sections) {
    const link = el("a", "", each.title);
    link.href = "#" + each.id;
    nav.append(link);
    page.append(each.box);
  }
  page.append(el("footer", "", "Made by onnx-n2n " + doc.version + ". This page loads nothing from anywhere."));

  // --- the search

  function look() {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean), said = [];
    for (const each of sections) {
      if (!wanted.length) {
        if (each.content.firstChild !== each.all) each.content.replaceChildren(each.all);
        each.box.hidden = false;
        continue;
      }
      each.texts = each.texts || each.entries.map(each.text);
      const hits = each.entries.filter((_, place) => wanted.every((word) => each.texts[place].includes(word)));
      each.box.hidden = hits.length === 0;
      if (hits.length) {
        each.content.replaceChildren(each.show(hits));
        said.push(count(hits.length) + " in " + each.title);
      }
    }
    found.textContent = wanted.length ? said.join(" · ") || "Nothing found" : "";
  }
  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 80); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
    if (event.key === "Escape" && event.target === search) { search.value = ""; look(); }
  });
  document.documentElement.dataset.ready = "yes";
})();
