// SPDX-License-Identifier: GPL-2.0-or-later
// Draws the figures that are embedded in the page. Names come off the wire: what Plotly would take for markup is escaped.
"use strict";
(() => {
  const BLUE = "#0072b2", ORANGE = "#d55e00", GREEN = "#009e73", PINK = "#b85f94", GREY = "#7f7f7f";
  const STATES = [
    { name: "alive for all", color: BLUE, shape: "" },
    { name: "alive for some", color: ORANGE, shape: "/" },
    { name: "alive for none", color: PINK, shape: "x" },
    { name: "not judged yet", color: GREY, shape: "." },
  ];
  const MARKS = {
    restarted: "star", silent: "x", stuck: "square", contested: "diamond", contradiction: "diamond-open",
    "odd-address": "triangle-up", "digest-near-limit": "hexagon",
  };
  const REASONS = {
    "no-round": "nobody gossiped it there", gap: "a section did not fit what it has",
    stuck: "the next key-value fits no datagram", "not-read": "sent, but not read", silent: "says nothing any more",
  };
  const rowHeight = (rows) => rows > 40 ? 14 : 20;

  const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const narrow = () => window.innerWidth < 600;
  const fitted = (text, most = narrow() ? 14 : 40) => {
    return safe(text.length > most ? text.slice(0, most - 1) + "…" : text);
  };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDate = (axis) => typeof axis.at[0] === "string";

  function layout(more) {
    const axis = { gridcolor: style("--line"), zerolinecolor: style("--line"), automargin: true };
    const made = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true,
      font: { color: style("--ink"), size: narrow() ? 11 : 13, family: "system-ui, sans-serif" },
      margin: { l: 8, r: 16, t: 8, b: 8, pad: 2 }, height: 320, hovermode: "closest",
      hoverlabel: { bgcolor: style("--box"), bordercolor: style("--ink"), font: { color: style("--ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      ...more,
    };
    made.xaxis = { ...axis, ...more.xaxis };
    made.yaxis = { ...axis, ...more.yaxis };
    return made;
  }

  const timeAxis = (axis) => ({
    title: { text: isDate(axis) ? "time" : "seconds from the first message" }, type: isDate(axis) ? "date" : "linear",
  });

  function draw(chart, traces, more) {
    const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "toImage"] };
    if (narrow()) config.displayModeBar = false;
    return Plotly.react(chart, traces, layout(more), config);
  }

  function nothing(chart, said) {
    Plotly.purge(chart);
    chart.textContent = said;
    chart.style.minHeight = "0";
  }

  // --- the pictures ---

  const PICTURES = {
    members(chart, data) {
      const { rows, segments, marks } = data.members;
      if (!rows.length) return nothing(chart, "No run was seen.");
      const unit = isDate(data.phi.axis) ? 1000 : 1;
      const label = (row) => data.names[rows[row]];
      const traces = STATES.map((state, how) => {
        const mine = segments.filter((each) => each[4] === how);
        return {
          type: "bar", orientation: "h", name: state.name, width: 0.7,
          y: mine.map((each) => each[0]), base: mine.map((each) => each[1]), x: mine.map((each) => each[3] * unit),
          marker: { color: state.color, pattern: { shape: state.shape, solidity: 0.35, size: 7, fillmode: "overlay" } },
          hoverinfo: "text", textposition: "none",
          hovertext: mine.map((each) => `${safe(label(each[0]))}<br>${state.name}` +
            (how === 3 ? "" : `: ${each[5]} of ${each[6]} observers`) + `<br>from ${each[1]} for ${each[3]} s`),
        };
      });
      for (const kind of new Set(marks.map((each) => each[2]))) {
        const mine = marks.filter((each) => each[2] === kind);
        traces.push({
          type: "scatter", mode: "markers", name: safe(kind), x: mine.map((each) => each[1]), y: mine.map((each) => each[0]),
          marker: { symbol: MARKS[kind], size: 11, color: style("--ink"), line: { color: style("--paper"), width: 1.5 } },
          hoverinfo: "text", hovertext: mine.map((each) => `${safe(label(each[0]))}<br>${safe(kind)} at ${each[1]}`),
        });
      }
      return draw(chart, traces, {
        barmode: "overlay", height: 130 + rowHeight(rows.length) * rows.length, xaxis: timeAxis(data.phi.axis),
        yaxis: {
          tickvals: rows.map((_, row) => row), ticktext: rows.map((_, row) => fitted(label(row))),
          range: [rows.length - 0.5, -0.5], showgrid: false, zeroline: false,
        },
      });
    },

    phi(chart, data, picked) {
      const { axis, threshold, worst, pairs } = data.phi;
      const subject = Number(picked.subject), observer = picked.observer;
      const pair = pairs.find((each) => each[1] === subject && String(each[0]) === observer);
      const values = pair ? pair[2] : worst[subject];
      if (!values) return nothing(chart, "No phi can be told: nobody judged anybody while the capture ran.");
      const said = pair ? data.names[pair[0]] : "the largest of all observers";
      const ends = [axis.at[0], axis.at[axis.at.length - 1]];
      return draw(chart, [
        {
          type: "scatter", mode: "lines+markers", name: safe(said), line: { color: BLUE, width: 2 }, marker: { size: 4 },
          connectgaps: true, x: axis.at, y: values.map((each) => each === null ? null : each / 10), hoverinfo: "text",
          hovertext: values.map((each, at) => `phi ${each === null ? "unknown" : (each / 10).toFixed(1)} at ${axis.at[at]}`),
        },
        {
          type: "scatter", mode: "lines", name: `threshold ${threshold}`, x: ends, y: [threshold, threshold],
          line: { color: ORANGE, dash: "dash", width: 2 }, hoverinfo: "name",
        },
      ], { xaxis: timeAxis(axis), yaxis: { title: { text: "phi" }, rangemode: "tozero" } });
    },

    matrix(chart, data) {
      const { observers, subjects, behind } = data.matrix;
      if (observers.length === 0 || subjects.length < 2) return nothing(chart, "Fewer than two nodes: nobody lacks anything.");
      return matrix(chart, {
        rows: observers.map((each) => data.names[each]), columns: subjects.map((each) => data.names[each]), values: behind,
        hover: (row, column, value) => value === null ? `${row} and ${column}: itself, or not to be told`
          : `${row} lacks ${value} versions of ${column}`,
      });
    },

    spread(chart, data) {
      const { edges, counts } = data.spread;
      if (!counts.some((each) => each)) return nothing(chart, "No version was seen on its whole way.");
      const names = counts.map((_, at) => at < edges.length ? `≤ ${edges[at]} s` : `> ${edges[at - 1]} s`);
      return draw(chart, [{
        type: "bar", x: names, y: counts, marker: { color: BLUE }, hoverinfo: "text",
        hovertext: counts.map((each, at) => `${each} versions in ${safe(names[at])}`), text: counts.map(String), textposition: "auto",
      }], { height: 280, showlegend: false, xaxis: { type: "category" }, yaxis: { title: { text: "versions" } } });
    },

    ladder(chart, data, picked, block) {
      const ladder = data.spread.ladders[Number(picked.ladder)];
      const said = block.querySelector("[data-said=ladder]");
      if (!ladder) {
        said.textContent = "";
        return nothing(chart, "No change was seen.");
      }
      const lacking = ladder.lacking.map((each) => `${data.names[each[0]]}: ${REASONS[each[1]] || "not yet"}`);
      said.textContent = lacking.length ? `Still behind: ${lacking.join("; ")}.` : "No observer is behind.";
      if (data.spread.ladders_left_out) {
        said.textContent += ` ${data.spread.ladders_left_out} more changes are not on the page; 'scapy-chitchat follow' has all.`;
      }
      const there = ladder.there;
      if (!there.length) return nothing(chart, "No observer has it.");
      return draw(chart, [{
        type: "bar", orientation: "h", marker: { color: GREEN }, width: 0.6, hoverinfo: "text",
        x: there.map((each) => each[1] / 1000), y: there.map((_, at) => at),
        hovertext: there.map((each) => `${safe(data.names[each[0]])} after ${each[1] / 1000} s`),
        text: there.map((each) => `${(each[1] / 1000).toFixed(2)} s`), textposition: "auto", constraintext: "none",
      }], {
        height: 100 + rowHeight(there.length) * there.length, showlegend: false, xaxis: { title: { text: "seconds after the owner" } },
        yaxis: {
          tickvals: there.map((_, at) => at), ticktext: there.map((each) => fitted(data.names[each[0]])),
          range: [there.length - 0.5, -0.5], showgrid: false, zeroline: false,
        },
      });
    },

    types(chart, data) {
      const { axis, types } = data.load;
      const lines = { Syn: [BLUE, "solid"], SynAck: [GREEN, "dash"], Ack: [ORANGE, "dot"], BadCluster: [PINK, "dashdot"], refused: [GREY, "longdash"] };
      return draw(chart, Object.entries(types).map(([kind, counts]) => ({
        type: "scatter", mode: "lines", name: kind, x: axis.at, y: counts.map((each) => each / axis.width),
        line: { color: lines[kind][0], dash: lines[kind][1], width: 2 }, hoverinfo: "text",
        hovertext: counts.map((each, at) => `${kind}: ${each} in ${axis.width} s at ${axis.at[at]}`),
      })), { xaxis: timeAxis(axis), yaxis: { title: { text: "messages a second" }, rangemode: "tozero" } });
    },

    prefixes(chart, data) {
      const rows = data.load.prefixes;
      if (!rows.length) return nothing(chart, "No key-value was sent.");
      return draw(chart, [{
        type: "bar", orientation: "h", marker: { color: BLUE }, x: rows.map((each) => each[1]), y: rows.map((_, at) => at),
        width: 0.7, hoverinfo: "text", hovertext: rows.map((each) => `${safe(each[0])}: ${each[1]} bytes in ${each[2]} key-values`),
      }], {
        height: 90 + rowHeight(rows.length) * rows.length, showlegend: false, xaxis: { title: { text: "bytes" } },
        yaxis: {
          tickvals: rows.map((_, at) => at), ticktext: rows.map((each) => fitted(each[0])), range: [rows.length - 0.5, -0.5],
          showgrid: false,
        },
      });
    },

    unanswered(chart, data) {
      const { senders, receivers, unanswered } = data.load;
      if (!senders.length) return nothing(chart, "None.");
      return matrix(chart, {
        rows: senders, columns: receivers, values: unanswered,
        hover: (row, column, value) => `${value} of ${row} to ${column} without an answer`,
      });
    },

    digest(chart, data) {
      const { axis, sizes, entries } = data.digest;
      if (!axis.at.length) return nothing(chart, "No Syn was seen.");
      const limit = 65507, most = Math.max(...sizes);
      const traces = [{
        type: "scatter", mode: "lines+markers", name: "largest Syn", x: axis.at, y: sizes, line: { color: BLUE, width: 2 },
        marker: { size: 4 }, hoverinfo: "text", connectgaps: true,
        hovertext: sizes.map((each, at) => `${each} bytes, ${entries[at]} entries at ${axis.at[at]}`),
      }, {
        type: "scatter", mode: "lines", name: "what a datagram holds", x: [axis.at[0], axis.at[axis.at.length - 1]],
        y: [limit, limit], line: { color: ORANGE, dash: "dash", width: 2 }, hoverinfo: "name",
      }];
      return draw(chart, traces, {
        xaxis: timeAxis(axis), yaxis: { title: { text: "bytes" }, type: "log", range: [Math.log10(Math.max(1, most / 4)), 5.1] },
      });
    },
  };

  function matrix(chart, { rows, columns, values, hover }) {
    const small = rows.length * columns.length <= 400 && !narrow();
    const grid = columns.length > 60 ? 0 : 1;
    const ticks = (names, most) => names.length > 60 ? { showticklabels: false } : {
      tickvals: names.map((_, at) => at), ticktext: names.map((each) => fitted(each, most)),
    };
    const below = columns.length > 60 ? 0 : 5 * Math.min(24, Math.max(...columns.map((each) => each.length)));
    return draw(chart, [{
      type: "heatmap", z: values, xgap: grid, ygap: grid, zmin: 0,
      zmax: Math.max(1, ...values.map((row) => Math.max(0, ...row.filter((each) => each !== null)))),
      colorscale: [[0, "rgba(127,127,127,0.15)"], [0.001, "#fdd0a2"], [1, ORANGE]],
      colorbar: { thickness: 12, outlinewidth: 0 }, hoverinfo: "text", hoverongaps: false,
      text: small ? values.map((row) => row.map((each) => each ? String(each) : "")) : undefined,
      texttemplate: small ? "%{text}" : undefined,
      hovertext: values.map((row, at) => row.map((each, to) => safe(hover(rows[at], columns[to], each)))),
    }], {
      height: Math.min(1600, 60 + below + (rows.length > 60 ? 5 : rowHeight(rows.length)) * rows.length),
      xaxis: { ...ticks(columns, narrow() ? 14 : 24), showgrid: false, zeroline: false, tickangle: -45, side: "bottom" },
      yaxis: { ...ticks(rows), showgrid: false, zeroline: false, range: [rows.length - 0.5, -0.5] },
    });
  }

  // --- picking ---

  function options(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }));
  }

  class Block {
    constructor(element) {
      this.element = element;
      this.data = JSON.parse(element.querySelector(".figures").textContent);
      this.selects = Object.fromEntries([...element.querySelectorAll("[data-pick]")].map((each) => [each.dataset.pick, each]));
      this.drawn = false;
      const { subject, observer, ladder } = this.selects;
      const score = {};
      for (const [, number, values] of this.data.phi.pairs) score[number] = (score[number] || 0) + Math.max(0, ...values);
      const subjects = Object.entries(this.data.phi.worst).sort((one, other) => (score[other[0]] || 0) - (score[one[0]] || 0));
      options(subject, subjects.map(([number]) => [number, this.data.names[number]]));
      options(ladder, this.data.spread.ladders.map((each, at) => [at, each.title]));
      this.offerObservers();
      subject.addEventListener("change", () => {
        this.offerObservers();
        this.draw("phi");
      });
      observer.addEventListener("change", () => this.draw("phi"));
      ladder.addEventListener("change", () => this.draw("ladder"));
    }

    offerObservers() {
      const subject = Number(this.selects.subject.value);
      const kept = this.data.phi.pairs.filter((each) => each[1] === subject).map((each) => [each[0], this.data.names[each[0]]]);
      options(this.selects.observer, [["", "the largest of all"], ...kept]);
    }

    draw(name) {
      const picked = Object.fromEntries(Object.entries(this.selects).map(([key, select]) => [key, select.value]));
      const chart = this.element.querySelector(`[data-chart=${name}]`);
      return PICTURES[name](chart, this.data, picked, this.element);
    }

    drawAll() {
      this.drawn = true;
      Object.keys(PICTURES).forEach((name) => this.draw(name));
    }
  }

  // --- the page ---

  const blocks = [...document.querySelectorAll("section.cluster")].map((each) => new Block(each));
  const buttons = [...document.querySelectorAll("button[data-cluster]")];

  function show(number) {
    blocks.forEach((each, at) => { each.element.hidden = at !== number; });
    buttons.forEach((each, at) => each.setAttribute("aria-pressed", String(at === number)));
    if (blocks[number] && !blocks[number].drawn) blocks[number].drawAll();
  }

  const redraw = () => blocks.filter((each) => each.drawn).forEach((each) => each.drawAll());
  buttons.forEach((each, at) => each.addEventListener("click", () => show(at)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("(max-width: 599px)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    blocks.filter((each) => !each.drawn).forEach((each) => each.drawAll());
    document.querySelectorAll(".chart.js-plotly-plot").forEach((each) => Plotly.relayout(each, { width: 680 }));
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll(".chart.js-plotly-plot").forEach((each) => Plotly.relayout(each, { width: null, autosize: true }));
  });
  show(0);
  document.documentElement.dataset.drawn = "yes";
})();
