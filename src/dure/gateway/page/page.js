"use strict";
// Looks at /live.json once a second while somebody looks at the page, and draws what changed since.

const KOREAN = {
  skip: "본문으로 가기", docs: "엔드포인트", key: "API 키", flow: "Flow", executor: "Executor", rate: "초당 요청",
  queued: "대기", batch: "배치당 문서", compute: "계산, ms", replicas: "복제본", refused: "거절", time: "지난 2분",
  answered: "초당 응답", latency: "지연 시간(ms), 중앙값과 99 %", devices: "장치", errors: "최근 오류", none: "없습니다.",
  try: "엔드포인트 시험", endpoint: "엔드포인트", text: "글, 한 줄에 문서 하나", file: "또는 파일", parameters: "매개변수(JSON)",
  send: "보내기", ready: "준비됨", starting: "준비되지 않음", gone: "응답 없음", locked: "API 키가 필요합니다", took: "걸린 시간",
  free: "쉼", busy: "일하는 중", silent: "응답 없음", memory: "메모리", load: "부하", waiting: "대기", perSecond: "/초",
};
const ENGLISH = {
  ready: "ready", starting: "not ready", gone: "no answer", locked: "an API key is needed", took: "took",
  free: "free", busy: "busy", silent: "does not answer", memory: "memory", load: "load", waiting: "waiting", perSecond: "/s",
};
document.querySelectorAll("[data-text]").forEach((part) => { ENGLISH[part.dataset.text] = part.textContent; });

const SAMPLES = 120;
const $ = (id) => document.getElementById(id);
let words = ENGLISH;
let last = null;
let drawn = null;
const rates = [], medians = [], slowest = [];

function speak(language) {
  words = language === "ko" ? KOREAN : ENGLISH;
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((part) => { part.textContent = words[part.dataset.text]; });
  $("language").textContent = language === "ko" ? "English" : "한국어";
  $("language").lang = language === "ko" ? "en" : "ko";
  localStorage.setItem("language", language);
  if (drawn) draw(...drawn);
}

