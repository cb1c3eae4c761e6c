"use strict";
// The page. Text of a model reaches the document as text, or through markdown-it (no HTML) and DOMPurify as a fragment.
const $ = (id) => document.getElementById(id);
const numbers = ["temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty", "seed", "max_tokens"];
const texts = ["system", "schema", "key"];
const markdown = markdownit({ html: false, linkify: false, breaks: true });
let talk = store.state.talks[0] || store.begin();
let running = null; // the AbortController of an answer under way
let schema = null; // what the box holds, when it can be followed
let length = 0; // positions of a request's context

const element = (name, more = {}, ...children) => {
  const made = Object.assign(document.createElement(name), more);
  made.append(...children);
  return made;
};
const notice = (text) => { $("notice").textContent = text || ""; };
const keep = () => notice(store.save());
const headers = () => ({ "Content-Type": "application/json", ...($("key").value ? { Authorization: "Bearer " + $("key").value } : {}) });
const ask = async (path, body, more = {}) => {
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers: headers(), body: body && JSON.stringify(body), ...more });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  throw new Error(said?.error?.message || `the server said ${answer.status}`);
};

function rendered(text) {
  const fragment = DOMPurify.sanitize(markdown.render(text), {
    RETURN_DOM_FRAGMENT: true, FORBID_TAGS: ["img", "style", "form", "input", "button", "svg", "math", "video", "audio", "iframe"], FORBID_ATTR: ["style", "id", "class", "name"],
  });
  for (const link of fragment.querySelectorAll("a")) { link.target = "_blank"; link.rel = "noopener noreferrer"; }
  return fragment;
}

// Messages

function said(message) {
  const out = element("div", { className: "said" });
  if (message.role === "assistant" && message.tokens && $("probabilities").checked) {
    out.classList.add("tokens");
    for (const token of message.tokens) out.append(tokenSpan(token));
  } else if (message.plain) { out.classList.add("plain"); out.textContent = message.content; // JSON of a schema is no Markdown
  } else if (message.role === "assistant") out.append(rendered(message.content));
  else out.textContent = message.content;
  return out;
}

function tokenSpan([text, p, best]) {
  const out = element("span", { textContent: text, tabIndex: 0, className: "p" + (p > 0.8 ? 3 : p > 0.4 ? 2 : p > 0.1 ? 1 : 0) });
  const lines = best.map(([t, q]) => `${(100 * q).toFixed(1).padStart(5)} %  ${JSON.stringify(t)}${t === text ? " ←" : ""}`);
  out.setAttribute("aria-label", `${text}: ${(100 * p).toFixed(1)} percent`);
  const show = () => {
    const box = $("best"), at = out.getBoundingClientRect();
    box.textContent = lines.join("\n");
    box.hidden = false;
    // positions as properties of CSS' object model: a strict policy forbids style attributes, not these
    box.style.left = Math.max(4, Math.min(at.left, innerWidth - box.offsetWidth - 4)) + "px";
    box.style.top = (at.bottom + box.offsetHeight + 8 > innerHeight ? at.top - box.offsetHeight - 4 : at.bottom + 4) + "px";
  };
  const hide = () => { $("best").hidden = true; };
  out.addEventListener("mouseenter", show);
  out.addEventListener("focus", show);
  out.addEventListener("mouseleave", hide);
  out.addEventListener("blur", hide);
  return out;
}

function article(message, index) {
  const acts = element("div", { className: "acts" });
  const act = (name, what) => { const b = element("button", { type: "button", textContent: name }); b.addEventListener("click", what); acts.append(b); };
  act("Edit", () => edit(message, index));
  if (message.role === "assistant") act("Again", () => { if (!running) { talk.messages.length = index; answer(); } });
  act("Copy", () => navigator.clipboard?.writeText(message.content));
  if (message.note) acts.append(element("span", { textContent: message.note }));
  return element("article", { className: message.role }, element("h2", { textContent: message.role === "user" ? "You" : "Model" }), said(message), acts);
}

