"""The page in Chromium: what is sent, and when something is seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from bench.engines.figures import Table, percentile
from bench.serving.processes import groundling

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FIGURES = """() => {
  const paint = name => performance.getEntriesByName(name)[0]?.startTime ?? NaN;
  const loaded = [...performance.getEntriesByType("navigation"),
                  ...performance.getEntriesByType("resource")];
  return {
    first: paint("first-contentful-paint"),
    ready: loaded[0].domContentLoadedEventEnd,
    sent: loaded.reduce((sum, one) => sum + one.transferSize, 0),
    unpacked: loaded.reduce((sum, one) => sum + one.decodedBodySize, 0),
    files: loaded.length,
  };
}"""


def measure(rounds: int, tell: Callable[[str], None]) -> list[Table]:
    """Load the page so often, with an empty cache and with a filled one."""
    table = Table(
        f"The page in Chromium, {rounds} loads",
        ["", "files", "sent (KB)", "unpacked (KB)", "first paint p50 (ms)", "p95 (ms)"],
    )
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        table.notes.append(f"No browser was found: {', '.join(_BROWSERS)}.")
        return [table]
    from playwright.sync_api import sync_playwright

    figures: dict[str, list[dict[str, float]]] = {"empty cache": [], "filled cache": []}
    with groundling() as server, sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-background-networking"]
        )
        for n in range(rounds):
            tell(f"page: {n + 1} of {rounds}")
            context = chromium.new_context()
            page = context.new_page()
            for name in figures:
                page.goto(server.address, wait_until="networkidle")
                figures[name].append(page.evaluate(_FIGURES))
            context.close()
        chromium.close()
    for name, each in figures.items():
        paints = [one["first"] for one in each]
        last = each[-1]
        table.add(
            name, int(last["files"]), last["sent"] / 1000, last["unpacked"] / 1000,
            percentile(paints, 0.5), percentile(paints, 0.95),
        )  # fmt: skip
    return [table]
