"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const plots = Array.from(document.querySelectorAll(".plot"));
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const touch = window.matchMedia("(pointer: coarse), (max-width: 600px)");

function look(isDark) {
  const ink = isDark ? "#e6e9ed" : "#1f2933";
  const axis = { gridcolor: isDark ? "#2c333b" : "#e6eaee", linecolor: isDark ? "#59636e" : "#aab4be", zeroline: false };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, size: 12, family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif" },
      xaxis: axis,
      yaxis: axis,
      annotationdefaults: { bgcolor: isDark ? "rgba(21,25,30,0.75)" : "rgba(255,255,255,0.8)" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "#8a949e", activecolor: ink },
      hoverlabel: { bgcolor: isDark ? "#2a3138" : "#ffffff", bordercolor: "#8a949e", font: { color: ink } },
    },
  };
}

function draw(plot) {
  const { data, layout } = figures[plot.id];
  // On a phone a finger scrolls the page, and there is no room for buttons.
  const drag = touch.matches ? { dragmode: false } : {};
  Plotly.newPlot(plot, data, { ...layout, ...drag, template: look(dark.matches) }, {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch.matches ? false : "hover",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  });
}

// One after the other, so that the page can be read meanwhile.
const pending = plots.slice();
function drawNext() {
  if (!pending.length) return;
  draw(pending.shift());
  setTimeout(drawNext);
}

function relook(isDark, size) {
  for (const plot of plots) {
    if (!pending.includes(plot)) Plotly.relayout(plot, { template: look(isDark), ...size });
  }
}

dark.addEventListener("change", () => relook(dark.matches, {}));
// Paper is light, and narrower than most screens.
window.addEventListener("beforeprint", () => {
  pending.splice(0).forEach(draw);
  relook(false, { width: 680 });
});
window.addEventListener("afterprint", () => relook(dark.matches, { width: null, autosize: true }));
drawNext();
