// The report's plots: quality against cost on axes to choose, latencies, and the loss on each picture.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("plots-data").textContent);
  const GREY = "#7a828c";
  const GRID = "rgba(128,128,128,0.22)";
  const RING = "#c026d3";
  const LOOK = {
    teacher: { symbol: "diamond", color: "#dd8a1f", size: 13 },
    sound: { symbol: "circle", color: "#3b82d6", size: 10 },
    failed: { symbol: "circle-open", color: "#d0504a", size: 10 },
  };
  const MOST_LABELS = 15; // with more points, only the front is labelled
  const FONT = "13px system-ui, sans-serif";
  const PRINTED_WIDTH = 660;
  const pen = document.createElement("canvas").getContext("2d");
  let selected = null;
  let printing = false;
  const bands = new Map(); // by plot: the shapes that mark the selected row

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const unsigned = (text) => text.replace(/^-(?=[0.]+$)/, ""); // no zero has a sign
  const shortened = (name, most) => (name.length <= most ? name : `${name.slice(0, most - 1)}…`);

  // A label, and how much of the plot it takes.
  function widthOf(text) {
    pen.font = FONT;
    return pen.measureText(text).width;
  }

  // A text in lines that are no longer than so much, as far as its words allow.
  function linesOf(text, most) {
    const lines = [];
    for (const word of text.split(" ")) {
      const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
      if (lines.length && widthOf(longer) <= most) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  }

  const titled = (lines) => ({ text: lines.map(escaped).join("<br>"), font: { size: 13 }, standoff: 10 });

  function layoutOf(width, height, more) {
    const hoverlabel = { bgcolor: "#1c2126", bordercolor: GREY, font: { color: "#ffffff", size: 12 }, align: "left" };
    return {
      template: "none", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: "system-ui, sans-serif", size: 13, color: GREY }, hovermode: "closest", hoverlabel,
      dragmode: width < 700 ? false : "zoom", width, height, ...more,
    };
  }

  function draw(id, traces, layout) {
    const element = byId(id);
    Plotly.react(element, traces, layout, { displayModeBar: false });
    if (element.dataset.heard) return;
    element.dataset.heard = "yes";
    element.on("plotly_click", (event) => {
      const name = event.points[0].customdata;
      if (typeof name === "string") window.lightsharp?.selectRow?.(name);
    });
  }

  const roomOf = (id) => (printing ? PRINTED_WIDTH : byId(id).parentElement.clientWidth - 24);

  // Labels: one after the other to the place where it covers least; none where it could not be read.

  const PLACES = [["top center", 0, 1], ["bottom center", 0, -1], ["middle right", 1, 0], ["middle left", -1, 0],
    ["top right", 1, 1], ["bottom right", 1, -1], ["top left", -1, 1], ["bottom left", -1, -1]];

  function shared(a, b) {
    const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
    const along = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    return Math.max(0, across) * Math.max(0, along);
  }

  function placed(marks, wanted, width, height) {
    const taken = marks.map(({ x, y }) => [x - 7, y - 7, x + 7, y + 7]);
    for (const mark of marks) {
      taken.push([mark.left, mark.y - 2, mark.right, mark.y + 2], [mark.x - 2, mark.low, mark.x + 2, mark.high]);
    }
    return marks.map((mark) => {
      if (!wanted.has(mark.name)) return null;
      const long = widthOf(mark.label);
      const options = PLACES.map(([place, right, up]) => {
        const [x, y] = [mark.x + right * (long / 2 + 9), mark.y + up * 17];
        const box = [x - long / 2, y - 8, x + long / 2, y + 8];
        const outside = long * 16 - shared(box, [0, 0, width, height]);
        return { place, box, covered: outside + taken.reduce((sum, other) => sum + shared(box, other), 0) };
      });
      const best = options.reduce((a, b) => (b.covered < a.covered ? b : a));
      if (best.covered > 0.1 * long * 16) return null;
      taken.push(best.box);
      return best.place;
    });
  }

  // Quality against cost.

  function rangeOf(values, fromZero) {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    if (fromZero) return [0, 1.12 * most || 1];
    const margin = 0.14 * (most - least) || Math.abs(most) * 0.05 || 0.5;
    return [least - margin, most + margin];
  }

  function spread(points, key, look) {
    const ends = (end) => points.map(({ at }) => Math.abs(at[key][end] - at[key][0]));
    return { type: "data", array: ends(2), arrayminus: ends(1), thickness: 1.2, width: 3, color: look.color };
  }

  function pointTraces(points, places, x, y) {
    return Object.entries(LOOK).flatMap(([kind, look]) => {
      const own = points.filter((point) => point.kind === kind);
      if (!own.length) return [];
      const spots = own.map((point) => places.get(point.name));
      return [{
        type: "scatter", mode: "markers+text", cliponaxis: false, hoverinfo: "text",
        x: own.map(({ at }) => at[x.key][0]), y: own.map(({ at }) => at[y.key][0]),
        text: own.map(({ name }, i) => (spots[i] ? escaped(shortened(name, 24)) : "")),
        textposition: spots.map((place) => place ?? "top center"),
        hovertext: own.map(({ hover }) => hover), customdata: own.map(({ name }) => name),
        error_x: spread(own, x.key, look), error_y: spread(own, y.key, look),
        marker: { ...look, line: { width: 2, color: look.color } },
      }];
    });
  }

  function lineTraces(points, front, x, y) {
    const steps = front.map((name) => points.find((point) => point.name === name));
    const line = {
      type: "scatter", mode: "lines", hoverinfo: "skip", line: { shape: "hv", width: 1, color: GREY },
      x: steps.map(({ at }) => at[x.key][0]), y: steps.map(({ at }) => at[y.key][0]), meta: "front",
    };
    const one = points.find((point) => point.name === selected);
    const ring = {
      type: "scatter", mode: "markers", hoverinfo: "skip", cliponaxis: false, meta: "selected",
      x: one ? [one.at[x.key][0]] : [], y: one ? [one.at[y.key][0]] : [],
      marker: { symbol: "circle-open", size: 24, color: RING, line: { width: 3, color: RING } },
    };
    return [...(steps.length > 1 ? [line] : []), ...(one ? [ring] : [])];
  }

  function blurredLine(blurred, ys, y) {
    if (!blurred || !(y.key in blurred)) return {};
    const value = blurred[y.key];
    const line = { dash: "dash", width: 1.2, color: GREY };
    const text = `blurred input ${value.toFixed(2)} dB`;
    return {
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line }],
      annotations: [{ xref: "paper", x: 1, xanchor: "right", y: value, yanchor: "bottom", text, showarrow: false }],
    };
  }

  function drawTradeoff() {
    const all = data.tradeoff;
    const [x, y] = ["x", "y"].map((axis) => all[axis].find(({ key }) => key === byId(`plot-${axis}`).value));
    const points = all.points.filter(({ at }) => x.key in at && y.key in at);
    const blurred = all.blurred && y.key in all.blurred ? [all.blurred[y.key]] : [];
    const width = roomOf("tradeoff");
    const margin = { l: 64, r: 20, t: 16, b: 56 };
    const [inWidth, inHeight] = [Math.max(120, width - margin.l - margin.r), width < 600 ? 320 : 400];
    const lines = linesOf(x.title, inWidth);
    margin.b += 18 * (lines.length - 1);
    const xRange = rangeOf(points.flatMap(({ at }) => at[x.key]), true);
    const yRange = rangeOf([...points.flatMap(({ at }) => at[y.key]), ...blurred], false);
    if (y.lower) yRange.reverse();
    const right = (value) => ((value - xRange[0]) / (xRange[1] - xRange[0])) * inWidth;
    const up = (value) => ((value - yRange[0]) / (yRange[1] - yRange[0])) * inHeight;
    const marks = points.map(({ name, at }) => {
      const [low, high] = [up(at[y.key][1]), up(at[y.key][2])];
      return {
        name, label: shortened(name, 24), x: right(at[x.key][0]), y: up(at[y.key][0]), left: right(at[x.key][1]),
        right: right(at[x.key][2]), low: Math.min(low, high), high: Math.max(low, high),
      };
    });
    const front = all.fronts[`${x.key}|${y.key}`];
    const wanted = new Set(points.length <= MOST_LABELS ? points.map(({ name }) => name) : front);
    const spots = placed(marks, wanted, inWidth, inHeight);
    const places = new Map(points.map(({ name }, i) => [name, spots[i]]));
    const axis = { gridcolor: GRID, zeroline: false, nticks: width < 600 ? 5 : 0, tickangle: 0 };
    draw("tradeoff", [...lineTraces(points, front, x, y), ...pointTraces(points, places, x, y)],
      layoutOf(width, inHeight + margin.t + margin.b, {
        margin, xaxis: { ...axis, title: titled(lines), range: xRange },
        yaxis: { ...axis, title: titled([y.title]), range: yRange }, ...blurredLine(all.blurred, all.y, y),
      }));
    sayMissing(all.points, x, y);
  }

  function sayMissing(points, x, y) {
    const reasons = new Map();
    for (const { name, missing } of points) {
      const why = missing[x.key] ?? missing[y.key];
      if (why) reasons.set(why, [...(reasons.get(why) ?? []), name]);
    }
    const lines = [...reasons].map(([why, names]) => {
      const more = names.length > 6 ? ` and ${names.length - 6} more` : "";
      return `${names.slice(0, 6).join(", ")}${more}: ${why}`;
    });
    byId("plot-missing").textContent = lines.length ? `Not on these axes: ${lines.join("; ")}.`.replace(/\.\.$/, ".") : "";
  }

  // Rows of names: latencies and losses.

  const nameAxis = (names, centers, width) => ({
    tickvals: centers, ticktext: names.map((name) => escaped(shortened(name, width < 600 ? 15 : 28))),
    automargin: true, showgrid: false, zeroline: false, fixedrange: true, tickfont: { size: 12 },
  });

  function band(names, edges) {
    const at = names.indexOf(selected);
    if (at < 0) return [];
    const [y0, y1] = edges(at);
    return [{ type: "rect", xref: "paper", x0: 0, x1: 1, y0, y1, fillcolor: RING, opacity: 0.14, line: { width: 0 } }];
  }

  function drawLatency() {
    const { series, bars } = data.latency;
    const names = [...new Set(bars.map(({ name }) => name))];
    const spots = [];
    const groups = names.map((name) => {
      const first = spots.length ? spots[spots.length - 1].y + 1.6 : 0;
      const own = bars.filter((bar) => bar.name === name);
      own.forEach((bar, i) => spots.push({ ...bar, y: first + i }));
      return [first, first + own.length - 1];
    });
    const width = roomOf("latency");
    const last = spots[spots.length - 1].y;
    const traces = series.flatMap(({ place, color }) => {
      const own = spots.filter((bar) => bar.series === place);
      const timed = own.filter(({ at }) => at);
      const ends = (end) => timed.map(({ at }) => Math.abs(at[end] - at[0]));
      const bar = {
        type: "bar", orientation: "h", width: 0.82, hoverinfo: "text",
        x: timed.map(({ at }) => at[0]), y: timed.map(({ y }) => y), marker: { color },
        hovertext: timed.map(({ hover }) => hover), customdata: timed.map(({ name }) => name),
        error_x: { type: "data", array: ends(2), arrayminus: ends(1), thickness: 1.4, width: 3, color: GREY },
      };
      const words = {
        type: "scatter", mode: "text", hoverinfo: "text", textposition: "middle right",
        cliponaxis: false, x: own.map(({ at }) => (at ? at[2] : 0)), y: own.map(({ y }) => y),
        text: own.map(({ label }) => ` ${escaped(label)}`), textfont: { size: 11 },
        hovertext: own.map(({ hover }) => hover), customdata: own.map(({ name }) => name),
      };
      return [bar, words];
    });
    const most = Math.max(...spots.map(({ at }) => (at ? at[2] : 0)));
    bands.set("latency", () => band(names, (at) => [groups[at][0] - 0.6, groups[at][1] + 0.6]));
    draw("latency", traces, layoutOf(width, 18 * (last + 1) + 90, {
      margin: { l: 20, r: 16, t: 60, b: 16 }, barmode: "overlay", dragmode: false,
      xaxis: { side: "top", title: titled(["median latency, ms"]), range: [0, most * (width < 600 ? 1.75 : 1.3)],
        gridcolor: GRID, zeroline: false, nticks: width < 600 ? 4 : 0, fixedrange: true, tickangle: 0 },
      yaxis: { ...nameAxis(names, groups.map(([a, b]) => (a + b) / 2), width), range: [last + 0.8, -0.8] },
      shapes: bands.get("latency")(),
    }));
  }

  function drawPictures() {
    const { rows } = data.pictures;
    const names = rows.map(({ name }) => name);
    const width = roomOf("loss-by-picture");
    const flat = (pick) => rows.flatMap((row, i) => row.losses.map((loss, j) => pick(row, i, j)));
    const dots = {
      type: "scatter", mode: "markers", hoverinfo: "text", cliponaxis: false,
      x: flat((row, _, j) => row.losses[j]), y: flat((_, i) => i), hovertext: flat((row, _, j) => row.hovers[j]),
      customdata: flat((row) => row.name), marker: { size: 8, color: "#3b82d6", opacity: 0.5 },
    };
    const means = {
      type: "scatter", mode: "markers", hoverinfo: "text", x: rows.map(({ mean }) => mean), y: rows.map((_, i) => i),
      hovertext: rows.map(({ name, mean }) => `<b>${escaped(name)}</b><br>mean ${unsigned(mean.toFixed(2))} dB lost`),
      customdata: names, marker: { symbol: "line-ns", size: 16, line: { width: 3, color: "#dd8a1f" } },
    };
    const row = rows.length > 40 ? 18 : 26;
    bands.set("loss-by-picture", () => band(names, (at) => [at - 0.5, at + 0.5]));
    draw("loss-by-picture", [dots, means], layoutOf(width, row * rows.length + 90, {
      margin: { l: 20, r: 20, t: 60, b: 16 }, dragmode: false,
      xaxis: { side: "top", title: titled(["PSNR lost, dB"]), gridcolor: GRID, zeroline: true,
        zerolinecolor: GREY, nticks: width < 600 ? 5 : 0, fixedrange: true, tickangle: 0 },
      yaxis: { ...nameAxis(names, names.map((_, i) => i), width), range: [rows.length - 0.4, -0.6] },
      shapes: bands.get("loss-by-picture")(),
    }));
  }

  function drawAll() {
    if (byId("tradeoff")) drawTradeoff();
    if (byId("latency")) drawLatency();
    if (byId("loss-by-picture")) drawPictures();
  }

  for (const axis of ["x", "y"]) byId(`plot-${axis}`)?.addEventListener("change", drawTradeoff);
  document.addEventListener("lightsharp:select", (event) => {
    selected = event.detail.name;
    if (byId("tradeoff")) drawTradeoff();
    for (const [id, shapes] of bands) Plotly.relayout(byId(id), { shapes: shapes() });
  });
  let waiting = 0;
  let drawnAt = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === drawnAt) return;
    drawnAt = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 120);
  });
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });
  drawAll();
})();
