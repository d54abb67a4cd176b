
// Events as they happen: rows are put on top of the table as the feed gives them. A tab that nobody looks at follows
// nothing, and goes on behind the last event once it is looked at.
{
  const ROWS_MAX = 200;
  const PAUSE_MS = 2000;
  const region = document.querySelector("[data-feed]");
  // The path of its host that the service is below.
  const base = document.documentElement.dataset.base ?? "";

  if (region) {
    const body = region.querySelector("tbody");
    const state = document.getElementById("live-state");
    const told = document.createElement("span");
    const toggle = document.createElement("button");
    let lastId = "";
    let going;
    let isPaused = false;
    let arrived = 0;

    toggle.type = "button";
    toggle.className = "plain";
    state.append(told, " ", toggle);

    function tell(text) {
      told.textContent = text + (arrived > 0 ? " " + arrived + " new." : "");
      toggle.textContent = isPaused ? "Go on" : "Pause";
    }

    function link(href, text) {
      const to = document.createElement("a");
      to.href = href;
      to.textContent = text;
      return to;
    }

    function cell(kind, className, ...content) {
      const made = document.createElement(kind);
      if (className) made.className = className;
      made.append(...content);
      return made;
    }

    function row(event) {
      const position = cell("th", "number", link(base + "/console/events/" + encodeURIComponent(event.position), event.position));
      position.scope = "row";
      const when = document.createElement("time");
      when.dateTime = event.recorded_at;
      when.textContent = event.recorded_at.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");
      const payload = document.createElement("code");
      payload.className = "excerpt";
      const text = JSON.stringify(event.payload) ?? "";
      payload.textContent = text.length > 100 ? text.slice(0, 100) + "…" : text;
      const stream = base + "/console/streams/" + encodeURIComponent(event.stream) + "?version=" + event.version;
      const made = document.createElement("tr");
      made.dataset.position = event.position;
      made.className = "new";
      made.append(
        position,
        cell("td", "line", event.type),
        cell("td", "line", link(stream, event.stream)),
        cell("td", "number", String(event.version)),
        cell("td", "line", when),
        cell("td", "", event.metadata?.actor ?? "–"),
        cell("td", "", payload),
      );
      return made;
    }

    function take(block) {
      const fields = { data: "" };
      for (const line of block.split("\n")) {
        const at = line.indexOf(": ");
        if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
      }
      if (fields.id) lastId = fields.id;
      if (!fields.data) return;
      const data = JSON.parse(fields.data);
      if (fields.event === "underlay:end") {
        if (data.reason === "credentials" || data.reason === "reset") throw new Error(data.detail);
        return;
      }
      if (body.querySelector('tr[data-position="' + CSS.escape(data.position) + '"]')) return;
      body.prepend(row(data));
      document.getElementById("nothing")?.remove();
      while (body.rows.length > ROWS_MAX) body.lastElementChild.remove();
      arrived += 1;
      tell("New events appear on top.");
    }

    async function read(answer) {
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        text += value;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          take(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    }

    async function follow() {
      const own = new AbortController();
      going = own;
      while (going === own) {
        try {
          const headers = { accept: "text/event-stream" };
          if (lastId) headers["last-event-id"] = lastId;
          const answer = await fetch(region.dataset.feed, { headers, signal: own.signal, cache: "no-store" });
          if (answer.redirected) {
            const asked = location.pathname.slice(base.length) + location.search;
            location.assign(base + "/console/sign-in?next=" + encodeURIComponent(asked));
            return;
          }
          if (answer.status === 409) {
            location.reload();
            return;
          }
          if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
            throw new Error("The service does not let you follow: status " + answer.status);
          }
          if (answer.ok) {
            tell("New events appear on top.");
            await read(answer);
          }
        } catch (error) {
          if (own.signal.aborted) return;
          if (!(error instanceof TypeError)) {
            tell(error.message + ".");
            going = undefined;
            return;
          }
        }
        if (going !== own) return;
        tell("The connection is lost; it is tried again.");
        await new Promise((again) => setTimeout(again, PAUSE_MS));
      }
    }

    function stop(text) {
      going?.abort();
      going = undefined;
      tell(text);
    }

    toggle.addEventListener("click", () => {
      isPaused = !isPaused;
      if (isPaused) stop("Paused.");
      else follow();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stop("Paused while nobody looks.");
      else if (!isPaused && !going) follow();
    });
    addEventListener("pagehide", () => stop("Paused while nobody looks."));
    addEventListener("pageshow", (event) => {
      if (event.persisted && !isPaused && !going) follow();
    });
    tell("New events appear on top.");
    if (!document.hidden) follow();
  }
}

// The slider of a stream: the page of the version it stands at takes the place of what is shown.
{
  const DELAY_MS = 120;
  const form = document.querySelector("form[data-slider]");

  if (form) {
    const range = form.querySelector("input[type=range]");
    const output = form.querySelector("output");
    let timer;
    let asked = 0;

    async function show() {
      const address = new URL(form.action);
      address.searchParams.set("version", range.value);
      asked += 1;
      const own = asked;
      try {
        const answer = await fetch(address, { headers: { accept: "text/html" } });
        if (answer.redirected) {
          location.assign(address);
          return;
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const shown = document.getElementById(form.dataset.slider);
        const renewed = page.getElementById(form.dataset.slider);
        // Another one was asked for meanwhile.
        if (own !== asked || !renewed) return;
        shown.replaceChildren(...document.importNode(renewed, true).childNodes);
        history.replaceState(null, "", address);
        document.getElementById("connection").textContent = "";
      } catch {
        document.getElementById("connection").textContent = "The connection is lost. Move the slider again.";
      }
    }

    range.addEventListener("input", () => {
      output.value = range.value;
      clearTimeout(timer);
      timer = setTimeout(show, DELAY_MS);
    });
    // With a script there is nothing to press.
    form.querySelector("button").hidden = true;
  }
}
