"use strict";
// The page of a Kilo network. Texts come from a cluster, so they are only set as textContent.
(() => {
  const EXPANDED_UP_TO = 150; // nodes: above, locations start collapsed
  const LINKS_UP_TO = 600; // above, only the links of the selection are drawn
  const LISTED_UP_TO = 200; // results of a search
  const STEP = 46; // between nodes of a location, in pixels at zoom 1
  const $ = (id) => document.getElementById(id);
  let data, things, cy;
  let selected = null, pathFrom = null, pathHops = null;
  let open = null; // names of expanded areas

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key.includes("-")) element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...children);
    return element;
  }

  const announce = (text) => { $("news").textContent = text; };
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  // --- ages, which a live page increases between two answers ---

  function age(seconds) { // in kubectl's format
    const whole = Math.max(0, Math.floor(seconds));
    for (const [unit, size, most] of [["s", 1, 120], ["m", 60, 7200], ["h", 3600, 172800]]) {
      if (whole < most) return `${Math.floor(whole / size)}${unit}`;
    }
    return `${Math.floor(whole / 86400)}d`;
  }

  const grown = () => data.ticks ? performance.now() / 1000 - data.madeAt : 0;
  const beat = (one) => age(one.beat + grown());
  const aged = (one, text) => data.ticks && typeof one.beat === "number" && /^heartbeat \d+[smhd] old$/.test(text);

  function heed(answer) { // the ages of the page and of the cluster's last answer, in seconds
    const now = performance.now() / 1000;
    data.madeAt = now - answer.elapsed;
    data.heardAt = now - answer.silence;
  }

  function tick() {
    if (document.hidden || !data.ticks) return;
    const one = things.get(selected), fact = $("heartbeat"), reason = $("silent");
    if (one && fact) fact.textContent = `${beat(one)} ago`;
    if (one && reason) reason.textContent = `heartbeat ${beat(one)} old`;
    if (data.away) summarise();
  }

  // A network without nodes has machines only: elements with data-alone have words for it.
  function wordAlone() {
    for (const one of document.querySelectorAll("[data-alone]")) {
      if (one.hasAttribute("aria-label")) one.setAttribute("aria-label", one.dataset.alone);
      else one.textContent = one.dataset.alone;
    }
  }

  function summarise() {
    const all = [...things.values()], nodes = all.filter((one) => one.kind === "node");
    const ready = nodes.filter((one) => one.state === "ready").length;
    const away = data.away ? `last heard ${age(performance.now() / 1000 - data.heardAt)} ago: ` : "";
    const when = data.ticks && !data.away ? "live" : data.away ? "" : `as of ${data.taken}`;
    const peers = all.length - nodes.length;
    $("summary").textContent = (data.links ? `${plural(peers, "machine")}; ` :
      `${ready} of ${plural(nodes.length, "node")} ready, ` +
      `${plural(peers, "peer")}, granularity ${data.granularity}; `) +
      [when, data.trouble ? away + data.trouble : ""].filter(Boolean).join("; ");
  }

  function take(fresh) {
    data = fresh;
    if (data.links) wordAlone();
    if (data.ticks) heed(data);
    things = new Map();
    for (const area of data.areas) {
      for (const thing of area.things) {
        thing.area = area.id;
        things.set(thing.id, thing);
      }
    }
    const count = [...things.values()].filter((one) => one.kind === "node").length;
    open ??= new Set(count <= EXPANDED_UP_TO ? data.areas.map((area) => area.id) : []);
    if (!things.has(selected) && !areaOf(selected)) selected = null;
    if (!things.has(pathFrom)) pathFrom = null;
    pathHops = pathHops?.every((id) => things.has(id)) ? pathHops : null;
    $("title").textContent = document.title = data.title;
    summarise();
    $("findings-button").textContent = `Findings (${data.findings.length})`;
  }

  const areaOf = (id) => data.areas.find((area) => area.id === id);

  // --- layout ---

  function place() {
    const gap = STEP;
    const sized = data.areas.map((area) => {
      const count = open.has(area.id) ? area.things.length : 0;
      return { area, radius: count ? STEP * (0.85 * Math.sqrt(count) + 0.7) : 34 };
    });
    const surface = sized.reduce((sum, one) => sum + (2 * one.radius + gap) ** 2, 0);
    const width = Math.max(1.35 * Math.sqrt(surface), 2 * Math.max(...sized.map((one) => one.radius)));
    let x = 0, y = 0, height = 0;
    const spots = [];
    for (const { area, radius } of sized) {
      if (x > 0 && x + 2 * radius > width) { x = 0; y += height + gap; height = 0; }
      spots.push({ area, radius, x: x + radius, y: y + radius });
      x += 2 * radius + gap;
      height = Math.max(height, 2 * radius);
    }
    return spots;
  }

  function sunflower(index) { // the first, a leader, is in the middle
    const distance = STEP * 0.85 * Math.sqrt(index);
    const angle = index * 2.39996323;
    return { x: distance * Math.cos(angle), y: distance * Math.sin(angle) };
  }

  function elements() {
    const found = [];
    for (const spot of place()) {
      const { area } = spot;
      const shown = open.has(area.id);
      const bad = area.things.filter((one) => one.state !== "ready").length;
      const label = shown ? area.name :
        `${area.name}\n${area.things.length}` + (bad ? ` (${bad} not ready)` : "");
      found.push({
        data: { id: area.id, label, size: 2 * spot.radius, bad: bad > 0 && !shown ? "yes" : "no" },
        position: { x: spot.x, y: spot.y }, classes: shown ? "area" : "bubble",
      });
      if (!shown) continue;
      area.things.forEach((one, index) => {
        const at = sunflower(index);
        found.push({
          data: { id: one.id, label: one.name },
          position: { x: spot.x + at.x, y: spot.y + at.y },
          classes: [one.kind, one.state, one.leads ? "leads" : ""].join(" "),
        });
      });
    }
    return found.concat(links());
  }

  const end = (id) => open.has(things.get(id).area) ? id : things.get(id).area;

  function links() {
    const all = [...things.values()];
    const leaders = all.filter((one) => one.leads);
    const peers = all.filter((one) => one.kind === "peer" && one.state === "ready");
    const drawn = new Map();
    const link = (from, to, classes) => {
      const [source, target] = [end(from), end(to)];
      const id = `link ${source} ${target}`;
      if (source !== target && !drawn.has(id)) drawn.set(id, { data: { id, source, target }, classes });
    };
    // above the limit, only those of the selected node or peer
    const total = leaders.length * (leaders.length - 1) / 2 + leaders.length * peers.length;
    const from = total <= LINKS_UP_TO ? leaders : leaders.filter((one) => one.id === selected);
    for (const one of from) {
      for (const other of leaders) link(...[one.id, other.id].sort(), "mesh");
      for (const peer of peers) link(one.id, peer.id, "outside");
    }
    if (total > LINKS_UP_TO && peers.some((one) => one.id === selected)) {
      for (const one of leaders) link(one.id, selected, "outside");
    }
    for (const [source, target] of data.links ?? []) link(source, target, "mesh");
    for (const one of all) {
      if (one.kind === "node" && one.leader && !one.leads) link(one.leader, one.id, "local");
    }
    for (let index = 1; pathHops && index < pathHops.length; index += 1) {
      const [source, target] = [end(pathHops[index - 1]), end(pathHops[index])];
      const id = `path ${source} ${target}`;
      if (source !== target) drawn.set(id, { data: { id, source, target }, classes: "path" });
    }
    return [...drawn.values()];
  }

  // --- the picture ---

  function look() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const border = (name) => ({ "border-color": colour(name) });
    return [
      { selector: "node", style: {
        label: "data(label)", color: colour("text"), "font-size": 9, "text-valign": "bottom",
        "text-margin-y": 2, "min-zoomed-font-size": 7, "text-max-width": 90, "text-wrap": "ellipsis",
        "background-color": colour("card"), "border-width": 2, width: 18, height: 18,
        "z-index-compare": "manual", "z-index": 5 } },
      { selector: ".area", style: {
        width: "data(size)", height: "data(size)", "background-opacity": 0.5, "border-color": colour("line"),
        "font-size": 14, "text-valign": "top", "text-max-width": 300, "z-index": 0, "border-width": 1 } },
      { selector: ".bubble", style: {
        width: "data(size)", height: "data(size)", "text-valign": "center", "text-wrap": "wrap",
        "text-max-width": 64, "font-size": 11, "border-color": colour("ready"), "border-width": 3 } },
      { selector: ".bubble[bad = 'yes']", style: { ...border("stale"), "border-style": "dashed" } },
      { selector: ".node", style: { shape: "round-rectangle" } },
      { selector: ".leads", style: { shape: "diamond", width: 26, height: 26 } },
      { selector: ".peer", style: { shape: "hexagon" } },
      { selector: ".ready", style: border("ready") },
      { selector: ".stale", style: { ...border("stale"), "border-style": "dashed" } },
      { selector: ".broken", style: { ...border("broken"), "border-style": "double", "border-width": 4 } },
      { selector: "edge", style: {
        width: 1, "line-color": colour("line"), "curve-style": "haystack", "z-index-compare": "manual", "z-index": 3 } },
      { selector: ".mesh", style: { "line-color": colour("quiet"), width: 1.5 } },
      { selector: ".outside", style: { "line-style": "dashed" } },
      { selector: ".path", style: {
        width: 4, "line-color": colour("accent"), "curve-style": "straight",
        "target-arrow-shape": "triangle", "target-arrow-color": colour("accent"), "z-index": 4 } },
      { selector: ".chosen", style: {
        "background-color": colour("mark"), "border-color": colour("accent"), "border-width": 4 } },
    ];
  }

  function draw(fit) {
    cy.batch(() => {
      cy.elements().remove();
      cy.add(elements());
    });
    if (selected) cy.getElementById(drawnAs(selected)).addClass("chosen");
    if (fit) cy.fit(undefined, 30);
    const every = data.areas.every((area) => open.has(area.id));
    $("all").textContent = every ? "Collapse all" : "Expand all";
    $("all").setAttribute("aria-pressed", String(every));
  }

  const drawnAs = (id) => things.has(id) ? end(id) : id;

  function toggle(id) {
    if (!open.delete(id)) open.add(id);
    draw(true);
    announce(`${areaOf(id).name} ${open.has(id) ? "expanded" : "collapsed"}`);
    panel();
  }

  // --- selection, and the path between two ---

  function select(id, centre) {
    if (pathFrom && things.has(id) && id !== pathFrom) pathHops = hops(pathFrom, id);
    selected = id;
    draw(false);
    if (centre) bring(cy.getElementById(drawnAs(id)));
    list();
    panel();
    const one = things.get(id);
    announce(one ? `${one.kind} ${one.name}, ${one.state}` : areaOf(id)?.name ?? "");
  }

  function bring(element) { // into view
    const view = cy.extent(), at = element.position();
    if (at && (at.x < view.x1 || at.x > view.x2 || at.y < view.y1 || at.y > view.y2)) cy.center(element);
  }

  // Kilo's topology: nodes of one segment connect directly, all others through their leaders, and
  // peers have each other's keys. `kgctl path` shows whether each tunnel comes up.
  function hops(from, to) {
    const [a, b] = [things.get(from), things.get(to)];
    if (a.state !== "ready" || b.state !== "ready") return null;
    const [first, last] = [a.kind === "node" ? a.leader : from, b.kind === "node" ? b.leader : to];
    if (a.kind === "node" && b.kind === "node" && first === last) return [from, to];
    return [from, first, last, to].filter((one, index, all) => one !== all[index - 1]);
  }

  function way() {
    if (!pathFrom) return [];
    const start = things.get(pathFrom);
    const parts = [make("h3", { textContent: "Path" })];
    if (selected === pathFrom || !things.has(selected)) {
      parts.push(make("p", { textContent: `From ${start.name}: select a target.` }));
    } else if (pathHops) {
      parts.push(make("ol", {}, ...pathHops.map((id) => make("li", { textContent: things.get(id).name }))));
    } else {
      parts.push(make("p", { textContent: "No path: one of the two is not ready." }));
    }
    const names = [start.name, things.get(selected)?.name ?? ""];
    if (pathHops && names.every((name) => /^[\w.-]+$/.test(name))) {
      parts.push(make("p", { className: "quiet", textContent: "Hop by hop, with tunnels and allowed IPs:" }));
      parts.push(make("pre", { textContent: `kgctl path ${names.join(" ")}`, tabIndex: 0 }));
    }
    parts.push(make("button", { type: "button", textContent: "End path", onclick: () => {
      pathFrom = pathHops = null; draw(false); panel(); announce("no path");
    } }));
    return parts;
  }

  // --- the panel ---

  function finding(one, named) {
    const head = make("p", {}, make("strong", { className: one.severity, textContent: `${one.code} ${one.severity}` }),
      ` ${named ? `${one.object}: ` : ""}${one.sentence}`);
    return [head, make("p", { className: "quiet", textContent: `Breaks: ${one.consequence}` }),
      make("p", { textContent: `Do: ${one.remedy}` })];
  }

  function pairs(rows, className = "") {
    return make("dl", { className }, ...rows.flatMap(([key, value]) => [make("dt", { textContent: key }), make("dd", { textContent: value })]));
  }

  function about(one) {
    const parts = [make("h2", { textContent: one.name }),
      make("p", {}, make("span", { className: `state ${one.state}`, textContent: one.state }),
        one.leads ? " leader" : "", ` ${one.kind}`)];
    for (const reason of one.reasons) {
      const silent = aged(one, reason) ? { id: "silent", textContent: `heartbeat ${beat(one)} old` } : { textContent: reason };
      parts.push(make("p", { className: one.state, ...silent }));
    }
    const facts = pairs(one.facts.map(([key, value]) =>
      [key, key === "heartbeat" && data.ticks ? `${beat(one)} ago` : value]));
    const last = one.facts.findIndex(([key]) => key === "heartbeat");
    if (last >= 0) facts.querySelectorAll("dd")[last].id = "heartbeat";
    parts.push(facts);
    const start = make("button", { type: "button", id: "path", textContent: "Path from here", onclick: () => {
      pathFrom = one.id; pathHops = null; draw(false); panel(); announce(`path from ${one.name}: select a target`);
    } });
    if (one.state === "ready" && !pathFrom) parts.push(make("p", {}, start));
    parts.push(...way());
    const own = data.findings.filter((found) => found.id === one.id);
    if (own.length) parts.push(make("h3", { textContent: "Findings" }), ...own.flatMap((found) => finding(found, false)));
    if (one.annotations.length) parts.push(make("h3", { textContent: "Annotations" }), pairs(one.annotations, "stacked"));
    if (one.configuration) {
      parts.push(make("h3", { textContent: "Configuration, without secret keys" }),
        make("pre", { textContent: one.configuration, tabIndex: 0, "aria-label": "Configuration" }));
    } else if (one.leads && /^[\w.-]+$/.test(one.name)) {
      parts.push(make("h3", { textContent: "Configuration" }),
        make("p", { textContent: `Too large for this page: kgctl showconf node ${one.name}` }));
    }
    return parts;
  }

  function aboutArea(area) {
    const parts = [make("h2", { textContent: area.name })];
    for (const state of ["ready", "stale", "broken"]) {
      const count = area.things.filter((one) => one.state === state).length;
      if (count) parts.push(make("p", { className: state, textContent: `${count} ${state}` }));
    }
    parts.push(make("button", { type: "button", id: "toggle", onclick: () => toggle(area.id),
      textContent: open.has(area.id) ? "Collapse" : "Expand" }));
    return parts;
  }

  function panel() {
    const one = things.get(selected), area = areaOf(selected);
    if (one) $("panel").replaceChildren(...about(one));
    else if (area) $("panel").replaceChildren(...aboutArea(area));
    else if (selected === "findings") showFindings();
    else $("panel").replaceChildren(make("h2", { textContent: "Details" }),
      make("p", { textContent: data.links ? "Select a machine in the picture or in the list." :
        "Select a node, a peer or a location in the picture or in the list." }));
  }

  function showFindings() {
    const parts = [make("h2", { textContent: "Findings of kgctl check" })];
    if (!data.findings.length) parts.push(make("p", { textContent: "No findings." }));
    for (const one of data.findings.slice(0, LISTED_UP_TO)) {
      parts.push(...finding(one, true));
      if (things.has(one.id)) {
        parts.push(make("button", { type: "button", textContent: "Show", onclick: () => select(one.id, true),
          "aria-label": `Show ${one.object}` }));
      }
    }
    if (data.findings.length > LISTED_UP_TO) {
      parts.push(make("p", { textContent: `and ${data.findings.length - LISTED_UP_TO} more: kgctl check` }));
    }
    $("panel").replaceChildren(...parts);
  }

  // --- the list ---

  function entry(one) {
    return make("li", {}, make("button", { type: "button", onclick: () => { choose(one.id); },
      "aria-current": String(one.id === selected), "data-id": one.id },
    one.name, one.leads ? " ◆" : "", one.state === "ready" ? "" : " ",
    one.state === "ready" ? "" : make("span", { className: `state ${one.state}`, textContent: one.state })));
  }

  function choose(id) {
    select(id, true);
    [...$("list").querySelectorAll("button")].find((button) => button.dataset.id === id)?.focus();
  }

  const listed = new Set(); // areas whose entries are shown

  function areaEntry(area) {
    const entries = make("ul");
    const details = make("details", { open: listed.has(area.id) },
      make("summary", { textContent: `${area.name} (${area.things.length})` }), entries);
    const fill = () => { if (details.open && !entries.firstChild) entries.append(...area.things.map(entry)); };
    fill();
    details.addEventListener("toggle", () => {
      fill();
      if (details.open) listed.add(area.id); else listed.delete(area.id);
    });
    return details;
  }

  function list() {
    const wanted = $("search").value.trim().toLowerCase();
    if (!wanted) {
      $("list").replaceChildren(...data.areas.map(areaEntry));
      return;
    }
    const found = [...things.values()].filter((one) => one.text.includes(wanted));
    const more = found.length - LISTED_UP_TO;
    $("list").replaceChildren(make("ul", {}, ...found.slice(0, LISTED_UP_TO).map(entry)),
      make("p", { textContent: more > 0 ? `and ${more} more` : found.length ? "" : "No matches." }));
    announce(`${found.length} found`);
  }

  // --- keys, buttons, theme ---

  function theme(name) {
    document.documentElement.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    cy?.style(look());
  }

  function zoom(factor) {
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  }

  const MOVES = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [x, y] = MOVES[event.key] ?? [0, 0];
    if (x || y) cy.panBy({ x, y });
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") cy.fit(undefined, 30);
    else return;
    event.preventDefault();
  }

  function anywhere(event) {
    if (event.key === "/" && document.activeElement !== $("search")) {
      $("search").focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      selected = pathFrom = pathHops = null;
      $("search").value = "";
      draw(false); list(); panel(); announce("cleared");
    }
  }

  function wire() {
    cy.on("tap", "node", (event) => { select(event.target.id(), false); });
    cy.on("dbltap", ".area, .bubble", (event) => { toggle(event.target.id()); });
    $("canvas").addEventListener("keydown", key);
    document.addEventListener("keydown", anywhere);
    $("search").addEventListener("input", list);
    $("in").onclick = () => zoom(1.25);
    $("out").onclick = () => zoom(0.8);
    $("fit").onclick = () => cy.fit(undefined, 30);
    $("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    $("findings-button").onclick = () => { selected = "findings"; draw(false); panel(); };
    $("all").onclick = () => {
      const every = data.areas.every((area) => open.has(area.id));
      open = new Set(every ? [] : data.areas.map((area) => area.id));
      draw(true);
      announce(every ? "all collapsed" : "all expanded");
    };
  }

  // --- live, by kgctl serve ---

  function redraw(fresh) { // keeps scroll position and focus
    const focus = document.activeElement, scroll = $("panel").scrollTop;
    const [kept, id] = [focus?.dataset?.id, focus?.id];
    take(fresh);
    draw(false); list(); panel();
    $("panel").scrollTop = scroll;
    const again = kept ? [...$("list").querySelectorAll("button")].find((one) => one.dataset.id === kept) : id && $(id);
    again?.focus?.({ preventScroll: true });
  }

  async function follow(address, version) {
    try {
      const answer = await fetch(`${address}?since=${version}`, { cache: "no-store", credentials: "omit" });
      if (answer.status === 200) {
        const fresh = await answer.json();
        if (fresh.areas) {
          version = fresh.version;
          redraw(fresh);
        } else {
          const all = data.areas.flatMap((area) => area.things);
          fresh.beats.forEach((value, index) => { all[index].beat = value; });
          heed(fresh);
          tick();
        }
      } else if (answer.status !== 204) throw new Error(`status ${answer.status}`);
      if ($("summary").dataset.lost) { delete $("summary").dataset.lost; take(data); announce("connected again"); }
    } catch {
      if (!$("summary").dataset.lost) announce("kgctl serve does not answer; trying again");
      $("summary").dataset.lost = "yes";
    }
    setTimeout(follow, 2000, address, version);
  }

  take(JSON.parse($("data").textContent));
  if (data.areas.length <= 12 && things.size <= EXPANDED_UP_TO) data.areas.forEach((area) => listed.add(area.id));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  cy = cytoscape({
    container: $("canvas"), elements: [], layout: { name: "preset" }, style: look(), minZoom: 0.02, maxZoom: 6,
    autoungrabify: true, boxSelectionEnabled: false, pixelRatio: 1,
    textureOnViewport: things.size > 1000, hideEdgesOnViewport: things.size > 1000,
  });
  cy.container().style.position = "absolute";
  wire(); draw(true); list(); panel();
  window.kilo = { cy, select, things: () => things }; // for the console and tests
  if (data.ticks) setInterval(tick, 1000);
  if (data.live) follow(data.live, data.version);
})();
