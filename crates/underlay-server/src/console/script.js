// Keeps what a page shows up to date: it asks for the same page again and puts the parts with `data-live` in place of
// those that are there. Focus and scroll stay where they are. A tab that nobody looks at asks for nothing.
"use strict";

const EVERY_MS = 5000;
const WAIT_MAX_MS = 60000;

const connection = document.getElementById("connection");
let failures = 0;
let known = new Date();
let timer;

function parts(of) {
  return Array.from(of.querySelectorAll("[data-live][id]"));
}

// What in a part has the focus, or is scrolled, by its place in it.
function remember(part) {
  const reachable = (of) => Array.from(of.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]"));
  const focused = reachable(part).indexOf(document.activeElement);
  const scrolled = Array.from(part.querySelectorAll(".scroll, pre")).map((one) => [one.scrollLeft, one.scrollTop]);
  const open = Array.from(part.querySelectorAll("details")).map((one) => one.open);
  return (renewed) => {
    renewed.querySelectorAll("details").forEach((one, at) => { if (at in open) one.open = open[at]; });
    renewed.querySelectorAll(".scroll, pre").forEach((one, at) => {
      if (at in scrolled) [one.scrollLeft, one.scrollTop] = scrolled[at];
    });
    const again = focused >= 0 ? reachable(renewed)[focused] : undefined;
    if (again) again.focus({ preventScroll: true });
  };
}

// Whether somebody is filling in a form of a part.
function isInUse(part) {
  const focused = document.activeElement;
  return part.contains(focused) && focused.matches("input, select, textarea");
}

function renew(page) {
  for (const part of parts(document)) {
    const renewed = page.getElementById(part.id);
    if (!renewed || renewed.innerHTML === part.innerHTML || isInUse(part)) continue;
    const restore = remember(part);
    part.replaceChildren(...document.importNode(renewed, true).childNodes);
    restore(part);
  }
}

async function refresh() {
  timer = undefined;
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(30000) });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) {
      // The session has ended.
      location.assign(answer.url);
      return;
    }
    if (!answer.ok) throw new Error("status " + answer.status);
    renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
    failures = 0;
    known = new Date();
    connection.textContent = "";
  } catch {
    failures += 1;
    if (failures === 1) {
      const at = known.toLocaleTimeString();
      connection.textContent = "The connection is lost. Shown is what was known at " + at + ".";
    }
  }
  later();
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.min(EVERY_MS * 2 ** failures, WAIT_MAX_MS));
}

// What was done was done once: it is not told again to who loads the page again or keeps its address.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(history.state, "", address);
}

if (parts(document).length > 0) {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer === undefined) refresh();
  });
  later();
}
