"use strict";
// Conversations and settings in the browser; a conversation is {id, title, messages: [{role, content, tokens?}]}.
const store = (() => {
  const key = "llama2swift";
  const read = () => {
    try {
      const value = JSON.parse(localStorage.getItem(key) || "{}");
      return { talks: Array.isArray(value.talks) ? value.talks.filter(isTalk) : [], settings: value.settings || {} };
    } catch { return { talks: [], settings: {} }; }
  };
  const isTalk = (t) => t && typeof t.id === "string" && typeof t.title === "string" && Array.isArray(t.messages) && t.messages.every(
    (m) => m && ["system", "user", "assistant"].includes(m.role) && typeof m.content === "string");
  const state = read();
  return {
    state,
    save() {
      try { localStorage.setItem(key, JSON.stringify(state)); return ""; } catch { return "The browser keeps no more conversations: export some and delete them."; }
    },
    begin() {
      const talk = { id: crypto.randomUUID ? crypto.randomUUID() : String(Date.now()) + Math.random(), title: "", messages: [] };
      state.talks.unshift(talk);
      return talk;
    },
    remove(talk) { state.talks = state.talks.filter((t) => t !== talk); },
    exported: () => JSON.stringify({ llama2swift: 1, talks: state.talks }, null, 1),
    imported(text) {
      const value = JSON.parse(text);
      const talks = Array.isArray(value.talks) ? value.talks : value.messages ? [{ id: "", title: "", messages: value.messages }] : null;
      if (!talks || !talks.every((t) => isTalk({ ...t, id: String(t.id), title: String(t.title ?? "") }))) throw new Error("no conversations of this page");
      // nothing but what this page knows comes in
      const clean = talks.map((t) => ({
        id: crypto.randomUUID ? crypto.randomUUID() : String(Math.random()), title: String(t.title ?? ""),
        messages: t.messages.map((m) => ({ role: m.role, content: m.content })),
      }));
      state.talks.unshift(...clean);
      return clean.length;
    },
  };
})();
