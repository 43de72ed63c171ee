/* Draws the charts and lets code be copied. Reads what the page embeds; asks nobody for anything. */
"use strict";

(() => {
  const font = getComputedStyle(document.body).fontFamily;
  const config = {
    background: "transparent",
    font,
    view: { stroke: null },
    text: { fontSize: 13 },
    axis: {
      labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)", tickColor: "var(--line)",
      domain: false, ticks: false, labelPadding: 6, titlePadding: 10, labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal",
    },
    legend: { labelColor: "var(--ink)", labelFontSize: 12, symbolType: "stroke", symbolStrokeWidth: 3 },
  };

  // `ast`: expressions are interpreted, so that the page's policy need not allow code to be made from text.
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config };

  for (const chart of document.querySelectorAll(".chart")) {
    const spec = JSON.parse(chart.parentElement.querySelector("script.spec").textContent);
    vegaEmbed(chart, spec, options)
      .then(() => { chart.dataset.drawn = "yes"; })
      .catch((error) => {
        chart.dataset.drawn = "no";
        chart.textContent = "This chart could not be drawn; the table has the same numbers.";
        console.error(error);
      });
  }

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = button.parentElement.querySelector("code");
      let copied = true;
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        select(source); // where the clipboard is closed to files, the text is at least selected
        copied = document.execCommand("copy");
      }
      button.textContent = copied ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  addEventListener("beforeprint", () => {
    for (const element of document.querySelectorAll("details.rows, details.paper")) element.open = true;
  });
})();
