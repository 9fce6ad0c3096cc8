"""The chat in a real browser, over real graphs, a real store and a scripted model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from groundling.errors import ModelNotFound
from groundling.knowledge.base import Knowledge
from groundling.server.person import Role
from tests.server.page.conftest import Snap
from tests.server.page.harness import LOOKS, PacedChat, Site, Watch, live, until

SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"
LEAVE = f"""# Leave

The policy of Haneul 🏖 is short.

Full-time employees receive 17 days of paid leave a year.

It is written {SCRIPT} here.
"""
QUESTION = "How many days of leave do employees receive?"
DRAFT = "Full-time employees receive 17 days of leave."
SETTINGS = """
[memory]
enabled = false
[guard]
enabled = false
[tools]
enabled = ["calculator", "ask_person"]
approve = ["compute", "write", "network"]
"""
CALL = '{"calls": [{"expression": "12 * 7"}]}'


@pytest.fixture
def site(
    home_with_models: Path, embedder_files: Path, model: PacedChat, tmp_path: Path
) -> Iterator[Site]:
    """A server with a knowledge base, without memories and guard."""
    home = home_with_models
    (home / "config.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "leave.md").write_text(LEAVE, encoding="utf-8")
    with Knowledge.open(home / "knowledge" / "handbook", None) as opened:
        opened.add([tmp_path / "leave.md"])
    with live(home, model) as site:
        yield site


def choose(page: Page, graph: str) -> None:
    """Choose what answers, before anything is asked."""
    page.goto("/")
    page.get_by_role("combobox", name="Way of answering").select_option(graph)


def ask(page: Page, question: str) -> None:
    """Write a question and send it with the keyboard."""
    box = page.get_by_role("textbox", name="Ask something")
    box.fill(question)
    box.press("Enter")


def turn(page: Page, n: int = -1) -> Locator:
    """Return a turn of the conversation."""
    turns = page.locator(".turn")
    return turns.last if n == -1 else turns.nth(n)


def answered(page: Page, text: str, n: int = -1) -> Locator:
    """Wait until a turn has been answered."""
    found = turn(page, n)
    expect(found.locator(".prose")).to_contain_text(text)
    expect(found.get_by_role("button", name="Copy the answer")).to_be_visible()
    return found


def cited(page: Page, model: PacedChat) -> Locator:
    """Ask what the documents answer."""
    model.enqueue_choice({"yes": 0.9, "no": 0.1}, "yes")
    model.enqueue(DRAFT)
    choose(page, "rag")
    ask(page, QUESTION)
    return answered(page, "17 days of leave")


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_it_teaches_where_there_is_nothing_yet(page: Page, snap: Snap, look: object) -> None:
    page.goto("/")
    expect(page.locator(".examples button")).to_have_count(3)
    expect(page.locator(".composer textarea")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("start")


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_a_citation_opens_the_document_at_the_very_characters(
    page: Page, model: PacedChat, snap: Snap, look: object
) -> None:
    model.enqueue_choice({"yes": 0.9, "no": 0.1}, "yes")
    model.enqueue(DRAFT)
    page.goto("/")
    page.locator("select.choice").first.select_option("rag")
    box = page.locator(".composer textarea")
    box.fill(QUESTION)
    box.press("Enter")
    chip = page.locator(".cite")
    expect(chip).to_have_text("1")
    snap("answered")
    chip.press("Enter")
    panel = page.locator(".doc")
    expect(panel.locator("mark")).to_have_text(
        "Full-time employees receive 17 days of paid leave a year."
    )
    expect(panel.locator("mark")).to_be_in_viewport()
    expect(panel.locator(".doc-text")).to_contain_text("The policy of Haneul 🏖 is short.")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    snap("document")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(chip).to_be_focused()


def test_a_verdict_and_the_sources_stand_under_the_answer(page: Page, model: PacedChat) -> None:
    found = cited(page, model)
    expect(found.locator(".acts .badge")).to_have_text("Proved")
    expect(found.locator(".source")).to_have_count(1)
    found.locator(".source").click()
    page.get_by_role("link", name="Open the whole document").click()
    expect(page.locator(".kt-text mark")).to_contain_text("17 days of paid leave")


def test_a_draft_is_marked_and_may_be_taken_back(page: Page, model: PacedChat, snap: Snap) -> None:
    model.enqueue_choice({"yes": 0.3, "no": 0.7}, "no")
    model.enqueue("They receive shares.")
    model.hold(after=2)
    choose(page, "rag")
    ask(page, QUESTION)
    expect(turn(page).locator(".draft")).to_contain_text("Draft")
    expect(turn(page).locator(".prose")).to_contain_text("They")
    expect(turn(page).locator(".doing")).to_be_visible()
    snap("draft")
    model.go()
    found = answered(page, "Not in these documents.")
    expect(found.locator(".draft")).to_have_count(0)
    expect(found).not_to_contain_text("shares")
    expect(found.locator(".acts .badge")).to_have_text("Not in the documents")
    expect(found.locator(".sources")).to_contain_text("leave.md")
    snap("refused")


def test_an_answer_is_stopped_with_escape_and_had_again(
    page: Page, site: Site, model: PacedChat, snap: Snap
) -> None:
    model.enqueue("One two three four five six.")
    model.hold(after=2)
    choose(page, "ask")
    ask(page, "Count")
    expect(turn(page).locator(".prose")).to_contain_text("One")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(turn(page).locator(".stopped")).to_be_visible()
    snap("stopped")
    model.go()
    model.enqueue("One to six.")
    turn(page).get_by_role("button", name="Answer again").click()
    answered(page, "One to six.")
    expect(page.locator(".turn")).to_have_count(1)


def test_a_question_is_edited_and_both_branches_stay(
    page: Page, model: PacedChat, snap: Snap
) -> None:
    model.enqueue("Answer A.", "Answer B.", "Answer C.", "Answer D.")
    choose(page, "ask")
    ask(page, "First")
    answered(page, "Answer A.")
    ask(page, "Second")
    answered(page, "Answer B.")
    second = turn(page, 1)
    second.get_by_role("button", name="Edit the question").press("Enter")
    box = page.get_by_role("textbox", name="Edit the question")
    expect(box).to_be_focused()
    box.fill("Second, said otherwise")
    box.press("Enter")
    answered(page, "Answer C.")
    expect(turn(page, 1).locator(".versions")).to_have_text("2/2")
    snap("branched")
    turn(page, 1).get_by_role("button", name="Earlier version").click()
    expect(turn(page, 1)).to_contain_text("Answer B.")
    # The first question has versions, too; what followed it stays with its own.
    turn(page, 0).get_by_role("button", name="Answer again").click()
    answered(page, "Answer D.")
    expect(page.locator(".turn")).to_have_count(1)
    expect(turn(page, 0).locator(".versions")).to_have_text("2/2")
    page.reload()
    expect(turn(page, 0)).to_contain_text("Answer D.")
    turn(page, 0).get_by_role("button", name="Earlier version").click()
    expect(page.locator(".turn")).to_have_count(2)
    asked = [message.text for message in model.prompts[2] if message.type == "human"]
    assert asked[-2:] == ["First", "Second, said otherwise"]


def test_a_call_waits_and_its_arguments_can_be_changed(
    page: Page, model: PacedChat, snap: Snap
) -> None:
    model.enqueue_choice("calculator")
    model.enqueue(CALL)
    choose(page, "toolbox")
    ask(page, "What is 12 times 7?")
    card = page.get_by_role("group", name="May it do this?")
    expect(card).to_contain_text("calculator")
    snap("waits")
    page.reload()  # it waits in the thread, not in the page
    card.get_by_role("textbox", name="expression").fill("12 * 8")
    model.enqueue_choice("none")
    model.enqueue("It is 96.")
    card.get_by_role("button", name="Allow as edited").click()
    found = answered(page, "It is 96.")
    expect(card).to_have_count(0)
    found.locator(".step summary").click()
    expect(found.locator(".step")).to_contain_text("12 * 8")
    expect(found.locator(".step-result")).to_contain_text("96")
    snap("done")


def test_a_call_is_refused_with_a_reason_that_the_model_reads(page: Page, model: PacedChat) -> None:
    model.enqueue_choice("calculator")
    model.enqueue(CALL)
    choose(page, "toolbox")
    ask(page, "What is 12 times 7?")
    page.get_by_role("button", name="Refuse …").press("Enter")
    box = page.get_by_role("textbox", name="Why not?")
    expect(box).to_be_focused()
    box.fill("Do it in your head")
    model.enqueue_choice("none")
    model.enqueue("84, I believe.")
    box.press("Enter")
    found = answered(page, "84, I believe.")
    expect(found.locator(".step")).to_contain_text("not allowed")
    assert any("Do it in your head" in message.text for message in model.prompts[-1])


def test_a_question_to_the_person_is_answered(page: Page, model: PacedChat) -> None:
    model.enqueue_choice("ask_person")
    model.enqueue('{"calls": [{"question": "For which year?"}]}')
    choose(page, "toolbox")
    ask(page, "How much leave is left?")
    box = page.get_by_role("textbox", name="For which year?")
    box.fill("2026")
    model.enqueue_choice("none")
    model.enqueue("In 2026 it is 3 days.")
    box.press("Enter")
    answered(page, "In 2026 it is 3 days.")


def test_a_bad_answer_is_corrected(page: Page, site: Site, model: PacedChat, snap: Snap) -> None:
    model.enqueue("It is Lyon.")
    choose(page, "ask")
    ask(page, "What is the capital of France?")
    found = answered(page, "It is Lyon.")
    found.get_by_role("button", name="Bad answer").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox", name="The answer as it should be")).to_be_focused()
    snap("dialog")
    dialog.get_by_role("textbox", name="The answer as it should be").fill("It is Paris.")
    dialog.get_by_role("button", name="Send").click()
    expect(found.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    [trace] = site.api("GET", "/api/traces")["traces"]
    corrected = [each for each in trace["feedback"] if each["correction"]]
    assert [each["score"] for each in corrected] == [-1]
    assert "It is Paris." in json.dumps(corrected)
    page.reload()
    expect(turn(page).get_by_role("button", name="Bad answer")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_threads_are_found_renamed_exported_and_deleted(
    page: Page, site: Site, model: PacedChat, snap: Snap
) -> None:
    model.enqueue("Blue.", "Four.")
    choose(page, "ask")
    ask(page, "Colour of the sky")
    answered(page, "Blue.")
    page.get_by_role("link", name="New chat").click()
    ask(page, "Two and two")
    answered(page, "Four.")
    chats = page.get_by_role("navigation", name="Chats").get_by_role(
        "link", name=re.compile("sky|Two|Sky")
    )
    expect(chats).to_have_count(2)
    page.locator("h1, .turn").first.click()
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Find a chat")
    expect(search).to_be_focused()
    page.keyboard.type("sky")
    expect(chats).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(chats.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(turn(page)).to_contain_text("Blue.")
    page.get_by_role("button", name="More for: Colour of the sky").click()
    snap("menu")
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    assert "Blue." in Path(download.value.path()).read_text(encoding="utf-8")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Title").fill("Sky, renamed")
    page.keyboard.press("Enter")
    search.fill("")
    expect(page.get_by_role("link", name="Sky, renamed")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="Sky, renamed")).to_have_count(0)
    expect(page).to_have_url(re.compile("#/chat$"))
    assert len(site.api("GET", "/api/threads")["threads"]) == 1


def test_a_failure_is_told_with_what_to_do_next(page: Page, model: PacedChat) -> None:
    model.enqueue(ModelNotFound("The model is gone.", hint="groundling model pull"))
    choose(page, "ask")
    ask(page, "Is anybody there?")
    alert = turn(page).get_by_role("alert")
    expect(alert).to_contain_text("The model is gone.")
    expect(alert).to_contain_text("groundling model pull")


def test_a_failure_is_told_and_can_be_tried_again(page: Page, model: PacedChat, snap: Snap) -> None:
    model.enqueue(RuntimeError("the model went away"))
    choose(page, "ask")
    ask(page, "Is anybody there?")
    expect(turn(page).get_by_role("alert")).to_be_visible()
    expect(turn(page).get_by_role("alert")).not_to_contain_text("Traceback")
    snap("failed")
    model.enqueue("Yes.")
    turn(page).get_by_role("button", name="Try again").click()
    answered(page, "Yes.")
    expect(page.locator(".turn")).to_have_count(1)


def test_an_answer_goes_on_while_the_page_is_read_anew(page: Page, model: PacedChat) -> None:
    model.enqueue("One two three four.")
    model.hold(after=2)
    choose(page, "ask")
    ask(page, "Count")
    expect(turn(page).locator(".prose")).to_contain_text("One")
    page.reload()
    expect(turn(page).locator(".doing")).to_be_visible()
    model.go()
    answered(page, "One two three four.")


def test_a_server_that_is_away_is_shown_and_comes_back(
    page: Page, model: PacedChat, watch: Watch, snap: Snap
) -> None:
    watch.allow("net::ERR_INTERNET_DISCONNECTED")
    choose(page, "ask")
    page.context.set_offline(True)
    ask(page, "Is anybody there?")
    expect(page.locator(".state")).to_contain_text("cannot be reached")
    snap("away")
    page.context.set_offline(False)
    expect(page.locator(".state")).to_have_count(0)
    model.enqueue("Yes.")
    box = page.get_by_role("textbox", name="Ask something")
    box.fill("Is anybody there?")
    box.press("Enter")
    answered(page, "Yes.")


def test_with_users_the_page_asks_who_it_is(
    page: Page, watch: Watch, site: Site, snap: Snap
) -> None:
    watch.allow("401")
    made = site.api("POST", "/api/users", json={"id": "ada", "role": "admin"})
    page.goto("/")
    box = page.get_by_label("Key", exact=True)
    expect(box).to_be_focused()
    snap("login")
    box.fill("gl_wrong")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    box.fill(made["key"]["secret"])
    box.press("Enter")
    expect(page.locator(".nav-person")).to_have_text("ada")
    page.reload()
    expect(page.locator(".nav-person")).to_have_text("ada")
    site.model.enqueue("Yes.")
    page.get_by_role("combobox", name="Way of answering").select_option("ask")
    ask(page, "Does it take my word?")  # a request that changes something
    answered(page, "Yes.")
    assert made["role"] == Role.ADMIN


PAYLOADS = [
    SCRIPT,
    '<svg onload="alert(1)"><a xlink:href="javascript:alert(1)">x</a></svg>',
    "[x](javascript:alert(1)) ![x](javascript:alert(1)) <javascript:alert(1)>",
    "[x](data:text/html,<script>alert(1)</script>) [y](//evil.example)",
    '<iframe srcdoc="<script>alert(1)</script>"></iframe><math><mtext></form><form>',
    '<form action="https://evil.example"><input name=x autofocus onfocus=alert(1)></form>',
    "![track](https://evil.example/pixel.png)",
    '<style>*{background:url(https://evil.example)}</style><link rel=stylesheet href="//x">',
    "```html\n<script>alert(1)</script>\n```",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "\ue0000\ue002\ue0010\ue002 [1] [999]",
]


def test_nothing_in_answers_titles_tools_and_citations_executes(
    page: Page, site: Site, model: PacedChat, snap: Snap
) -> None:
    model.enqueue("\n\n".join(PAYLOADS))
    choose(page, "ask")
    ask(page, SCRIPT)
    found = answered(page, "<img src=x onerror=alert(1)>")
    names = {"img", "svg", "iframe", "form", "input", "style", "link", "script", "math", "object"}
    assert not found.locator(".prose").evaluate(
        "(room, names) => names.filter((name) => room.querySelector(name))", sorted(names)
    )
    hrefs = found.locator(".prose a").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    assert all(re.match("https?:|mailto:", href) for href in hrefs)
    attributes = found.locator(".prose").evaluate(
        "room => [...room.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())"
    )
    assert not [each for each in attributes if each.startswith("on") or each in ("style", "src")]
    expect(page.get_by_role("link", name=SCRIPT)).to_be_visible()  # the title of the thread
    snap("answer")
    page.get_by_role("link", name="New chat").click()
    model.enqueue_choice("calculator")
    model.enqueue(json.dumps({"calls": [{"expression": SCRIPT}]}))
    page.get_by_role("combobox", name="Way of answering").select_option("toolbox")
    ask(page, "Calculate")
    model.enqueue_choice("none")
    model.enqueue(SCRIPT)
    page.get_by_role("button", name="Allow").click()
    answered(page, "<script>alert(2)</script>").locator(".step summary").first.click()
    snap("tool")
    page.get_by_role("link", name="New chat").click()
    cited(page, model).locator(".cite").click()
    expect(page.locator(".doc-text")).to_contain_text(SCRIPT)
    page.wait_for_timeout(100)  # the watch fails the test where a script has run


MEND = [
    ("It is **bo", "<p>It is <strong>bo</strong></p>"),
    ("It is **", "<p>It is </p>"),
    ("Use `co", "<p>Use <code>co</code></p>"),
    ("See [the pa", "<p>See [the pa</p>"),
    ("See [the page](https://exa", "<p>See the page</p>"),
    ("```py\nx = '**'", "<pre><code>x = '**'\n</code></pre>"),
    ("2 * 3 is", "<p>2 * 3 is</p>"),
]


def test_what_is_half_written_looks_as_it_will(page: Page) -> None:
    page.goto("/")
    made = page.evaluate(
        """async (texts) => {
            const { render } = await import("/page/chat/markdown.js");
            return texts.map((text) => {
                const room = document.createElement("div");
                room.append(render(text, { writing: true }));
                return room.innerHTML.trim();
            });
        }""",
        [text for text, _ in MEND],
    )
    assert made == [wanted for _, wanted in MEND]


def test_claims_stand_where_their_code_points_are(page: Page) -> None:
    page.goto("/")
    text = "🏖 Leave is **17 days** [1].\n\n- It is paid.\n"
    claims = [
        {"text": "a", "start": 2, "end": text.index("[1]"), "verdict": "SUPPORTED"},
        {"text": "b", "start": text.index("- It"), "end": len(text) - 1, "verdict": "REFUTED"},
    ]
    made = page.evaluate(
        """async ([text, claims]) => {
            const { render } = await import("/page/chat/markdown.js");
            const labels = { citation: () => "c", claim: () => "k", sign: () => "?" };
            const room = document.createElement("div");
            room.append(render(text, { claims, citations: [{ number: 1 }], labels }));
            return [0, 1].map((n) => {
                const range = new Range();
                range.setStartAfter(room.querySelector(`.claim-start-${n}`));
                range.setEndBefore(room.querySelector(`[data-claim="${n}"]`));
                return range.toString();
            }).concat(room.querySelectorAll("li").length, room.querySelectorAll(".cite").length);
        }""",
        [text, claims],
    )
    assert made == ["Leave is 17 days ", "It is paid.", 1, 1]


def test_theme_and_language_are_switched_and_kept(page: Page, snap: Snap) -> None:
    page.goto("/")
    page.get_by_role("button", name="Dark theme").click()
    page.get_by_role("button", name="Show the page in Korean").click()
    expect(page.get_by_role("heading", name="무엇이 궁금하신가요?")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="무엇이 궁금하신가요?")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.lang") == "ko"
    snap("switched")


def test_all_of_it_is_reached_with_the_tab_key_and_has_a_name(page: Page, model: PacedChat) -> None:
    cited(page, model)
    page.locator(".skip").focus()
    names: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                """() => {
                    const at = document.activeElement;
                    const label = at.getAttribute("aria-label") || at.labels?.[0]?.textContent;
                    return label || at.textContent || at.title || "";
                }"""
            ).strip()
        )
    assert all(name for name in names if name is not None)
    for wanted in (
        "New chat",
        "Edit the question",
        "Copy the answer",
        "Good answer",
        "Ask something",
    ):
        assert any(wanted in name for name in names), (wanted, names)


def test_what_was_answered_is_read_out_once(page: Page, model: PacedChat) -> None:
    cited(page, model)
    room = page.locator(".chat-room [aria-live=polite]")
    expect(room).to_have_count(1)
    expect(room).to_contain_text("Proved. Full-time employees receive 17 days")


def test_the_server_has_what_the_page_shows(page: Page, site: Site, model: PacedChat) -> None:
    cited(page, model)
    thread = page.url.rpartition("/")[2]
    state = site.api("GET", f"/threads/{thread}/state")
    assert state["values"]["citations"][0]["number"] == 1
    assert until(lambda: site.api("GET", f"/threads/{thread}")["status"] == "idle")
