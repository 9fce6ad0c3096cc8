"""What people need who use no pointer, see little, or read with a screen reader."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from groundling.server.page import STATIC
from tests.server.page.harness import LOOKS, Look, Site

VIEWS = ("documents", "memory", "traces", "experiments", "status", "people")
PAIRS = (
    ("--text", "--back"), ("--text", "--panel"), ("--text", "--sunken"), ("--text", "--hover"),
    ("--text", "--chosen"), ("--text", "--mark"), ("--soft", "--back"), ("--soft", "--panel"),
    ("--soft", "--sunken"), ("--soft", "--hover"), ("--good", "--panel"), ("--bad", "--panel"),
    ("--wait", "--panel"), ("--focus", "--panel"), ("--on-focus", "--focus"), ("--back", "--bad"),
)  # fmt: skip
LEAST = 4.5  # WCAG 2.2, 1.4.3
_TOKENS = """(names) => names.map((name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
})"""
_NAMELESS = """() => {
    const shown = (each) => each.checkVisibility({ visibilityProperty: true });
    const name = (each) => each.getAttribute("aria-label") || each.textContent.trim()
        || [...(each.labels ?? [])].map((label) => label.textContent.trim()).join("")
        || each.title || each.querySelector?.("img[alt]")?.alt;
    const all = "button, a[href], input, select, textarea, [tabindex='0']";
    return [...document.querySelectorAll(all)]
        .filter((each) => shown(each) && !name(each)).map((each) => each.outerHTML.slice(0, 200));
}"""


def luminance(colour: str) -> float:
    """Return the relative luminance of an `rgb(…)`, as WCAG 2.2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", [Look(), Look("dark")], indirect=True, ids=str)
def test_every_pair_of_colours_can_be_read(page: Page, site: Site, look: Look) -> None:
    page.goto("/#/memory")
    names = sorted({name for pair in PAIRS for name in pair})
    colours = dict(zip(names, page.evaluate(_TOKENS, names), strict=True))
    weak = {
        f"{a} on {b}": round(found, 2)
        for a, b in PAIRS
        if (found := contrast(colours[a], colours[b])) < LEAST
    }
    assert weak == {}


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_every_control_of_every_view_has_a_name_and_room(
    page: Page, site: Site, look: Look
) -> None:
    site.api("POST", "/api/memories", json={"text": "Lives in Busan", "kind": "home"})
    for view in VIEWS:
        page.goto(f"/#/{view}")
        expect(page.locator(".view h1").first).to_be_visible()
        page.wait_for_timeout(300)  # lists are drawn when the server has answered
        assert page.evaluate(_NAMELESS) == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth"), view


@pytest.mark.parametrize("view", VIEWS)
def test_the_tab_key_reaches_every_control_of_a_view(page: Page, site: Site, view: str) -> None:
    site.api("POST", "/api/memories", json={"text": "Lives in Busan", "kind": "home"})
    page.goto(f"/#/{view}")
    expect(page.locator(".view h1").first).to_be_visible()
    page.wait_for_timeout(400)  # lists are drawn when the server has answered
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("main :is(button, a[href], input, select)")]
            .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility())
            .length"""
    )
    page.locator("main").focus()
    reached = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => { const at = document.activeElement;
                    return at.closest("main")
                        ? [...document.querySelectorAll("main *")].indexOf(at) : -1; }"""
            )
        )
    assert len(reached - {-1}) >= wanted


def test_each_dictionary_says_the_same_in_both_languages(page: Page, site: Site) -> None:
    page.goto("/#/memory")
    files = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.i18n.js"))
    assert {f"views/{name}.i18n.js" for name in ("knowledge", "memory", "people")} <= set(files)
    for file in files:
        found = page.evaluate(f"import('/page/{file}').then((module) => module.default)")
        assert set(found["en"]) == set(found["ko"]), file
        assert all(found["en"].values()), file
        assert all(found["ko"].values()), file
        for key, text in found["en"].items():
            places = [sorted(re.findall(r"\{\w+\}", each)) for each in (text, found["ko"][key])]
            assert places[0] == places[1], f"{file}: {key}"


def keys_of(source: str) -> set[str]:
    """Return the keys that a module asks its dictionary for, as far as they are literal."""
    return set(re.findall(r"""\bt\("([\w.]+)\"""", source))


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("shell", "*.js"),
        ("chat/chat", "chat/*.js"),
        *((f"views/{view}", f"views/{view}*.js") for view in ("knowledge", *VIEWS[1:])),
    ],
)
def test_every_text_that_is_asked_for_is_there(
    page: Page, site: Site, words: str, files: str
) -> None:
    page.goto("/#/memory")
    found = page.evaluate(f"import('/page/{words}.i18n.js').then((module) => module.default)")
    modules = [path for path in STATIC.glob(files) if not path.name.endswith("i18n.js")]
    asked = {key for path in modules for key in keys_of(path.read_text(encoding="utf-8"))}
    assert asked
    assert sorted(asked - set(found["en"])) == []


def test_what_changes_is_read_out(page: Page, site: Site) -> None:
    page.goto("/#/memory")
    page.get_by_role("textbox", name="A new fact").fill("Lives in Busan")
    page.keyboard.press("Enter")
    live = page.locator("[aria-live=polite]").filter(has_text="It will be remembered.")
    expect(live).to_be_attached()