function draw() {
  $("log").replaceChildren(...talk.messages.map(article));
  $("log").scrollTop = $("log").scrollHeight;
  $("talk-list").replaceChildren(...store.state.talks.map((t) => {
    const open = element("button", { type: "button", textContent: t.title || "New conversation" });
    open.addEventListener("click", () => { if (!running) { talk = t; draw(); $("talks").classList.remove("open"); } });
    const away = element("button", { type: "button", textContent: "×", title: "Delete" });
    away.setAttribute("aria-label", `Delete ${t.title || "the conversation"}`);
    away.addEventListener("click", () => {
      if (running || !confirm("Delete this conversation?")) return;
      store.remove(t);
      if (t === talk) talk = store.state.talks[0] || store.begin();
      keep(); draw();
    });
    const row = element("li", {}, open, away);
    if (t === talk) row.setAttribute("aria-current", "true");
    return row;
  }));
}

function edit(message, index) {
  if (running) return;
  const box = element("textarea", { value: message.content, rows: Math.min(12, message.content.split("\n").length + 1) });
  box.setAttribute("aria-label", "Edit the message");
  const save = element("button", { type: "button", textContent: message.role === "user" ? "Send again" : "Keep" });
  const cancel = element("button", { type: "button", textContent: "Cancel" });
  cancel.addEventListener("click", draw);
  save.addEventListener("click", () => {
    message.content = box.value;
    delete message.tokens;
    if (message.role === "user") { talk.messages.length = index + 1; answer(); } else { keep(); draw(); }
  });
  box.addEventListener("keydown", (e) => { if (e.key === "Escape") draw(); if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) save.click(); });
  $("log").children[index].replaceChildren(box, element("div", { className: "acts" }, save, cancel));
  box.focus();
}

// Answers

function request() {
  const body = { model: $("model").value || undefined, stream: true, stream_options: { include_usage: true }, timings_per_token: true, messages: [] };
  if ($("system").value) body.messages.push({ role: "system", content: $("system").value });
  for (const m of talk.messages) body.messages.push({ role: m.role, content: m.content });
  for (const name of numbers) if ($(name).value !== "" && Number.isFinite(Number($(name).value))) body[name] = Number($(name).value);
  if (schema !== null) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  if ($("probabilities").checked) { body.logprobs = true; body.top_logprobs = 5; }
  return body;
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    for (let at; (at = held.indexOf("\n\n")) >= 0; held = held.slice(at + 2)) {
      const line = held.slice(0, at);
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

async function answer() {
  if ($("schema").value.trim() && schema === null) { notice("The schema cannot be followed; see its box."); draw(); return; }
  notice("");
  const body = request();
  const message = { role: "assistant", content: "", tokens: [], ...(schema === null ? {} : { plain: true }) };
  talk.messages.push(message);
  draw();
  busy(running = new AbortController());
  let rate = 0, reason = "";
  let waiting = false;
  const show = () => {
    waiting = false;
    const at = $("log").lastElementChild, low = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;
    at?.querySelector(".said")?.replaceWith(said(message));
    if (low) $("log").scrollTop = $("log").scrollHeight;
  };
  try {
    for await (const event of events(await ask("/v1/chat/completions", body, { signal: running.signal }))) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) context(event.usage.total_tokens);
      rate = event.timings?.predicted_per_second || rate;  // the server's clock: here several tokens may arrive at once
      const choice = event.choices[0];
      if (!choice) continue;
      message.content += choice.delta.content || "";
      for (const t of choice.logprobs?.content || [])
        message.tokens.push([t.token, Math.exp(t.logprob), t.top_logprobs.map((b) => [b.token, Math.exp(b.logprob)])]);
      reason = choice.finish_reason || reason;
      if (!waiting) { waiting = true; requestAnimationFrame(show); }
    }
    message.note = reason === "length" ? "ended: no more tokens" : "";
  } catch (problem) {
    if (problem.name === "AbortError") message.note = "stopped";
    else { notice(problem.message); if (!message.content) talk.messages.pop(); }
  }
  if (!message.tokens.length) delete message.tokens;
  if (rate) $("speed").textContent = `${rate.toFixed(1)} tokens/s`;
  talk.title ||= (talk.messages[0]?.content || "").slice(0, 40);
  busy(running = null);
  const problem = store.save();
  if (problem) notice(problem);
  draw();
  if (schema !== null && message.content) conforms(message.content);
}

