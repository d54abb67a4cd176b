// Sends what the forms of the page describe, and shows what is answered.
"use strict";

(() => {
  // Kept here and nowhere else: it is gone with the page.
  let token = "";

  const root = document.documentElement;
  root.classList.add("scripted");

  function headers() {
    return token === "" ? {} : { Authorization: `Bearer ${token}` };
  }

  // The address of a form, relative to the page: the service may stand below a name of its own.
  function address(form) {
    let path = form.dataset.path.slice(1);
    const query = new URLSearchParams();
    for (const field of form.querySelectorAll("[data-name]")) {
      if (field.dataset.in === "path") {
        path = path.replace(`{${field.dataset.name}}`, encodeURIComponent(field.value));
      }
      if (field.dataset.in === "query" && field.value !== "") {
        const values = "repeats" in field.dataset ? field.value.split(",") : [field.value];
        for (const value of values) query.append(field.dataset.name, value.trim());
      }
    }
    const text = query.toString();
    return text === "" ? path : `${path}?${text}`;
  }

  function firstMissing(form) {
    let first = null;
    for (const field of form.querySelectorAll("[required]")) {
      const missing = field.value === "";
      field.setAttribute("aria-invalid", String(missing));
      if (missing && first === null) first = field;
    }
    return first;
  }

  function show(output, heading, isGood, text) {
    const line = document.createElement("p");
    line.className = isGood ? "good" : "bad";
    line.textContent = heading;
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.textContent = text;
    output.replaceChildren(line, pre);
  }

  // As it came where it is no JSON, and numbers as they were written.
  function readable(text) {
    let depth = 0;
    let inText = false;
    let out = "";
    try {
      JSON.parse(text);
    } catch {
      return text;
    }
    for (let at = 0; at < text.length; at += 1) {
      const sign = text[at];
      if (inText) {
        out += sign;
        if (sign === "\\") out += text[(at += 1)];
        else if (sign === '"') inText = false;
      } else if (sign === '"') {
        inText = true;
        out += sign;
      } else if (sign === "{" || sign === "[") {
        const isEmpty = text[at + 1] === "}" || text[at + 1] === "]";
        out += sign;
        if (isEmpty) out += text[(at += 1)];
        else out += "\n" + "  ".repeat((depth += 1));
      } else if (sign === "}" || sign === "]") {
        out += "\n" + "  ".repeat((depth -= 1)) + sign;
      } else if (sign === ",") {
        out += ",\n" + "  ".repeat(depth);
      } else if (sign === ":") {
        out += ": ";
      } else {
        out += sign;
      }
    }
    return out;
  }

  async function send(form) {
    const output = form.querySelector("output");
    const missing = firstMissing(form);
    if (missing !== null) {
      missing.focus();
      show(output, "Something is missing.", false, `${missing.dataset.name} is required.`);
      return;
    }
    const button = form.querySelector("button");
    const request = { method: form.dataset.method, headers: headers(), cache: "no-store" };
    for (const field of form.querySelectorAll('[data-in="header"]')) {
      if (field.value !== "") request.headers[field.dataset.name] = field.value;
    }
    const body = form.querySelector("[data-body]");
    if (body !== null && body.value.trim() !== "") {
      request.headers["Content-Type"] = "application/json";
      request.body = body.value;
    }
    button.disabled = true;
    const start = performance.now();
    try {
      const answer = await fetch(address(form), request);
      const text = await answer.text();
      const told = ["Location", "ETag", "Retry-After", "Idempotent-Replayed"].flatMap((name) => {
        const value = answer.headers.get(name);
        return value === null ? [] : [`${name}: ${value}`];
      });
      const time = `${Math.round(performance.now() - start)} ms`;
      const heading = [`${answer.status} ${answer.statusText}`.trim(), time, ...told].join(" · ");
      show(output, heading, answer.ok, readable(text));
    } catch (error) {
      show(output, "There was no answer.", false, String(error));
    } finally {
      button.disabled = false;
    }
  }

  // The page for whoever the token is of.
  async function identify(form) {
    const field = form.querySelector("input");
    const told = document.getElementById("identified");
    const typed = field.value.trim();
    try {
      const answer = await fetch("docs", { headers: { Authorization: `Bearer ${typed}` }, cache: "no-store" });
      if (!answer.ok) {
        const problem = await answer.json();
        told.textContent = problem.detail;
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.getElementById("content").replaceWith(document.adoptNode(page.getElementById("content")));
      token = typed;
      field.value = "";
      told.textContent = "The token is used, and kept in the memory of this page alone.";
    } catch (error) {
      told.textContent = `There was no answer: ${error}`;
    }
  }

  // Whoever follows a link to an operation sees it.
  function openNamed() {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (named instanceof HTMLDetailsElement) named.open = true;
  }

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target.id === "credentials") identify(event.target);
    else send(event.target);
  });
  window.addEventListener("hashchange", openNamed);
  openNamed();
})();
