"use strict";
// Draws the boards that the stream brings. Text from the cluster goes in as text, never as markup.

const COLOURS = ["#d1495b", "#2e86ab", "#8a5fbf", "#3a9d6e", "#c98a1b", "#5b6c7d", "#b04a8c", "#4a7c2c"];
const main = document.getElementById("boards");
const drawn = new Map();

function make(tag, text, attributes = {}, ...children) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function who(board) {
  const list = make("dl", "", { class: "who" });
  const line = (name, value) => value && list.append(make("dt", name), make("dd", value));
  line("stable", board.stable);
  line("candidate", board.candidate);
  if (board.asked !== null) {
    const requests = board.requests ? ` (${board.requests[0]} of ${board.requests[0] + board.requests[1]} requests)` : "";
    line("share", `${board.asked}% asked${board.seen ? `, ${board.seen} seen${requests}` : ""}`);
  }
  return list;
}

function steps(board) {
  const list = make("ol", "", { class: "steps" });
  for (const step of board.steps) list.append(make("li", step.name, { "data-state": step.state }));
  return list;
}

function metrics(board) {
  if (!board.metrics.length) return "";
  const head = make("tr", "", {}, ...["metric", "candidate", "stable", "evidence of bound", "", "outcome"].map((one) => make("th", one)));
  const table = make("table", "", {}, head);
  for (const one of board.metrics) {
    const bar = one.part === null ? "" : make("meter", "", { min: 0, max: 1, low: 0.5, high: 0.999, optimum: 0, value: one.part });
    table.append(make("tr", "", {},
      make("td", one.name), make("td", one.candidate, { class: "number" }), make("td", one.stable, { class: "number" }),
      make("td", one.evidence && `${one.evidence} of ${one.bound}`, { class: "number" }), make("td", "", {}, bar),
      make("td", one.outcome, { "data-outcome": one.outcome })));
  }
  return table;
}

function verdicts(board) {
  const list = make("ul", "", { class: "verdicts" });
  for (const one of board.verdicts) {
    const at = new Date(one.at * 1000);
    list.append(make("li", "", {}, make("b", one.verdict, { "data-verdict": one.verdict }),
      ` version ${one.version}, ${one.reason} `, make("time", at.toLocaleString(), { datetime: at.toISOString() }),
      make("div", one.message)));
  }
  return list;
}

// Evidence as a part of its bound: the line at 1 is where a version is rolled back.
function plot(host, caption, x, lines, { time, unit, most, bound }) {
  const figure = make("figure", "", {}, make("figcaption", caption));
  host.append(figure);
  const series = lines.map(([name, values], place) => ({
    label: name, stroke: COLOURS[place % COLOURS.length], width: 2, spanGaps: true, points: { show: values.length < 2 },
  }));
  if (bound) series.push({ label: "rolled back at", stroke: "#b3261e", width: 1, dash: [6, 4], points: { show: false } });
  const data = [x, ...lines.map(([, values]) => values), ...(bound ? [x.map(() => 1)] : [])];
  const ink = getComputedStyle(document.body).color;
  const axis = { stroke: ink, grid: { stroke: "#8884", width: 1 } };
  return new uPlot({
    width: Math.max(280, host.clientWidth - 8), height: 190, series: [{ label: time ? "time" : unit }, ...series],
    scales: { x: { time }, y: { range: (_, low, high) => [0, Math.max(most, high * 1.05)] } }, axes: [axis, { ...axis, size: 46 }],
  }, data, figure);
}

function charts(article, board) {
  const names = [...new Set(board.points.flatMap((one) => Object.keys(one.evidence)))];
  const x = board.points.map((one) => one.at);
  const made = [];
  if (x.length) {
    made.push(plot(article, "share of the requests, in percent", x,
      [["asked", board.points.map((one) => one.asked)], ["seen", board.points.map((one) => one.seen)]], { time: true, most: 10 }));
  }
  if (names.length) {
    made.push(plot(article, "evidence against the candidate, as a part of its bound (logarithms)", x,
      names.map((name) => [name, board.points.map((one) => one.evidence[name] ?? null)]), { time: true, most: 1.1, bound: true }));
  }
  const recorded = Object.entries(board.recorded);
  if (recorded.length) {
    const seconds = recorded[0][1].map(([at]) => at);
    made.push(plot(article, "evidence of the last rollback, from the step's begin", seconds,
      recorded.map(([name, pairs]) => [name, pairs.map(([, part]) => part)]), { time: false, unit: "seconds", most: 1.1, bound: true }));
  }
  return made;
}

function draw(board) {
  const key = `${board.namespace}/${board.name}`;
  const text = JSON.stringify(board);
  const known = drawn.get(key);
  if (known && known.text === text) return known.article;
  if (known) known.charts.forEach((one) => one.destroy());
  const article = make("article", "", { "data-tone": board.tone, "data-name": board.name },
    make("h2", "", {}, board.name, make("span", board.phase, { class: "phase" }),
      make("span", `Ready=${board.ready} ${board.reason}`, { class: "reason" })),
    make("p", board.message, { class: "message" }), steps(board), who(board), metrics(board));
  if (known) known.article.replaceWith(article); else main.append(article);
  const made = charts(article, board);
  board.drift.forEach((line, place) => article.append(make("p", place ? line : `drift: ${line}`, { class: "drift" })));
  article.append(make("p", board.advice, { class: "advice" }), verdicts(board));
  drawn.set(key, { text, article, charts: made });
  return article;
}

function show(state) {
  document.getElementById("namespace").textContent = `namespace ${state.namespace}`;
  document.getElementById("trouble").textContent = state.trouble;
  const there = new Set(state.boards.map((one) => `${one.namespace}/${one.name}`));
  for (const [key, one] of drawn) {
    if (there.has(key)) continue;
    one.charts.forEach((each) => each.destroy());
    one.article.remove();
    drawn.delete(key);
  }
  main.querySelector(".nothing")?.remove();
  state.boards.forEach(draw);
  if (!state.boards.length) main.append(make("p", "There are no model deployments here.", { class: "nothing" }));
}

const stream = new EventSource("events");
stream.onmessage = (event) => show(JSON.parse(event.data));
stream.onerror = () => { document.getElementById("trouble").textContent = "the dashboard has ended or can't be reached"; };