function headers() {
  const key = $("key").value;
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function element(tag, attributes, ...children) {
  const drawing = ["svg", "rect", "text", "path", "title"].includes(tag);
  const made = drawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const difference = (now, then) => now.map((count, i) => count - (then ? then[i] : 0));
const total = (counts) => counts.reduce((sum, count) => sum + count, 0);

function quantile(bounds, counts, share) {
  // Within a bucket values are taken to be spread evenly.
  let wanted = total(counts) * share;
  if (!wanted) return null;
  for (let i = 0; i < counts.length; i += 1) {
    if (counts[i] >= wanted) {
      const low = i ? bounds[i - 1] : 0;
      const high = i < bounds.length ? bounds[i] : low * 2;
      return low + (high - low) * (wanted / counts[i]);
    }
    wanted -= counts[i];
  }
  return null;
}

function changes(executor, before, seconds) {
  const rows = difference(executor.batch_rows.counts, before && before.batch_rows.counts);
  const batches = total(rows);
  const since = (name) => executor[name] - (before ? before[name] : 0);
  return {
    rate: since("num_requests") / seconds,
    batch: batches ? (executor.batch_rows.sum - (before ? before.batch_rows.sum : 0)) / batches : null,
    compute: batches ? (1000 * since("busy_s")) / batches : null,
  };
}

function draw(live, seconds, before) {
  const old = new Map((before ? before.executors : []).map((executor) => [executor.name, executor]));
  const facts = new Map(live.executors.map((one) => [one.name, changes(one, old.get(one.name), seconds)]));
  $("graph").replaceChildren(graph(live.executors, facts));
  $("executors").replaceChildren(...live.executors.map((one) => row(one, facts.get(one.name))));
  $("rates").replaceChildren(chart([rates], words.answered));
  $("latencies").replaceChildren(chart([medians, slowest], words.latency));
  const now = (values) => (values.length && values.at(-1) !== null ? short(values.at(-1)) : "–");
  $("rate").textContent = now(rates);
  $("latency").textContent = `${now(medians)} · ${now(slowest)}`;
  $("devices").replaceChildren(...live.devices.map(device));
  $("errors").replaceChildren(...live.errors.map(fault));
  $("no-errors").hidden = live.errors.length > 0;
  const names = live.endpoints.join("\n");
  if ($("endpoint").dataset.names !== names) {
    $("endpoint").replaceChildren(...live.endpoints.map((name) => element("option", {}, name)));
    $("endpoint").dataset.names = names;
  }
}

function stateOf(replica) {
  if (replica.silent) return "silent";
  return replica.busy ? "busy" : "free";
}

function row(executor, fact) {
  const chips = executor.replicas.map((replica) => element("span",
    { class: `chip ${stateOf(replica)}` }, `${replica.number}: ${words[stateOf(replica)]}`));
  const cells = [short(fact.rate), String(executor.queued), fact.batch === null ? "–" : short(fact.batch),
    fact.compute === null ? "–" : short(fact.compute)];
  return element("tr", {}, element("th", { scope: "row" }, executor.name), ...cells.map((text) => element("td", {}, text)),
    element("td", {}, ...chips), element("td", {}, String(executor.refused)));
}

function graph(executors, facts) {
  const depth = new Map([["gateway", 0]]);
  executors.forEach((one) => depth.set(one.name, 1 + Math.max(...one.needs.map((need) => depth.get(need) || 0))));
  const columns = [];
  ["gateway", ...executors.map((one) => one.name)].forEach((name) => {
    const column = depth.get(name);
    (columns[column] = columns[column] || []).push(name);
  });
  const place = new Map();
  columns.forEach((names, x) => names.forEach((name, y) => place.set(name, [20 + x * 220, 16 + y * 80])));
  const width = columns.length * 220, height = 16 + 80 * Math.max(...columns.map((names) => names.length));
  const picture = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  picture.append(element("title", {}, `${words.flow}: ${executors.map((one) => `${one.needs.join(", ")} → ${one.name}`).join("; ")}`));
  executors.forEach((one) => one.needs.forEach((need) => {
    const [fromX, fromY] = place.get(need), [toX, toY] = place.get(one.name);
    const [x, y, endX, endY] = [fromX + 150, fromY + 25, toX, toY + 25];
    picture.append(element("path", { class: "edge", d: `M${x},${y} C${x + 35},${y} ${endX - 35},${endY} ${endX},${endY}` }));
    picture.append(element("text", { class: "soft", x: (x + endX) / 2 - 22, y: (y + endY) / 2 - 6 },
      `${short(facts.get(one.name).rate)}${words.perSecond}`));
  }));
  place.forEach(([x, y], name) => {
    const executor = executors.find((one) => one.name === name);
    const busy = executor && executor.replicas.some((replica) => replica.busy);
    picture.append(element("rect", { class: busy ? "busy" : "", x, y, width: 150, height: 50, rx: 6 }));
    picture.append(element("text", { x: x + 12, y: y + 22 }, name));
    if (executor) {
      picture.append(element("text", { class: "soft", x: x + 12, y: y + 40 },
        `${executor.replicas.length} × · ${words.waiting} ${executor.queued}`));
    }
  });
  return picture;
}

function chart(series, label) {
  const width = 460, height = 120;
  const most = Math.max(1e-9, ...series.flat().filter((value) => value !== null));
  const picture = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  picture.append(element("path", { class: "axis", d: `M0,${height - 1} H${width} M0,10 H${width}` }));
  picture.append(element("text", { class: "soft", x: 4, y: 22 }, short(most)));
  series.forEach((values, i) => {
    let line = "", pen = "M";
    values.forEach((value, at) => {
      if (value === null) { pen = "M"; return; }
      const x = width * (1 - (values.length - 1 - at) / (SAMPLES - 1));
      line += `${pen}${x.toFixed(1)},${(height - 1 - (height - 11) * (value / most)).toFixed(1)}`;
      pen = "L";
    });
    picture.append(element("path", { class: i ? "two" : "one", d: line || "M0,0" }));
  });
  return picture;
}

function device(one) {
  const item = element("li", {}, `${one.name} `);
  if (one.utilization !== null) item.append(element("meter", { min: 0, max: 1, value: one.utilization, "aria-label": words.load }), " ");
  if (one.memory_bytes) item.append(`${words.memory} ${(one.used_bytes / 2 ** 30).toFixed(1)} / ${(one.memory_bytes / 2 ** 30).toFixed(1)} GiB`);
  return item;
}

function fault(one) {
  const when = new Date(Date.now() - 1000 * one.ago_s).toLocaleTimeString();
  return element("li", {}, `${when} ${one.endpoint} `, element("code", {}, one.code), ` ${one.message}`);
}

function remember(values, value) {
  values.push(value);
  if (values.length > SAMPLES) values.shift();
}

async function look() {
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch("live.json", { headers: headers() });
  } catch {
    $("state").textContent = words.gone;
    return;
  }
  if (!answer.ok) {
    $("state").textContent = answer.status === 401 || answer.status === 403 ? words.locked : `${answer.status}`;
    return;
  }
  const live = await answer.json();
  $("state").textContent = live.ready ? words.ready : words.starting;
  const seconds = last ? Math.max(live.at_s - last.at_s, 0.001) : 1;
  if (last) {
    const counts = difference(live.seconds.counts, last.seconds.counts);
    remember(rates, (live.answered - last.answered) / seconds);
    [[medians, 0.5], [slowest, 0.99]].forEach(([values, share]) => {
      const found = quantile(live.seconds.bounds, counts, share);
      remember(values, found === null ? null : 1000 * found);
    });
  }
  drawn = [live, seconds, last || live];
  draw(...drawn);
  last = live;
}

async function send(event) {
  event.preventDefault();
  const file = $("file").files[0];
  let body, more = {};
  const begin = performance.now();
  try {
    const parameters = JSON.parse($("parameters").value || "{}");
    if (file) {
      body = new FormData();
      body.append("file", file);
      body.append("parameters", JSON.stringify(parameters));
    } else {
      more = { "Content-Type": "application/json" };
      body = JSON.stringify({ data: $("text").value.split("\n").filter(Boolean), parameters });
    }
    const answer = await fetch(`.${$("endpoint").value}`, { method: "POST", headers: { ...headers(), ...more }, body });
    const text = await answer.text();
    $("took").textContent = `${answer.status} · ${words.took} ${short(performance.now() - begin)} ms`;
    $("answer").textContent = readable(text);
    $("marked").replaceChildren(...documentsOf(text).filter(hasEntities).map(marked));
  } catch (error) {
    $("took").textContent = "";
    $("marked").replaceChildren();
    $("answer").textContent = String(error);
  }
}

function readable(text) {
  // A vector of hundreds of numbers is shown by its first ones.
  try {
    return JSON.stringify(JSON.parse(text), (name, value) => (Array.isArray(value) && value.length > 8 && typeof value[0] === "number"
      ? `[${value.slice(0, 6).join(", ")}, … ${value.length}]` : value), 2);
  } catch {
    return text;
  }
}

function documentsOf(text) {
  try {
    const { data } = JSON.parse(text);
    return Array.isArray(data) ? data : [];
  } catch {
    return [];
  }
}

function hasEntities(one) {
  return Boolean(one && typeof one.text === "string" && one.tags && Array.isArray(one.tags.entities));
}

function marked(one) {
  // Places are counted in code points; a string of JavaScript has two places for an emoji.
  const letters = Array.from(one.text), kinds = [...new Set(one.tags.entities.map((entity) => entity.type))].sort();
  const line = element("p", {});
  let at = 0;
  one.tags.entities.forEach((entity) => {
    line.append(letters.slice(at, entity.start).join(""));
    const shade = `kind${kinds.indexOf(entity.type) % 6}`;
    line.append(element("mark", { class: shade, title: String(entity.score ?? "") },
      letters.slice(entity.start, entity.end).join(""), element("small", {}, ` ${entity.type}`)));
    at = entity.end;
  });
  line.append(letters.slice(at).join(""));
  return line;
}

$("language").addEventListener("click", () => speak(document.documentElement.lang === "ko" ? "en" : "ko"));
$("key").value = sessionStorage.getItem("key") || "";
$("key").addEventListener("change", () => { sessionStorage.setItem("key", $("key").value); look(); });
$("form").addEventListener("submit", send);
speak(localStorage.getItem("language") || (navigator.language.startsWith("ko") ? "ko" : "en"));
look();
setInterval(look, 1000);
document.addEventListener("visibilitychange", look);