function busy(on) {
  $("send").hidden = Boolean(on);
  $("stop").hidden = !on;
  if (!on) $("text").focus();
}

function context(used) {
  $("context").max = length || 1;
  $("context").value = used;
  $("context-text").textContent = length ? `${used} / ${length}` : "";
}

// The schema box

let checking = 0;
async function check() {
  const number = ++checking, text = $("schema").value.trim(), tell = (kind, what) => { $("schema-state").className = kind; $("schema-state").textContent = what; };
  schema = null;
  if (!text) return tell("", "");
  let value;
  try { value = JSON.parse(text); } catch (problem) { return tell("bad", "No JSON yet: " + problem.message); }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return tell("bad", "A schema is an object.");
  try {
    const said = await (await ask("/check", { model: $("model").value || undefined, json_schema: value })).json();
    if (number !== checking) return;
    if (said.followed) { schema = value; tell("good", "✓ Answers will be of this schema."); } else tell("bad", said.why);
  } catch (problem) { if (number === checking) tell("bad", problem.message); }
}
async function conforms(text) {
  try {
    const said = await (await ask("/check", { model: $("model").value || undefined, json_schema: schema, text })).json();
    $("schema-state").className = said.accepted ? "good" : "bad";
    $("schema-state").textContent = said.accepted ? "✓ The last answer is of this schema." : "The last answer is not whole: it was ended before its end.";
  } catch { /* the next change of the box says so */ }
}

// Beginning

async function models() {
  try {
    const list = (await (await ask("/v1/models")).json()).data.map((m) => m.id);
    const before = $("model").value;
    $("model").replaceChildren(...list.map((id) => element("option", { value: id, textContent: id })));
    if (list.includes(before)) $("model").value = before;
    await props();
    notice("");
  } catch (problem) { notice(problem.message); }
}
async function props() {
  const said = await (await ask("/props?model=" + encodeURIComponent($("model").value))).json();
  length = said.default_generation_settings.n_ctx;
  for (const name of numbers) {
    const value = said.default_generation_settings.params[name];
    if (name !== "seed" && name !== "max_tokens" && typeof value === "number") $(name).placeholder = value;
  }
  context(0);
}

for (const name of [...numbers, ...texts]) {
  const key = name === "key" ? sessionStorage.getItem("llama2swift-key") : store.state.settings[name];
  if (key !== undefined && key !== null) $(name).value = key;
  $(name).addEventListener("change", () => {
    if (name === "key") sessionStorage.setItem("llama2swift-key", $(name).value), models();
    else { store.state.settings[name] = $(name).value; keep(); }
  });
}
$("probabilities").checked = Boolean(store.state.settings.probabilities);
$("probabilities").addEventListener("change", () => { store.state.settings.probabilities = $("probabilities").checked; keep(); draw(); });
let later = 0;
$("schema").addEventListener("input", () => { clearTimeout(later); later = setTimeout(check, 300); });
$("model").addEventListener("change", () => props().then(check, (problem) => notice(problem.message)));
$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim() || running) return;
  $("text").value = "";
  talk.messages.push({ role: "user", content: text });
  answer();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("compose").requestSubmit(); }
});
$("stop").addEventListener("click", () => running?.abort());
const anew = () => { if (!running) { talk = talk.messages.length ? store.begin() : talk; keep(); draw(); $("text").focus(); } };
$("new").addEventListener("click", anew);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { running?.abort(); for (const id of ["talks", "settings"]) $(id).classList.remove("open"); }
  if (event.altKey && event.key.toLowerCase() === "n") { event.preventDefault(); anew(); }
});
for (const id of ["talks", "settings"])
  $("show-" + id).addEventListener("click", () => { const open = $(id).classList.toggle("open"); $("show-" + id).setAttribute("aria-expanded", String(open)); });
$("export").addEventListener("click", () => {
  const link = element("a", { href: URL.createObjectURL(new Blob([store.exported()], { type: "application/json" })), download: "llama2swift.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
$("import").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  const file = $("file").files[0];
  $("file").value = "";
  if (!file) return;
  try { store.imported(await file.text()); talk = store.state.talks[0]; keep(); draw(); } catch (problem) { notice(`${file.name}: ${problem.message}`); }
});
draw();
models().then(check);
